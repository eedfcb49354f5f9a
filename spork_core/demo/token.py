"""The demo's identity provider, as small as can be: one secret, and tokens signed with it (RFC 7519)."""

import hashlib
import hmac
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import Final

SECRET: Final = "a secret for the demo, which everybody knows"  # noqa: S105  it guards nothing
ISSUER: Final = "https://id.example.com"
AUDIENCE: Final = "spork"
LIFETIME: Final = 12 * 3600
"""Seconds."""


def token(subject: str = "ada", roles: Sequence[str] = ("admin",)) -> str:
    """A token that the demo's gateway accepts for half a day."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": subject, "roles": list(roles), "iat": now, "exp": now + LIFETIME}
    signed = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims)}"
    return f"{signed}.{_encoded(hmac.new(SECRET.encode(), signed.encode(), hashlib.sha256).digest())}"


def _part(data: object) -> str:
    return _encoded(json.dumps(data, separators=(",", ":")).encode())


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
