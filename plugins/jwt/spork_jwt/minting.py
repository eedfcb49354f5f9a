"""Makes tokens that an instance accepts, to try things with. No gateway signs anything with this."""

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from attrs import field, frozen

from spork_jwt.algorithms import ALGORITHMS, PUBLIC_DEFAULT, SECRET_DEFAULT
from spork_jwt.secret_text import secret_bytes
from spork_jwt.settings_file import Settings


@frozen
class Signer:
    """What signs. ``key``: bytes of a secret, or a private key of the library's."""

    key: Any = field(repr=False)
    algorithm: str
    kid: str | None = None

    @classmethod
    def of(cls, settings: Settings, file: Path | None, algorithm: str | None, kid: str | None) -> "Signer":
        """That of an instance: its secret, the first of several, or the private key in ``file``. Raises
        ClickException."""
        if file is not None:
            key = _private(file)
            accepted = _texts(settings.get("algorithms")) or PUBLIC_DEFAULT
            fitting = [name for name in accepted if _can(name, key)] if algorithm is None else [algorithm]
            if not fitting:
                raise click.ClickException(f"The key in {file} can do none of {', '.join(accepted)}.")
            return cls(key, fitting[0], kid)
        texts: Mapping[str, str] = settings.get("secrets") or {}
        if kid is None and texts:
            kid = next(iter(texts))
        text = texts.get(kid or "") or settings.get("secret")
        if not text:
            raise click.ClickException("Tokens are checked with a public key here. Name the private one: --key.")
        accepted = _texts(settings.get("algorithms")) or SECRET_DEFAULT
        return cls(secret_bytes(text, settings.get("secret_encoding", "text")), algorithm or accepted[0], kid)


def mint(
    settings: Settings,
    signer: Signer,
    *,
    sub: str,
    scope: str = "",
    roles: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
    now: float,
    expires: float = 3600,
) -> str:
    """A token with what the instance of ``settings`` wants. ``now``: seconds since the epoch. ``expires``: seconds
    from then."""
    import jwt

    claims: dict[str, Any] = {"iat": int(now), "exp": int(now + expires), "jti": secrets.token_hex(16)}
    for claim, name in (("iss", "issuer"), ("aud", "audience")):
        wanted = [text for text in _texts(settings.get(name)) if text != "*"]
        if wanted:
            claims[claim] = wanted[0]
    _put(claims, settings.get("subject", "sub"), sub)
    if scope:
        _put(claims, settings.get("scopes", "scope"), scope)
    if roles:
        _put(claims, settings.get("roles", "roles"), list(roles))
    header = {"kid": signer.kid} if signer.kid is not None else {}
    if types := _texts(settings.get("typ")):
        header["typ"] = types[0]
    return jwt.encode({**claims, **(more or {})}, signer.key, signer.algorithm, headers=header)


def unverified(token: str) -> dict[str, Any]:
    """The claims of a token, whoever signed it. Raises ClickException."""
    import jwt

    try:
        return jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError as error:
        raise click.ClickException(f"That is no token: {error}.") from error


def _put(claims: dict[str, Any], path: str, value: object) -> None:
    *outer, last = path.split(".")
    for step in outer:
        claims = claims.setdefault(step, {})
    claims[last] = value


def _texts(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _private(file: Path) -> Any:
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        return load_pem_private_key(file.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise click.ClickException(f"{file} is no PEM of a private key without a password.") from error


def _can(algorithm: str, key: Any) -> bool:
    from spork_jwt.keys import kind_of

    kty, curve = kind_of(key.public_key())
    known = ALGORITHMS[algorithm]
    return known.kty == kty and (not known.curves or curve in known.curves)
