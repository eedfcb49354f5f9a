"""The config class, and what it refuses: names that frame messages, values browsers ignore, rules without effect."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_core.api import FIELD_VALUE, TOKEN, setting
from spork_security_headers.presets import CSP, CSP_REPORT, HSTS, PRESETS, REVEALING

Mode = Literal["set-if-absent", "override", "keep"]

_FRAMING: Final = frozenset(
    "connection content-encoding content-length content-type date keep-alive proxy-authenticate proxy-connection "
    "set-cookie te trailer transfer-encoding upgrade".split()
)
_MAX_AGE: Final = re.compile(r'(?i)max-age="?(\d{1,12})"?')
_YEAR: Final = 31_536_000

_ONLY: Final = {
    "x-content-type-options": (("nosniff",), "browsers know nosniff only"),
    "x-frame-options": (
        ("deny", "sameorigin"),
        "browsers know DENY and SAMEORIGIN only; name other origins with frame-ancestors in Content-Security-Policy",
    ),
    "cross-origin-resource-policy": (("same-origin", "same-site", "cross-origin"), "write one of these three"),
}
"""Field → the values browsers know, and what to do instead."""


def _fields(_: object, _field: "Attribute[Any]", headers: Mapping[str, str | None]) -> None:
    seen: dict[str, str] = {}
    for name, value in headers.items():
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')
        if name.lower() in _FRAMING:
            raise ValueError(f'"{name}" belongs to the message, not to its security; leave it to the service')
        if other := seen.get(name.lower()):
            raise ValueError(f'"{other}" and "{name}" are the same field; keep one')
        seen[name.lower()] = name
        if value is not None:
            _value(name, value)


def _value(name: str, value: str) -> None:
    if not value.strip():
        raise ValueError(f'the value of "{name}" is empty; write null to remove the field')
    if not FIELD_VALUE.fullmatch(value):
        raise ValueError(f'the value of "{name}" holds a control character; write it on one line')
    values, remedy = _ONLY.get(name.lower(), ((), ""))
    if values and value.strip().lower() not in values:
        raise ValueError(f'"{value}" is not a value of "{name}" ({", ".join(values)}); {remedy}')
    if name.lower() == HSTS.lower():
        _hsts(value)


def _hsts(value: str) -> None:
    """RFC 6797 section 6.1, and what the preload lists of browsers ask for."""
    parts = [part.strip().lower() for part in value.split(";")]
    ages = [found for part in parts if (found := _MAX_AGE.fullmatch(part))]
    if len(ages) != 1:
        raise ValueError(f'"{HSTS}" needs one max-age in seconds; write "max-age={_YEAR}"')
    if "preload" in parts and ("includesubdomains" not in parts or int(ages[0][1]) < _YEAR):
        raise ValueError(f'preload asks for more; write "max-age={_YEAR}; includeSubDomains; preload"')


def _modes(instance: "SecurityHeadersConfig", _field: "Attribute[Any]", modes: Mapping[str, Mode]) -> None:
    known = {name.lower() for name in instance.rules()}
    for name in modes:
        if name.lower() not in known:
            raise ValueError(f'no rule sets or removes "{name}"; give it a value under headers, or drop its mode')


def _report_only(instance: "SecurityHeadersConfig", _field: "Attribute[Any]", report_only: bool) -> None:
    if report_only and CSP_REPORT.lower() in map(str.lower, instance.headers):
        raise ValueError(f"report_only sends the policy as {CSP_REPORT}; drop that field from headers, or report_only")


@frozen
class SecurityHeadersConfig:
    """A preset, and what differs from it."""

    preset: Literal["secure", "api", "web", "none"] = setting(
        "What to start from: secure suits any service, api suits answers for programs, web suits pages that load from "
        "their own origin only, none sets nothing.",
        default="secure",
    )
    headers: dict[str, str | None] = setting(
        "Fields that differ from the preset: name to value; null removes the field from every response.",
        factory=dict,
        validator=_fields,
    )
    mode: Literal["set-if-absent", "override"] = setting(
        "When the service sends a field itself: keep the service's value, or override it.", default="set-if-absent"
    )
    modes: dict[str, Mode] = setting(
        "Single fields that differ from mode; keep leaves what the service sent and adds nothing.",
        factory=dict,
        validator=_modes,
    )
    report_only: bool = setting(
        "Send the content security policy as Content-Security-Policy-Report-Only: browsers report and block nothing.",
        default=False,
        validator=_report_only,
    )

    def rules(self) -> dict[str, str | None]:
        """Field → value, or None to remove it; preset, headers and report_only applied, modes not."""
        rules: dict[str, str | None] = dict(PRESETS[self.preset])
        if self.preset != "none":
            rules |= dict.fromkeys(REVEALING)
        spelled = {name.lower(): name for name in (*rules, HSTS, CSP)}
        for name, value in self.headers.items():
            rules[spelled.get(name.lower(), name)] = value
        policy = rules.get(CSP)
        if self.report_only and policy is not None:
            del rules[CSP]
            rules[CSP_REPORT] = policy
        return rules
