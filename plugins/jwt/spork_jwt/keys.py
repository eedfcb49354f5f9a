"""Keys: each bound to one algorithm when it is loaded, and found by what a token's header says.

Rules of this file
1. A key that does not fit its algorithm, or is too weak for it, is never kept: it is refused, with the reason.
2. A kid only looks up. It is compared with the names that are there, and nothing else is done with it.
3. How many keys are tried for a token has a bound.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from spork_jwt.algorithms import (
    ALGORITHMS,
    LEAST_RSA_BITS,
    MOST_RSA_BITS,
    MOST_RSA_EXPONENT,
    Algorithm,
    KeyType,
)

MOST_TRIED: Final = 4
"""So many keys are tried at most for a token that names none."""

_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
"""Names of curves: what the library calls them, and what JSON Web Keys do."""

Check = Callable[[bytes, bytes], bool]
"""Whether the second is the signature of the first."""


class Key:
    """One key for one algorithm. ``kid``: what tokens call it; None: whatever they say is right."""

    __slots__ = ("algorithm", "kid", "signed")

    def __init__(self, algorithm: str, kid: str | None, signed: Check) -> None:
        self.algorithm = algorithm
        self.kid = kid
        self.signed = signed

    def __repr__(self) -> str:
        return f"<Key {self.kid or '-'} {self.algorithm}>"


class KeySet:
    """The keys of one source. ``refused``: those that were left out, each with the reason."""

    def __init__(self, keys: Iterable[Key], refused: Sequence[str] = ()) -> None:
        self.keys: Final = tuple(keys)
        self.refused: Final = tuple(refused)
        self._named: dict[tuple[str, str | None], tuple[Key, ...]] = {}
        self._all: dict[str, tuple[Key, ...]] = {}
        for key in self.keys:
            name = (key.algorithm, key.kid)
            self._named[name] = (*self._named.get(name, ()), key)
            self._all[key.algorithm] = (*self._all.get(key.algorithm, ()), key)

    def find(self, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """The keys to try, at most MOST_TRIED; () when there is none."""
        if kid is None:
            found = self._all.get(algorithm, ())
            return found if len(found) <= MOST_TRIED else ()  # whoever has so many must name them
        return (self._named.get((algorithm, kid)) or self._named.get((algorithm, None), ()))[:MOST_TRIED]

    def told(self) -> list[dict[str, str | None]]:
        """The keys by kid and algorithm, for operators."""
        return [{"kid": key.kid, "algorithm": key.algorithm} for key in self.keys]

    def __repr__(self) -> str:
        return f"<KeySet {len(self.keys)} keys, {len(self.refused)} refused>"


class KeyRefused(ValueError):
    """Why a key is not used, in a sentence that ends in the remedy; it holds nothing of the key."""


def secret_keys(secrets: Mapping[Any, bytes], algorithms: Iterable[str]) -> KeySet:
    """The keys of secrets by kid, one for each algorithm; the config has looked at their lengths."""
    return KeySet(_bound(name, kid, secret) for kid, secret in secrets.items() for name in algorithms)


def pem_keys(files: Mapping[str | None, bytes], algorithms: Sequence[str]) -> KeySet:
    """The keys of PEM texts by kid. Raises KeyRefused."""
    keys: list[Key] = []
    for kid, text in files.items():
        public = _from_pem(text)
        kty, curve = kind_of(public)
        fitting = [name for name in algorithms if _fits(ALGORITHMS[name], kty, curve)]
        if not fitting:
            what = f"{kty} key on {curve}" if curve else f"{kty} key"
            raise KeyRefused(f"none of {', '.join(algorithms)} takes its {what}; write the right one under algorithms")
        _strong(public)
        keys += [_bound(name, kid, public) for name in fitting]
    return KeySet(keys)


def jwk_keys(document: object, algorithms: Sequence[str], most: int, *, symmetric: bool) -> KeySet:
    """The keys of a JSON Web Key Set (RFC 7517 section 5) that are for verifying signatures with ``algorithms``.

    What is not is left out. ``most``: keys it may have. ``symmetric``: secrets are welcome, as in a file and never from
    a URL, where others read them too. Raises KeyRefused when it is no such set, or no key is left.
    """
    members = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(members, list):
        raise KeyRefused('it is no JSON Web Key Set; it must be an object with a list "keys"')
    if len(members) > most:
        raise KeyRefused(f"it has {len(members)} keys; {most} are the most")
    keys: list[Key] = []
    refused: list[str] = []
    for at, member in enumerate(members):
        try:
            keys += _from_jwk(member, algorithms, symmetric)
        except KeyRefused as why:
            kid = member.get("kid") if isinstance(member, dict) else None
            refused.append(f"{kid if isinstance(kid, str) else f'number {at + 1}'}: {why}"[:200])
    if not keys:
        raise KeyRefused(f"it has no usable key{f' ({refused[0]})' if refused else ''}; see algorithms")
    return KeySet(keys, refused)


def _from_jwk(jwk: Any, algorithms: Sequence[str], symmetric: bool) -> list[Key]:
    """The keys of one JWK, one for each algorithm it is good for. Raises KeyRefused."""
    if not isinstance(jwk, dict):
        raise KeyRefused("it is no object")
    kid, kty, curve, operations = jwk.get("kid"), jwk.get("kty"), jwk.get("crv"), jwk.get("key_ops")
    if kid is not None and not isinstance(kid, str):
        raise KeyRefused("its kid is no text")
    if kty not in ("RSA", "EC", "OKP", "oct"):  # a tuple: what stands there may be anything
        raise KeyRefused("its kty is none of RSA, EC, OKP and oct")
    if jwk.get("use") not in (None, "sig"):
        raise KeyRefused("its use is not sig")
    if operations is not None and not (isinstance(operations, list) and "verify" in operations):
        raise KeyRefused("its key_ops do not have verify")
    if kty == "oct" and not symmetric:
        raise KeyRefused("it is a secret, which no URL should give away")
    if kty != "oct" and "d" in jwk:
        raise KeyRefused("it holds its private half, so that whoever reads it can sign")
    fitting = [name for name in algorithms if _fits(ALGORITHMS[name], kty, curve)]
    if jwk.get("alg") is not None:
        fitting = [name for name in fitting if name == jwk["alg"]]
    if not fitting:
        raise KeyRefused("its kty, crv and alg fit none of the algorithms that are accepted")
    try:
        material = _library()[fitting[0]].from_jwk(jwk)
    except Exception as error:  # the library lets some of cryptography's own errors through
        raise KeyRefused(f"it cannot be read ({type(error).__name__})") from error
    if kty != "oct":
        _strong(material)
        return [_bound(name, kid, material) for name in fitting]
    strong = [name for name in fitting if len(material) >= ALGORITHMS[name].secret]
    if not strong:
        raise KeyRefused(f"it is too short for {fitting[0]} (RFC 7518 section 3.2)")
    return [_bound(name, kid, material) for name in strong]


def _library() -> Mapping[str, Any]:
    """PyJWT's algorithms by name; imported here because that takes 80 ms."""
    from jwt.algorithms import get_default_algorithms

    return get_default_algorithms()


