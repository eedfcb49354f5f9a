"""Claims: what a token whose signature is good must say, and who is calling by it (RFC 7519 section 4.1)."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

from spork_core.api import FIELD_VALUE, Headers, Identity
from spork_jwt.config import ANY, JwtConfig
from spork_jwt.reasons import Refused

LATEST: Final = 253_402_300_800
"""The end of the year 9999 in seconds since the epoch: a time past it is no time."""
REVOCABLE: Final = 30 * 86400.0
"""The longest lifetime with revocation where ``max_lifetime`` says none: a revocation must outlive what it revokes, and
must not be kept for ever."""

_NONE: Final = object()
Finder = Callable[[Mapping[str, Any]], Any]


@frozen(eq=False)
class Accepted:
    """What is known of a token. ``ends``: seconds since the epoch until which it is good, leeway included. ``issued``:
    its iat; None where it has none. ``jti``: its id; None where it has none. ``fields``: for the service."""

    identity: Identity
    ends: float
    issued: float | None
    jti: str | None
    fields: Headers


class Rules:
    """What one instance wants of claims, compiled."""

    def __init__(self, config: JwtConfig) -> None:
        self._leeway = config.leeway
        self._lifetime = lifetime_of(config)
        self._issuers = frozenset(config.issuer) - {ANY}
        self._audiences = frozenset(config.audience) if ANY not in config.audience else None
        self._required = tuple(finder(path) for path in config.required)
        self._subject = finder(config.subject)
        self._scopes = finder(config.scopes)
        self._roles = finder(config.roles)
        self._forward = tuple((name, finder(path)) for name, path in config.forward.items())

    def accept(self, claims: dict[str, Any], now: float) -> Accepted:
        """Who is calling, at ``now`` in seconds since the epoch. Raises Refused."""
        get = claims.get
        ends = _time(get("exp", _NONE)) + self._leeway
        if ends <= now:
            raise Refused("expired")
        issued = None if "iat" not in claims else _time(claims["iat"])
        earliest = now + self._leeway
        if (issued is not None and issued > earliest) or ("nbf" in claims and _time(claims["nbf"]) > earliest):
            raise Refused("immature")
        if self._lifetime is not None:
            begins = now + self._leeway if issued is None else issued
            if ends - self._leeway - begins > self._lifetime:
                raise Refused("lifetime")
        self._issuer(get("iss", _NONE))
        self._audience(get("aud", _NONE))
        for claim in ("sub", "jti"):
            if claim in claims and type(claims[claim]) is not str:
                raise Refused("claims")
        for find in self._required:
            if find(claims) is None:
                raise Refused("claims")
        subject = self._subject(claims)
        if type(subject) is not str or not subject:
            raise Refused("claims")
        scopes, roles = _words(self._scopes(claims)), _words(self._roles(claims))
        identity = Identity(subject, "jwt", scopes, roles, MappingProxyType(claims))
        return Accepted(identity, ends, issued, get("jti"), self._fields(claims))

    def _issuer(self, issuer: object) -> None:
        if issuer is _NONE:
            if self._issuers:
                raise Refused("issuer")
        elif type(issuer) is not str or (self._issuers and issuer not in self._issuers):
            raise Refused("issuer")

    def _audience(self, audience: object) -> None:
        """RFC 7519 section 4.1.3: a token that says whom it is for is refused by everybody else."""
        if self._audiences is None:
            return
        if audience is _NONE:
            if self._audiences:
                raise Refused("audience")
            return
        members = audience if type(audience) is list else [audience]
        if any(type(member) is not str for member in members) or self._audiences.isdisjoint(members):
            raise Refused("audience")

    def _fields(self, claims: Mapping[str, Any]) -> Headers:
        fields = Headers()
        for name, find in self._forward:
            text = field_text(find(claims))
            if text is not None:
                fields[name] = text
        return fields


def lifetime_of(config: JwtConfig) -> float | None:
    """The longest lifetime of a token in seconds; None: any."""
    if config.max_lifetime is None and config.revocation:
        return REVOCABLE
    return config.max_lifetime


def finder(path: str) -> Finder:
    """Looks up a claim by its name, or else by a path with dots; None when there is nothing, or null.

    Names such as ``https://example.com/roles`` have dots of their own, so the whole name comes first.
    """
    steps = tuple(path.split("."))
    if len(steps) == 1:
        return lambda claims: claims.get(path)

    def find(claims: Mapping[str, Any]) -> Any:
        if path in claims:
            return claims[path]
        found: Any = claims
        for step in steps:
            if type(found) is not dict and found is not claims:
                return None
            found = found.get(step)
        return found

    return find


def _time(value: object) -> float:
    """A NumericDate (RFC 7519 section 2). Raises Refused for what is no number: text, true, null, NaN."""
    if (type(value) is not int and type(value) is not float) or not 0 <= value < LATEST:
        raise Refused("claims")
    return value


def _words(value: object) -> frozenset[str]:
    """Scopes or roles: a text with blanks between them (RFC 8693 section 4.2), or a list. Raises Refused."""
    if value is None:
        return frozenset()
    if type(value) is str:
        return frozenset(value.split())
    if type(value) is list and all(type(word) is str for word in value):
        return frozenset(value)
    raise Refused("claims")


def field_text(value: object) -> str | None:
    """A claim as the value of a header field: text and numbers as they are, a list with commas between.

    None for what has no such form, and for what a service could read in two ways: a list whose members hold commas, and
    text with a control character, or with blanks at its ends.
    """
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case str():
            text = value
        case list() if value and all(type(item) is str and "," not in item for item in value):
            text = ",".join(value)
        case _:
            return None
    return text if text and text.strip() == text and FIELD_VALUE.fullmatch(text) else None
