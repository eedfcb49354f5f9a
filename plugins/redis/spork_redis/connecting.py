"""The one place that makes connections, with redis-py: addresses, TLS, log-in, sentinels.

No connection is tried again by itself and no command is repeated: ``Lane`` decides when. The rest of the plugin takes a
connection over once it is logged in, because what redis-py costs for each command (14 µs in a pipeline of 50, 50 µs
alone) is more than a rate limit may.
"""

import asyncio
from ssl import CERT_NONE, SSLContext, SSLError, create_default_context
from typing import Any, Final

from redis.asyncio import ConnectionPool, Redis, Sentinel
from redis.asyncio.connection import AbstractConnection, Connection, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.credentials import CredentialProvider
from redis.exceptions import RedisError

from spork_core.api import Secret, SporkError, StoreDown
from spork_redis.config import RedisConfig, Tls

NAME: Final = "spork"
"""What CLIENT LIST calls the connections."""
_PRIMARY: Final = b"master"


class _Encrypted(SSLConnection):
    """A TLS connection with a context that was made before: redis-py would read its files for each connection."""

    def __init__(self, context: SSLContext, **settings: Any) -> None:
        super().__init__(**settings)
        self.ssl_context.context = context


class _Credentials(CredentialProvider):
    """Shows a password only to whoever logs in."""

    def __init__(self, username: str, password: Secret) -> None:
        self._username = username
        self._password = password

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        password = self._password.reveal()
        return (self._username, password) if self._username else (password,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        return self.get_credentials()


def _credentials(username: str, password: Secret | None) -> _Credentials | None:
    return None if password is None else _Credentials(username, password)


class Connecting:
    """Makes connections as ``config`` says. ``context``: what ``tls_context`` made of its TLS settings."""

    def __init__(self, config: RedisConfig, context: SSLContext | None) -> None:
        place = config.place
        self._place = place
        bare: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "driver_info": None}
        self._class: type[Connection] = Connection
        if context is not None:
            self._class = _Encrypted
            bare["context"] = context
        self._settings = bare | {
            "db": place.database,
            "credential_provider": _credentials(config.username or place.username, config.password or place.password),
            "client_name": NAME,
            "socket_timeout": config.connect_timeout,
            "socket_connect_timeout": config.connect_timeout,
        }
        self._sentinel: Sentinel | None = None
        if place.mode == "sentinel":
            share = config.connect_timeout / (len(place.hosts) + 1)  # one that is gone leaves time for the others
            bare |= {
                "credential_provider": _credentials(config.sentinel_username, config.sentinel_password),
                "socket_timeout": share,
                "socket_connect_timeout": share,
            }
            self._sentinel = Sentinel([])  # type: ignore[no-untyped-call]
            self._sentinel.sentinels = [
                Redis(connection_pool=ConnectionPool(connection_class=self._class, host=host, port=port, **bare))
                for host, port in place.hosts
            ]

    async def to_place(self) -> asyncio.StreamWriter:
        """A connection to the one server, or to the one that the sentinels call the primary. Raises StoreDown."""
        if self._sentinel is not None:
            return await self._to_primary(self._sentinel)
        if self._place.path:
            return await self.to_socket(self._place.path)
        return await self.to(*self._place.hosts[0])

    async def to(self, host: str, port: int) -> asyncio.StreamWriter:
        """A connection to one server. Raises StoreDown."""
        return await _logged_in(self._class(host=host, port=port, **self._settings))

    async def to_socket(self, path: str) -> asyncio.StreamWriter:
        """A connection through a unix socket. Raises StoreDown."""
        return await _logged_in(UnixDomainSocketConnection(path=path, **self._settings))

    async def close(self) -> None:
        """Ends the connections to the sentinels."""
        if self._sentinel is not None:
            for each in self._sentinel.sentinels:
                await each.connection_pool.disconnect()

    async def _to_primary(self, sentinel: Sentinel) -> asyncio.StreamWriter:
        try:
            host, port = await sentinel.discover_master(self._place.service)
        except RedisError as error:
            raise StoreDown(reason=f"the sentinels name no primary: {error}") from error
        return await _logged_in(self._class(host=host, port=port, **self._settings), primary=True)


async def _logged_in(connection: AbstractConnection, *, primary: bool = False) -> asyncio.StreamWriter:
    """Connects, logs in, and takes the stream out of redis-py's hands. ``primary``: it must be one; sentinels may not
    know yet that it is none any more."""
    try:
        await connection.connect()  # type: ignore[no-untyped-call]
        if primary:
            await connection.send_command("ROLE")
            role, *_ = await connection.read_response()
            if role != _PRIMARY:
                raise StoreDown(reason="the server that the sentinels name is no primary")
        writer = connection._writer
        assert writer is not None
        connection._reader = connection._writer = None
    except RedisError as error:
        raise StoreDown(reason=str(error)) from error
    finally:
        connection._close()  # type: ignore[no-untyped-call]  # after a failure: what is still its own
    return writer


def tls_context(tls: Tls | None) -> SSLContext:
    """Reads the files: not for the event loop. Raises SporkError."""
    tls = tls or Tls()
    try:
        context = create_default_context(cafile=tls.ca_file or None)
        if tls.certificate_file:
            context.load_cert_chain(tls.certificate_file, tls.key_file or None)
    except (OSError, SSLError) as error:
        files = ", ".join(filter(None, (tls.ca_file, tls.certificate_file, tls.key_file)))
        raise SporkError(
            f"the TLS files of the store cannot be used ({error}); name readable PEM files in place of {files}"
        ) from error
    if tls.verify != "full":
        context.check_hostname = False
    if tls.verify == "none":
        context.verify_mode = CERT_NONE
    return context
