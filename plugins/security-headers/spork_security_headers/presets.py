"""The presets: which fields each sets, and what it takes away."""

from typing import Final

HSTS: Final = "Strict-Transport-Security"
CSP: Final = "Content-Security-Policy"
CSP_REPORT: Final = "Content-Security-Policy-Report-Only"

_EVERYWHERE: Final = {
    HSTS: "max-age=31536000",  # a year; without includeSubDomains, which only the owner of the domain can promise
    "X-Content-Type-Options": "nosniff",
}
_ISOLATED: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_NO_SENSORS: Final = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"

PRESETS: Final[dict[str, dict[str, str]]] = {
    # Any service: nothing here stops a page from loading its own scripts, styles or pictures.
    "secure": {
        **_EVERYWHERE,
        "X-Frame-Options": "SAMEORIGIN",
        CSP: "frame-ancestors 'self'; base-uri 'self'; object-src 'none'",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        **_ISOLATED,
        "Permissions-Policy": _NO_SENSORS,
    },
    # Answers for programs: a browser that shows one as a page may load and embed nothing.
    "api": {
        **_EVERYWHERE,
        "X-Frame-Options": "DENY",
        CSP: "default-src 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        **_ISOLATED,
    },
    # Pages that bring everything they need from their own origin.
    "web": {
        **_EVERYWHERE,
        "X-Frame-Options": "SAMEORIGIN",
        CSP: "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; object-src 'none'; "
        "base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
        "Referrer-Policy": "strict-origin-when-cross-origin",
        **_ISOLATED,
        "Permissions-Policy": _NO_SENSORS,
    },
    "none": {},
}
"""Preset → field → value."""

REVEALING: Final = ("Server", "X-Powered-By", "X-AspNet-Version", "X-AspNetMvc-Version")
"""What names the software behind the gateway; every preset but ``none`` removes it."""
