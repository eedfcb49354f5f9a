"""What the tests of jwt share: an issuer with keys of every kind, and what the gateway answers a bad token."""

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jwt
import pytest
from attrs import field, frozen
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.utils import base64url_encode

from spork_core.testing import StillClock

SECRET = "n0t-a-secret-but-64-bytes-long-so-that-it-is-enough-for-hs512-too!!"
NOW = int(StillClock().now)


@lru_cache
def private_key(kind: str, name: str = "") -> Any:
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1(), "secp256k1": ec.SECP256K1()}
    if kind in curves:
        return ec.generate_private_key(curves[kind])
    if kind.startswith("RSA"):
        return rsa.generate_private_key(65537, int(kind[3:] or 2048))
    return {"Ed25519": ed25519.Ed25519PrivateKey, "Ed448": ed448.Ed448PrivateKey}[kind].generate()


KINDS = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "Ed": "Ed25519"}


@frozen
class Issuer:
    """Signs tokens, and writes keys in every form that a config takes."""

    algorithm: str = "HS256"
    kid: str | None = None
    name: str = ""
    kind: str = field()

    @kind.default
    def _kind(self) -> str:
        return KINDS.get(self.algorithm) or KINDS[self.algorithm[:2]]

    @property
    def private(self) -> Any:
        return SECRET if self.kind == "oct" else private_key(self.kind, self.name)

    @property
    def pem(self) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def jwk(self, **more: Any) -> dict[str, Any]:
        made = jwt.get_algorithm_by_name(self.algorithm)
        key = SECRET if self.kind == "oct" else self.private.public_key()
        found = made.to_jwk(key, as_dict=True)
        return {**found, **({} if self.kid is None else {"kid": self.kid}), **more}

    def claims(self, **more: Any) -> dict[str, Any]:
        claims = {"sub": "alice", "exp": NOW + 3600, "iat": NOW, **more}
        return {name: value for name, value in claims.items() if value is not ...}

    def token(self, *, header: dict[str, Any] | None = None, **more: Any) -> str:
        """A token; ``more``: claims, ``...`` to leave one out."""
        kid = {} if self.kid is None else {"kid": self.kid}
        return jwt.encode(self.claims(**more), self.private, self.algorithm, headers={**kid, **(header or {})})

    def signed(self, header: bytes, payload: bytes) -> str:
        """A token of these very bytes, with a good signature."""
        made = jwt.get_algorithm_by_name(self.algorithm)
        message = base64url_encode(header) + b"." + base64url_encode(payload)
        return (message + b"." + base64url_encode(made.sign(message, made.prepare_key(self.private)))).decode()

    def bearer(self, **more: Any) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token(**more)}"}


@pytest.fixture
def issuer() -> Issuer:
    """One whose secret is ``secret``."""
    return Issuer()


@pytest.fixture
def secret() -> str:
    return SECRET


@pytest.fixture
def now() -> int:
    """When the clock of a gateway under test begins."""
    return NOW


@pytest.fixture
def of() -> type[Issuer]:
    """Other issuers: ``of("ES256", "kid")``."""
    return Issuer


@pytest.fixture
def challenge() -> Callable[..., str]:
    def made(sentence: str, error: str = "invalid_token", realm: str = "spork") -> str:
        return f'Bearer realm="{realm}", error="{error}", error_description="{sentence}"'

    return made


@pytest.fixture
def jwks() -> Callable[..., str]:
    def made(*keys: dict[str, Any]) -> str:
        return json.dumps({"keys": keys})

    return made
