"""The config class, and what it refuses: origins no browser sends, and permissions that would be everybody's."""

from typing import Any, Final

from attrs import Attribute, frozen

from spork_core.api import TOKEN, Seconds, setting
from spork_cors.origins import check_origin

_ONE_OR_MORE: Final = {"alone": True}
"""The setting holds a list; where it has one member the list may be left out."""

_NEVER_SENT: Final = frozenset(("CONNECT", "TRACE", "TRACK"))
"""Methods that Fetch forbids scripts to use (https://fetch.spec.whatwg.org/#forbidden-method)."""
_NORMALIZED: Final = frozenset(("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", *_NEVER_SENT))


def _origins(_: object, _field: "Attribute[Any]", origins: tuple[str, ...]) -> None:
    if not origins:
        raise ValueError('an empty list allows nobody; write an origin like "https://app.example.com"')
    _once(origins)
    if "*" in origins:
        if len(origins) > 1:
            raise ValueError('"*" allows every origin already; write "*" alone, or leave it out')
        return
    for origin in origins:
        check_origin(origin)


def _methods(_: object, _field: "Attribute[Any]", methods: tuple[str, ...]) -> None:
    _once(methods)
    _star_alone(methods, "method")
    for method in methods:
        if not TOKEN.fullmatch(method):
            raise ValueError(f'"{method}" is not a method; write one like GET')
        if method.upper() in _NEVER_SENT:
            raise ValueError(f"browsers send no {method} for a script; leave it out")
        if method != method.upper() and method.upper() in _NORMALIZED:
            raise ValueError(f'methods are told apart by case; write "{method.upper()}"')


def _fields(_: object, _field: "Attribute[Any]", names: tuple[str, ...]) -> None:
    _once(tuple(name.lower() for name in names))
    _star_alone(names, "field")
    for name in names:
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')


def _once(values: tuple[str, ...]) -> None:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f'"{value}" is there twice; keep one')


def _star_alone(values: tuple[str, ...], what: str) -> None:
    if "*" in values and len(values) > 1:
        raise ValueError(f'"*" allows every {what} already; write "*" alone, or leave it out')


def _credentials(instance: "CorsConfig", _field: "Attribute[Any]", allowed: bool) -> None:
    if not allowed:
        return
    if "*" in instance.allow_origins:
        raise ValueError(
            'with "*" in allow_origins every site could act as the user who is logged in; name the origins, such as '
            '"https://app.example.com"'
        )
    if "null" in instance.allow_origins:
        raise ValueError(
            '"null" in allow_origins is every sandboxed frame and local file, and could act as the user who is logged '
            "in; name the origins, or write allow_credentials: false"
        )
    if "*" in instance.expose_headers:
        raise ValueError('browsers take "*" in expose_headers for a name when there are credentials; name the fields')


def _whole_seconds(_: object, _field: "Attribute[Any]", seconds: float | None) -> None:
    if seconds is not None and (seconds < 0 or seconds != int(seconds)):
        raise ValueError("browsers count whole seconds; write one like 10m or 30s")


@frozen
class CorsConfig:
    """Which pages of other origins may call the services of the routes, and how."""

    allow_origins: tuple[str, ...] = setting(
        'The origins whose scripts may read answers: "https://app.example.com", "https://*.example.com" for all '
        'sub-domains, "null" for pages without an origin, or "*" for everybody.',
        validator=_origins,
        metadata={**_ONE_OR_MORE, "names": True},  # nobody connects to an origin
    )
    allow_methods: tuple[str, ...] = setting(
        'The methods they may use, or "*".',
        default=("GET", "HEAD", "POST"),
        validator=_methods,
        metadata=_ONE_OR_MORE,
    )
    allow_headers: tuple[str, ...] = setting(
        'The request fields they may send besides those that any page may send, or "*".',
        default=(),
        validator=_fields,
        metadata=_ONE_OR_MORE,
    )
    expose_headers: tuple[str, ...] = setting(
        'The response fields they may read besides those that any page may read, or "*".',
        default=(),
        validator=_fields,
        metadata=_ONE_OR_MORE,
    )
    allow_credentials: bool = setting(
        "Let them send cookies and HTTP authentication of the user, and read the answers.",
        default=False,
        validator=_credentials,
    )
    max_age: Seconds | None = setting(
        "How long a browser may remember the answer to a preflight; null leaves it to the browser.",
        default=600.0,
        validator=_whole_seconds,
    )
    private_network: bool = setting(
        "Let pages of public networks call these routes in a private network, where browsers ask for that.",
        default=False,
    )
    preflight_continue: bool = setting(
        "Send preflights on to the service, through authentication and all; only their CORS fields are made here.",
        default=False,
    )
