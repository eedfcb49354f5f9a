"""Values with ``{names}`` in them: compiled when the config is loaded, filled in for each exchange."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Final

from spork_core.api import FIELD_VALUE, TOKEN, Exchange

Getter = Callable[[Exchange], str | None]
"""Gives the text that stands for a name; None when this exchange has none."""


def _route(exchange: Exchange) -> str | None:
    return None if exchange.route is None else exchange.route.name


def _service(exchange: Exchange) -> str | None:
    return None if exchange.route is None else exchange.route.service


def _subject(exchange: Exchange) -> str | None:
    return None if exchange.identity is None else exchange.identity.subject


def _scheme_of_identity(exchange: Exchange) -> str | None:
    return None if exchange.identity is None else exchange.identity.scheme


def _scopes(exchange: Exchange) -> str | None:
    return None if exchange.identity is None else " ".join(sorted(exchange.identity.scopes))


def _roles(exchange: Exchange) -> str | None:
    return None if exchange.identity is None else " ".join(sorted(exchange.identity.roles))


def _status(exchange: Exchange) -> str | None:
    return None if exchange.response is None else str(exchange.response.status)


NAMES: Final[Mapping[str, Getter]] = {
    "request.id": lambda exchange: exchange.id,
    "request.method": lambda exchange: exchange.request.method,
    "request.scheme": lambda exchange: exchange.request.scheme,
    "request.host": lambda exchange: exchange.request.host,
    "request.path": lambda exchange: exchange.request.path,
    "request.query": lambda exchange: exchange.request.query,
    "client.ip": lambda exchange: exchange.request.client,
    "route.name": _route,
    "service.name": _service,
    "identity.subject": _subject,
    "identity.scheme": _scheme_of_identity,
    "identity.scopes": _scopes,
    "identity.roles": _roles,
    "response.status": _status,
}
"""What may stand between braces, and how it is found."""


def _capture(name: str) -> Getter:
    return lambda exchange: exchange.captures.get(name)


def _claim(name: str) -> Getter:
    def claim(exchange: Exchange) -> str | None:
        value = None if exchange.identity is None else exchange.identity.claims.get(name)
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value) if isinstance(value, (str, int, float)) else None

    return claim


def _request_header(name: str) -> Getter:
    return lambda exchange: exchange.request.headers.get(name)


def _response_header(name: str) -> Getter:
    return lambda exchange: None if exchange.response is None else exchange.response.headers.get(name)


FAMILIES: Final[Mapping[str, Callable[[str], Getter]]] = {
    "capture.": _capture,
    "identity.claim.": _claim,
    "request.header.": _request_header,
    "response.header.": _response_header,
}
"""Prefixes that take a name of the operator's: ``{capture.id}``, ``{request.header.x-tenant}``."""

_PIECE: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")


class Template:
    """A header value; ``fixed`` is its text when it has no names, else None.

    Raises ValueError, with a remedy, for an unknown name, an unbalanced brace or a control character. On the way to the
    service (``responding`` False) there is no ``response``.
    """

    __slots__ = ("_getters", "_pattern", "fixed", "text")

    def __init__(self, text: str, *, responding: bool) -> None:
        if not FIELD_VALUE.fullmatch(text):
            raise ValueError(f"{text!r} holds a control character; write it on one line")
        self.text = text
        pattern, getters = [], []
        for piece in _PIECE.finditer(text):
            name = piece[1]
            if name is not None:
                getters.append(_getter(name, responding))
                pattern.append("%s")
            elif piece[0] in ("{", "}"):
                raise ValueError(
                    f'"{text}" has a "{piece[0]}" without its partner; write "{piece[0] * 2}" for the sign itself'
                )
            else:
                pattern.append(piece[0].replace("{{", "{").replace("}}", "}").replace("%", "%%"))
        self._getters = tuple(getters)
        self._pattern = "".join(pattern)
        self.fixed = None if getters else self._pattern.replace("%%", "%")

    def fill(self, exchange: Exchange) -> str | None:
        """The value for this exchange; None when one of its names has no text here, or one that may not stand in a
        header field: a value from outside never starts a field of its own."""
        found = [getter(exchange) for getter in self._getters]
        if None in found or "" in found:
            return None
        value = self._pattern % tuple(found)
        return value if value.isprintable() or FIELD_VALUE.fullmatch(value) else None

    def __repr__(self) -> str:
        return f"Template({self.text!r})"


def _getter(name: str, responding: bool) -> Getter:
    if name.startswith("response.") and not responding:
        raise ValueError(f'"{{{name}}}" is not known before there is a response; use it under response')
    if name in NAMES:
        return NAMES[name]
    for prefix, make in FAMILIES.items():
        rest = name.removeprefix(prefix)
        if rest != name and rest:
            if "header." in prefix and not TOKEN.fullmatch(rest):
                raise ValueError(f'"{{{name}}}" names no header; use letters, digits and hyphens')
            return make(rest)
    near = get_close_matches(name, NAMES, n=1)
    hint = f'did you mean "{{{near[0]}}}"? ' if near else ""
    known = ", ".join([*NAMES, *(f"{prefix}<name>" for prefix in FAMILIES)])
    raise ValueError(f'"{{{name}}}" is not known; {hint}known are: {known}. Write "{{{{" for a brace itself')