def _bound(algorithm: str, kid: str | None, material: Any) -> Key:
    verify = _library()[algorithm].verify

    def signed(message: bytes, signature: bytes) -> bool:
        try:
            good: bool = verify(message, material, signature)
        except ValueError:  # a signature of a form that cannot be
            return False
        return good

    return Key(algorithm, kid, signed)


def _from_pem(text: bytes) -> Any:
    """The public key of a PEM text, or of a certificate in one. Raises KeyRefused."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if b"PRIVATE KEY-----" in text:
        raise KeyRefused("it is a private key, which has no place here; write its public half: openssl pkey -pubout")
    try:
        if b"-----BEGIN CERTIFICATE-----" in text:
            return x509.load_pem_x509_certificate(text).public_key()
        return load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyRefused("it is no PEM of a public key; it must begin with -----BEGIN PUBLIC KEY-----") from None


def kind_of(public: Any) -> tuple[KeyType, str]:
    """The ``kty`` and the ``crv`` of a public key; "" where it has none. Raises KeyRefused."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa

    if isinstance(public, rsa.RSAPublicKey):
        return "RSA", ""
    if isinstance(public, ec.EllipticCurvePublicKey):
        return "EC", _CURVES.get(public.curve.name, public.curve.name)
    if isinstance(public, ed25519.Ed25519PublicKey):
        return "OKP", "Ed25519"
    if isinstance(public, ed448.Ed448PublicKey):
        return "OKP", "Ed448"
    raise KeyRefused("it is neither an RSA nor an EC nor an Ed25519 or Ed448 key; make one of these")


def _fits(algorithm: Algorithm, kty: object, curve: object) -> bool:
    return algorithm.kty == kty and (not algorithm.curves or curve in algorithm.curves)


def _strong(public: Any) -> None:
    """Refuses an RSA key that is too short to be safe, or too large to be quick. Raises KeyRefused."""
    bits = getattr(public, "key_size", None)
    if kind_of(public)[0] != "RSA" or bits is None:
        return
    if bits < LEAST_RSA_BITS:
        raise KeyRefused(f"its RSA key has {bits} bits; {LEAST_RSA_BITS} are the least")
    if bits > MOST_RSA_BITS or public.public_numbers().e > MOST_RSA_EXPONENT:
        raise KeyRefused(f"its RSA key is too large; {MOST_RSA_BITS} bits and the exponent 65537 are enough")
