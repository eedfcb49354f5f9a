"""Tokens of ``X-Spork-Explain``: short-lived, signed with the config's secret, good for one gateway.

Rules of this file
1. ``v1.PAYLOAD.SIGNATURE``, both base64url. The signature is HMAC-SHA256 over ``spork-explain.v1.PAYLOAD``: the same
   secret signs nothing else of this form, and no other version.
2. Nothing of the payload is looked at before its signature holds.
3. A token says when it ends; one that ends later than a day from now is not taken, whoever signed it.
4. It may be used as often as one likes until it ends. What it gives is an answer about a request that its holder was
   able to send anyway.
"""

import base64
import hmac
import json
import secrets
from binascii import Error as Base64Error
from typing import Final

from attrs import frozen

from spork_core.errors import ExplainRefused

HEADER: Final = "X-Spork-Explain"
LIFETIME: Final = 600.0
"""Seconds that a token is good for unless its maker says otherwise."""
LONGEST: Final = 86400.0
"""Seconds that a token may be good for."""

_VERSION: Final = "v1"
_LONGEST_TEXT: Final = 2048
_SKEW: Final = 60.0
"""Seconds that two machines' clocks may differ before the longest lifetime seems exceeded."""
_MAKE_ANOTHER: Final = "make another one with `spork explain --token`"


@frozen
class Token:
    """What a token says. ``nonce``: tells it from others, in the log. ``expires``: seconds since the epoch. ``method``:
    the only method it is for; "" for any. ``prefix``: the path it is for, with all below it; "" for any."""

    nonce: str
    expires: int
    method: str = ""
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.method or 'any method'} {self.prefix or '/'}"


def make(secret: str, now: float, lifetime: float = LIFETIME, *, method: str = "", prefix: str = "") -> str:
    """A token for the next ``lifetime`` seconds. ``now``: seconds since the epoch. ``method``, ``prefix``: what it is
    for; "" for anything. Raises ValueError for a lifetime that is no good, or a text that no gateway would read."""
    if not 1 <= lifetime <= LONGEST:
        raise ValueError("a token is good for a second at least and a day at most")
    payload = json.dumps([secrets.token_hex(8), int(now + lifetime), method, prefix.rstrip("/")]).encode()
    body = _text(payload)
    token = f"{_VERSION}.{body}.{_text(_signature(secret, body))}"
    if len(token) > _LONGEST_TEXT:
        raise ValueError("the path is too long for a token")
    return token


def read(text: str, secret: str, now: float) -> Token:
    """What a token says, once it has shown that it may. Raises ExplainRefused."""
    version, _, rest = text.partition(".")
    body, _, signature = rest.partition(".")
    if len(text) > _LONGEST_TEXT or version != _VERSION or not text.isascii():
        raise ExplainRefused(f"The value of {HEADER} is no token that this gateway reads; {_MAKE_ANOTHER}.")
    try:
        given = base64.b64decode(signature + "=" * (-len(signature) % 4), altchars=b"-_", validate=True)
    except (Base64Error, ValueError):
        given = b""
    if not hmac.compare_digest(given, _signature(secret, body)):
        raise ExplainRefused(
            f"The token in {HEADER} was made with another secret than this gateway's, or is damaged; {_MAKE_ANOTHER} "
            "and the config that this gateway runs with."
        )
    nonce, expires, method, prefix = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    if now >= expires:
        raise ExplainRefused(f"The token in {HEADER} has expired; {_MAKE_ANOTHER}.")
    if expires - now > LONGEST + _SKEW:
        raise ExplainRefused(f"The token in {HEADER} is good for longer than a day; {_MAKE_ANOTHER}.")
    return Token(nonce, expires, method, prefix)


def check(token: Token, method: str, path: str) -> None:
    """Raises ExplainRefused when ``token`` is for other requests. ``path``: as routed, without dot segments."""
    prefix = token.prefix
    if token.method in ("", method) and (not prefix or path == prefix or path.startswith(f"{prefix}/")):
        return
    raise ExplainRefused(f"The token in {HEADER} is for other requests ({token}); {_MAKE_ANOTHER} for this one.")


def _signature(secret: str, body: str) -> bytes:
    message = f"spork-explain.{_VERSION}.{body}".encode()
    return hmac.digest(secret.encode("utf-8", "surrogateescape"), message, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
