"""The signature algorithms (RFC 7518 section 3.1, RFC 8037): which kind of key each takes, and how strong it must be.

An algorithm is bound to a key when the key is loaded. What a token says of its algorithm only chooses among the keys
that are there for it: a public key is never a secret, whatever a header says.
"""

from typing import Final, Literal, get_args

from attrs import frozen

Name = Literal[
    "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
"""What ``algorithms`` may list. ``none`` is not one of them."""

KeyType = Literal["oct", "RSA", "EC", "OKP"]
"""``kty`` of RFC 7518 section 6.1 and RFC 8037."""

LEAST_RSA_BITS: Final = 2048
"""RFC 7518 sections 3.3 and 3.5."""
MOST_RSA_BITS: Final = 8192
"""A longer modulus makes each look at a forged token cost milliseconds."""
MOST_RSA_EXPONENT: Final = 1 << 32
"""As above; 65537 is what everybody has."""


@frozen
class Algorithm:
    """``kty``: the type of its keys. ``curves``: those its keys may be on; () where keys have none. ``secret``: the
    least length of a secret in bytes, which is that of the hash (RFC 7518 section 3.2); 0 where keys are public."""

    name: Name
    kty: KeyType
    curves: tuple[str, ...] = ()
    secret: int = 0


def _table() -> dict[str, Algorithm]:
    curves = {
        "ES256": ("P-256",),
        "ES384": ("P-384",),
        "ES512": ("P-521",),
        "EdDSA": ("Ed25519", "Ed448"),
    }
    kinds: dict[str, KeyType] = {"HS": "oct", "RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
    found = {}
    for name in get_args(Name):
        secret = int(name[2:]) // 8 if name.startswith("HS") else 0
        found[name] = Algorithm(name, kinds[name[:2]], curves.get(name, ()), secret)
    return found


ALGORITHMS: Final = _table()
"""By name."""

SECRET_DEFAULT: Final[tuple[Name, ...]] = ("HS256",)
PUBLIC_DEFAULT: Final[tuple[Name, ...]] = ("RS256", "ES256", "EdDSA")
"""What is accepted where ``algorithms`` says nothing: with secrets, and with public keys."""
