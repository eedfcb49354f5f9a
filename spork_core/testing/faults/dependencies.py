"""What plugins depend on, as their settings tell it: addresses that a link can stand in front of."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import attrs

from spork_core.config.fields import NAMES, Secret
from spork_core.config.model import GatewayConfig

PORTS: Final = {
    "redis": 6379,
    "valkey": 6379,
    "postgres": 5432,
    "postgresql": 5432,
    "mysql": 3306,
    "mongodb": 27017,
    "amqp": 5672,
    "nats": 4222,
    "mqtt": 1883,
    "memcached": 11211,
    "ldap": 389,
    "http": 80,
    "https": 443,
}
"""The port that a URL means when it says none."""
_TLS: Final = ("https", "rediss", "valkeys", "amqps", "mqtts", "nats+tls", "ldaps", "wss", "tls", "grpcs")
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^\s]+", re.IGNORECASE)
_UNIX: Final = re.compile(r"(?:unix|[a-z]+\+(?:unix|socket)):(?://)?(/[^\s?#]+)", re.IGNORECASE)
_NEEDS_TLS: Final = re.compile(r"[?&](?:ssl|sslmode|tls)=(?:require|verify-ca|verify-full|true|1)\b")

Path = tuple[str | int, ...]
Change = Callable[[str], str]


@attrs.frozen
class Dependency:
    """An address in the settings of an instance.

    ``path``: where in them. ``shown``: scheme, host and port, and nothing secret. ``port``: None for the unix socket
    ``host``. ``why_not``: why no link can stand in front of it; "" when one can.
    """

    instance: str
    path: Path
    shown: str
    host: str = ""
    port: int | None = None
    why_not: str = ""

    @property
    def where(self) -> str:
        """The place in the config."""
        keys = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.path)
        return f"plugins.{self.instance}{keys}"


def found(config: GatewayConfig) -> tuple[Dependency, ...]:
    """Every address in the settings of the instances that are switched on."""
    return tuple(
        dependency
        for name, instance in config.plugins.items()
        if instance.enabled
        for path, text in _texts(instance.settings)
        if (dependency := _dependency(name, path, text)) is not None
    )


def moved(config: GatewayConfig, dependency: Dependency, link_url: Change) -> GatewayConfig:
    """``config`` with another address in the place of a dependency's. ``link_url``: makes it of the old one.

    Raises what the plugin's config class raises when it does not take that.
    """
    instance = config.plugins[dependency.instance]
    settings = _replaced(instance.settings, dependency.path, link_url)
    plugins = {**config.plugins, dependency.instance: attrs.evolve(instance, settings=settings)}
    return attrs.evolve(config, plugins=plugins)


def _texts(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Secret):
        yield path, value.reveal()
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _texts(each, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for at, each in enumerate(value):
            yield from _texts(each, (*path, at))
    elif attrs.has(type(value)):
        for field in attrs.fields(type(value)):
            if field.init and not field.metadata.get(NAMES):
                yield from _texts(getattr(value, field.name), (*path, field.name))


def _replaced(value: Any, path: Path, change: Change) -> Any:
    if not path:
        return Secret(change(value.reveal()), value.reference) if isinstance(value, Secret) else change(value)
    key, rest = path[0], path[1:]
    if isinstance(value, Mapping):
        return {**value, key: _replaced(value[key], rest, change)}
    if isinstance(value, list | tuple):
        changed = [_replaced(each, rest, change) if at == key else each for at, each in enumerate(value)]
        return type(value)(changed)
    field = next(each for each in attrs.fields(type(value)) if each.name == key)
    return attrs.evolve(value, **{field.alias: _replaced(getattr(value, field.name), rest, change)})


def _dependency(instance: str, path: Path, text: str) -> Dependency | None:
    unix = _UNIX.fullmatch(text.partition("?")[0])
    if unix is not None:
        return Dependency(instance, path, f"unix:{unix[1]}", unix[1])
    if not _URL.fullmatch(text):
        return None
    url = urlsplit(text)
    scheme = url.scheme.lower()
    try:
        host, port = url.hostname, url.port or PORTS.get(scheme.partition("+")[0])
    except ValueError:
        return Dependency(instance, path, f"{scheme}://…", why_not="it names no single host and port")
    bracketed = f"[{host}]" if host and ":" in host else host or ""
    shown = f"{scheme}://{bracketed}{'' if url.port is None else f':{url.port}'}"
    if not host or "," in host:
        return Dependency(instance, path, shown, why_not="it names no single host")
    if scheme in _TLS or _NEEDS_TLS.search(text):
        why_not = "it speaks TLS, and would see the link's address in place of the name in its certificate"
        return Dependency(instance, path, shown, host, port, why_not)
    if port is None:
        return Dependency(instance, path, shown, host, why_not="it says no port, and the scheme has none of its own")
    return Dependency(instance, path, shown, host, port)
