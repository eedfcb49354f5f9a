"""Tokens: from text to a header and claims, without trusting either (RFC 7515, RFC 7519, RFC 8725).

Rules of this file
1. The text is bounded and of exactly three parts of base64url, or nothing else is looked at.
2. The header is looked at before any signature is computed, the claims only after the signature was found good.
3. JSON is strict: UTF-8, one object, no member twice, no NaN, no lone surrogate, no deep nesting.
4. Whatever is wrong is ``Refused``; nothing else is raised. Nothing that a header names is fetched, or used as a key.
"""

import json
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections.abc import Callable
from typing import Any, Final

from spork_jwt.keys import Key, KeySet
from spork_jwt.reasons import Refused

LONGEST: Final = 8192
"""Characters of a token. Header fields of this length are the most that servers commonly take."""
LONGEST_HEADER: Final = 4096
"""Characters of a token's first part; what it holds is not signed by anybody yet."""
DEEPEST: Final = 16
"""How deep objects and lists may be nested."""
_FEW_BRACKETS: Final = DEEPEST
"""With no more than these it cannot be deeper, and nobody has to look."""
_REMEMBERED: Final = 64
"""Headers of tokens that were good; an issuer has one for each of its keys."""

_PARTS: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_TO_BASE64: Final = bytes.maketrans(b"-_", b"+/")
_LAST: Final = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}
"""What a part may end in by its length modulo 4: else its last bits, which say nothing, could be varied."""
_PADDING: Final = {0: b"", 2: b"==", 3: b"="}


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_DECODE: Final[Callable[[str], Any]] = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_constant).decode


def parse_object(data: bytes) -> dict[str, Any]:
    """The JSON object that ``data`` is. Raises Refused."""
    try:
        text = data.decode()
        if data.count(b"{") + data.count(b"[") > _FEW_BRACKETS and _depth(text) > DEEPEST:
            raise Refused("malformed")
        found = _DECODE(text)
        if "\\u" in text:  # an escape may stand for half of a character, which no header field can carry
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Refused("malformed") from None
    if type(found) is not dict:
        raise Refused("malformed")
    return found


def _depth(text: str) -> int:
    """How deep brackets outside of strings are nested."""
    deepest = depth = 0
    quoted = escaped = False
    for sign in text:
        if escaped:
            escaped = False
        elif quoted:
            escaped = sign == "\\"
            quoted = sign != '"'
        elif sign == '"':
            quoted = True
        elif sign in "{[":
            depth += 1
            deepest = max(deepest, depth)
        elif sign in "}]":
            depth -= 1
    return deepest


def decode_part(part: str, encoded: bytes) -> bytes:
    """The bytes of a part in base64url without padding. ``encoded``: the same part in base64. Raises Refused."""
    spare = len(part) % 4
    if spare and part[-1] not in _LAST.get(spare, ()):
        raise Refused("malformed")
    try:
        return a2b_base64(encoded + _PADDING[spare])
    except Base64Error:
        raise Refused("malformed") from None


class Tokens:
    """Reads the tokens of one instance. ``algorithms``: those that are accepted. ``types``: what ``typ`` may say, in
    lower case; empty: it is not looked at."""

    def __init__(self, algorithms: frozenset[str], types: frozenset[str]) -> None:
        self._algorithms = algorithms
        self._types = types
        self._known: dict[str, tuple[Key, ...]] = {}
        """Headers as they were sent → their keys; only those of tokens whose signature was good."""

    def forget(self) -> None:
        """The keys have changed."""
        self._known.clear()

    def verify(self, token: str, keys: KeySet) -> dict[str, Any] | None:
        """The claims of a token whose signature is good; None when its key is not among ``keys``. Raises
        Refused."""
        if len(token) > LONGEST or (parts := _PARTS.fullmatch(token)) is None:
            raise Refused("malformed")
        head, body, tail = parts.groups()
        raw = token.encode()
        encoded = raw.translate(_TO_BASE64)
        second = len(head) + 1 + len(body)
        candidates = self._known.get(head)
        known = candidates is not None
        if candidates is None:
            algorithm, kid = self._header(head, encoded[: len(head)])
            candidates = keys.find(algorithm, kid)
            if not candidates:
                return None
        signature = decode_part(tail, encoded[second + 1 :])
        message = raw[:second]
        if not any(key.signed(message, signature) for key in candidates):
            raise Refused("signature")
        claims = parse_object(decode_part(body, encoded[len(head) + 1 : second]))
        if not known and len(self._known) < _REMEMBERED:
            self._known[head] = candidates
        return claims

    def _header(self, head: str, encoded: bytes) -> tuple[str, str | None]:
        """The algorithm and the kid that a header names. Raises Refused."""
        if len(head) > LONGEST_HEADER:
            raise Refused("malformed")
        header = parse_object(decode_part(head, encoded))
        algorithm, kid = header.get("alg"), header.get("kid")
        if type(algorithm) is not str:
            raise Refused("malformed")
        if algorithm not in self._algorithms:
            raise Refused("algorithm")
        if "kid" in header and type(kid) is not str:
            raise Refused("malformed")
        # RFC 7515 section 4.1.11: what must be understood, and is not, is refused. Here that is everything.
        if "crit" in header or header.get("b64", True) is not True:
            raise Refused("malformed")
        if self._types and _media(header.get("typ")) not in self._types:
            raise Refused("type")
        return algorithm, kid


def _media(typ: object) -> str:
    """A ``typ`` in lower case and without ``application/``, which may be left out (RFC 7515 section 4.1.9)."""
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else ""
