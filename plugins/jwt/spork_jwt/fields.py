"""Where a token stands in a request, and which fields a client may not send."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote

from multidict import istr

from spork_core.api import Headers, Request
from spork_jwt.reasons import Refused

AUTHORIZATION: Final = istr("Authorization")
_COOKIE: Final = istr("Cookie")
_SCHEME: Final = "bearer "
_MOST_NAMES: Final = 1024
_LONGEST_NAME: Final = 64


def canonical(token: str) -> str:
    """The Authorization field that carries ``token``, as nearly everybody writes it."""
    return f"Bearer {token}"


class Guard:
    """Removes fields that only the gateway may set, also where a hyphen is disguised as an underscore: CGI, WSGI and
    their kin make one name of both."""

    def __init__(self, reserved: Iterable[str]) -> None:
        self._reserved = frozenset(name.lower() for name in reserved)
        self._innocent: set[str] = set()
        """Names that were looked at and are not reserved, in the capitals they were sent in; bounded."""

    def sweep(self, headers: Headers) -> None:
        """Removes what is reserved from ``headers``: 0.2 µs where all the names were seen before."""
        innocent = self._innocent
        if innocent.issuperset(headers):
            return
        for name in set(headers):
            if name in innocent:
                continue
            if name.lower().replace("_", "-") in self._reserved:
                headers.popall(name, None)
            elif len(name) <= _LONGEST_NAME:
                if len(innocent) >= _MOST_NAMES:
                    innocent.clear()  # whoever sends many names must not leave the usual ones unknown
                innocent.add(str(name))


class Places:
    """Where the tokens of one instance may stand: the Authorization field, and by choice a cookie or a parameter."""

    def __init__(self, cookie: str | None, query: str | None) -> None:
        self._cookie = cookie
        self._query = query
        self.several: Final = cookie is not None or query is not None
        """True when it is not only the Authorization field."""

    def find(self, request: Request, fields: list[str] | tuple[()]) -> str | None:
        """The token; None when there is none of this kind. ``fields``: the Authorization fields. Raises Refused.

        RFC 6750 section 2: a client uses one way in a request, or the service behind could be told of another caller
        than the gateway.
        """
        found = None
        bearer = [field for field in fields if field[:7].lower() == _SCHEME or field.lower() == "bearer"]
        if bearer:
            if len(fields) > 1:
                raise Refused("repeated")
            found = bearer[0][7:].strip(" ")
        if not self.several:
            return found
        for other in self._elsewhere(request):
            if found is not None:
                raise Refused("ambiguous")
            found = other
        return found

    def strip(self, request: Request) -> None:
        """Takes the tokens out of the request."""
        headers = request.headers
        if headers.get(AUTHORIZATION, "")[:7].lower() == _SCHEME:
            del headers[AUTHORIZATION]
        if self._cookie is not None and _COOKIE in headers:
            rest = [pair for pair in self._pairs(request) if _name(pair) != self._cookie]
            del headers[_COOKIE]
            if rest:
                headers[_COOKIE] = "; ".join(rest)
        if self._query is not None and request.query is not None:
            kept = [part for part in request.query.split("&") if unquote(part.partition("=")[0]) != self._query]
            request.query = "&".join(kept) or None

    def _elsewhere(self, request: Request) -> Iterable[str]:
        if self._cookie is not None:
            yield from (_value(pair) for pair in self._pairs(request) if _name(pair) == self._cookie)
        if self._query is not None and request.query:
            for part in request.query.split("&"):
                name, _, value = part.partition("=")
                if unquote(name) == self._query:
                    yield unquote(value)

    @staticmethod
    def _pairs(request: Request) -> list[str]:
        """The cookies as they were sent (RFC 6265 section 5.4), each ``name=value``."""
        return [
            pair.strip() for field in request.headers.getall(_COOKIE, ()) for pair in field.split(";") if pair.strip()
        ]


def _name(pair: str) -> str:
    return pair.partition("=")[0].strip()


def _value(pair: str) -> str:
    return pair.partition("=")[2].strip().strip('"')
