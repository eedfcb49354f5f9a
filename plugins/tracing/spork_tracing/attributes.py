"""Attributes of spans by the stable HTTP conventions of OpenTelemetry, from what a client sent: cleaned and cut.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import re
from typing import Final
from urllib.parse import urlsplit

from spork_core.api import Request

LONGEST: Final = 1024
"""Characters of a text that a client or a service sent."""

OTHER: Final = "_OTHER"
_METHODS: Final = frozenset(("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"))
"""The methods that may be a value, by the conventions; names of others are a client's to choose without end."""
_VALUE: Final = re.compile(r"=[^&]*")
_REDACTED: Final = "=REDACTED"
_PORTS: Final = {"http": 80, "https": 443}

Attributes = dict[str, str | int | float | bool]


def clean(text: str) -> str:
    """Text that OTLP can carry: not too long, and bytes that are not UTF-8 as ``\\xff``."""
    if len(text) > LONGEST:
        text = text[:LONGEST]
    if text.isascii():
        return text
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace").decode()


def redacted(query: str) -> str:
    """A query with its values hidden, its names left."""
    return _VALUE.sub(_REDACTED, query)


def method_of(request: Request, into: Attributes) -> str:
    """Says the method in ``into``, and gives what a span is named by."""
    method = request.method
    if method in _METHODS:
        into["http.request.method"] = method
        return method
    into["http.request.method"] = OTHER
    into["http.request.method_original"] = clean(method)
    return "HTTP"


def address_of(authority: str, scheme: str) -> tuple[str, int | None]:
    """Host and port of ``host[:port]``; the scheme's own port when it names none, None when it is none."""
    host, colon, port = authority.rpartition(":")
    if not colon or port.endswith("]") or (":" in host and not host.startswith("[")):
        host, port = authority, ""
    if not port:
        return clean(host), _PORTS.get(scheme)
    number = int(port) if port.isascii() and port.isdigit() and len(port) < 6 else 0
    return clean(host), number or None


class Peers:
    """Scheme, host and port of endpoints, which are few; taken apart once each."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[str, Attributes] = {}

    def __getitem__(self, url: str) -> Attributes:
        known = self._known.get(url)
        if known is None:
            if len(self._known) >= 256:
                self._known.clear()
            known = self._known[url] = self._parts(url)
        return known

    def _parts(self, url: str) -> Attributes:
        parts = urlsplit(url)
        if not parts.netloc:  # a unix socket
            return {"server.address": clean(parts.path)}
        host, port = address_of(parts.netloc, parts.scheme)
        attributes: Attributes = {"url.scheme": parts.scheme, "server.address": host}
        if port is not None:
            attributes["server.port"] = port
        return attributes
