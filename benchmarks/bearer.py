"""The bearer token that every request carries: an HS256 JWT that peers with authentication accept."""

import base64
import hashlib
import hmac
import json
import time
from typing import Final

SECRET: Final = b"0123456789abcdef0123456789abcdef"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _json(data: object) -> str:
    return _encoded(json.dumps(data, separators=(",", ":")).encode())


KEY: Final = _encoded(SECRET)
"""The secret as in a JWK."""


def token(subject: str = "u1") -> str:
    """A token for a day: issuer and audience ``bench``, role ``user``."""
    now = int(time.time())
    claims = {
        "iss": "bench",
        "aud": "bench",
        "sub": subject,
        "roles": ["user"],
        "iat": now,
        "nbf": now,
        "exp": now + 86400,
    }
    signed = f"{_json({'alg': 'HS256', 'typ': 'JWT', 'kid': 'k1'})}.{_json(claims)}"
    return f"{signed}.{_encoded(hmac.new(SECRET, signed.encode(), hashlib.sha256).digest())}"
