"""Where keys come from: the one source that a config names, read once at start or fetched again and again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from spork_core.api import GatewayView
from spork_jwt.config import JwtConfig
from spork_jwt.jwks import RemoteKeys, parsed
from spork_jwt.keys import KeyRefused, KeySet, jwk_keys, pem_keys, secret_keys
from spork_jwt.secret_text import secret_bytes

_LARGEST: Final = 4 << 20
"""Bytes of a key file."""


async def local_keys(config: JwtConfig) -> KeySet | None:
    """The keys of secrets and files; None when they come from a URL. Raises ValueError, naming the setting."""
    return await asyncio.to_thread(_local, config)  # it reads files, and imports a cryptographic library


def remote_keys(config: JwtConfig, gateway: GatewayView, changed: Callable[[], object], name: str) -> RemoteKeys | None:
    """The keys of a URL, not fetched yet; None when they come from elsewhere."""
    if config.jwks_url is None:
        return None
    algorithms, most = config.accepted, config.jwks.max_keys

    def read(document: bytes) -> KeySet:
        return jwk_keys(parsed(document), algorithms, most, symmetric=False)

    return RemoteKeys(config.jwks_url, config.jwks, gateway, read, changed, name)


def _local(config: JwtConfig) -> KeySet | None:
    algorithms = config.accepted
    if config.jwks_url is not None:
        import jwt.algorithms  # noqa: F401  here, in a thread: the first fetch would import it on the loop

        return None
    if config.secret is not None:
        return secret_keys({None: secret_bytes(config.secret.reveal(), config.secret_encoding)}, algorithms)
    if config.secrets:
        encoding = config.secret_encoding
        secrets = {kid: secret_bytes(secret.reveal(), encoding) for kid, secret in config.secrets.items()}
        return secret_keys(secrets, algorithms)
    if config.jwks_file is not None:
        document = _read("jwks_file", config.jwks_file)
        try:
            return jwk_keys(parsed(document), algorithms, config.jwks.max_keys, symmetric=True)
        except ValueError as error:
            raise ValueError(f"jwks_file {config.jwks_file}: {error}") from error
    if config.public_key_file is not None:
        return _pem("public_key_file", None, config.public_key_file, algorithms)
    sets = [_pem(f"public_key_files.{kid}", kid, file, algorithms) for kid, file in config.public_key_files.items()]
    return KeySet(key for each in sets for key in each.keys)


def _pem(setting: str, kid: str | None, file: Path, algorithms: tuple[str, ...]) -> KeySet:
    try:
        return pem_keys({kid: _read(setting, file)}, algorithms)
    except KeyRefused as error:
        raise ValueError(f"{setting} {file}: {error}") from error


def _read(setting: str, file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{setting} {file} cannot be read: {reason}; write the path of a file that can be") from error
    if len(content) > _LARGEST:
        raise ValueError(f"{setting} {file} is larger than {_LARGEST} bytes; write the path of a key file")
    return content
