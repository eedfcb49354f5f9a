"""The config of a gateway under test: said in a test's own words, read by the loader that reads YAML files."""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

from spork_core.config import EndpointConfig, GatewayConfig, load, loads
from spork_core.config.model import Address
from spork_core.errors import ConfigError, ConfigProblem
from spork_core.plugin import Plugin
from spork_core.registry import Registry

Settings = Mapping[str, Any]
Use = Settings | None | type[Plugin[Any]] | tuple[type[Plugin[Any]], Settings]
"""An instance: its settings as in a config file, a plugin's class, or both."""

SERVICE: Final = "up"
"""The service of the default route."""
_ANY_PORT: Final = Address("127.0.0.1", 0)
_NOWHERE: Final = "http://127.0.0.1:1"
"""What the loader reads in the place of an upstream that has no port yet."""
_MACHINES_OWN: Final = ("SPORK_LISTEN", "SPORK_ADMIN_LISTEN", "SPORK_WORKERS")


class Offered(Registry):
    """The installed plugins, and classes of a test's own, which come first."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, type[Plugin[Any]]] = {}

    def names(self) -> list[str]:
        return sorted({*super().names(), *self.given})

    def distribution(self, name: str) -> str:
        return "" if name in self.given else super().distribution(name)

    def plugin_class(self, name: str) -> type[Plugin[Any]]:
        return self.given.get(name) or super().plugin_class(name)


@attrs.define
class Wanted:
    """What a test wants of a gateway; the arguments of ``gateway``."""

    plugins: Mapping[str, Use]
    routes: Mapping[str, Settings] | None
    services: Mapping[str, Settings]
    chain: Sequence[str] | None
    config: str | Path | None
    more: Mapping[str, Any]

    def __attrs_post_init__(self) -> None:
        if self.config is not None and (self.routes or self.services or self.chain or self.more):
            raise TypeError("config says everything: routes, services, chain and other keys stand in it")

    def read(self, registry: Offered, upstreams: Collection[str]) -> GatewayConfig:
        """The whole config, on free ports of this machine. ``upstreams``: services that have an upstream of the test's.
        Classes among the plugins become known to ``registry``. Raises ConfigError."""
        settings = dict(self._instances(registry))
        environ = {name: value for name, value in os.environ.items() if name not in _MACHINES_OWN}
        if self.config is None:
            text = json.dumps(self._plain(settings, upstreams), default=str)
            try:
                read = loads(text, plugins=registry, environ=environ)
            except ConfigError as error:
                raise ConfigError([_nowhere(problem) for problem in error.problems]) from None
        elif isinstance(self.config, Path):
            read = load(self.config, plugins=registry, environ=environ)
        else:
            read = loads(self.config, plugins=registry, environ=environ)
        admin = read.admin and attrs.evolve(read.admin, listen=attrs.evolve(read.admin.listen, address=_ANY_PORT))
        listen = tuple(attrs.evolve(listener, address=_ANY_PORT) for listener in read.listen)
        return attrs.evolve(read, listen=listen, admin=admin)

    def unplaced(self) -> list[str]:
        """The services of the test that name no endpoints."""
        return [name for name, settings in self.services.items() if "endpoints" not in settings]

    def scripted(self, config: GatewayConfig) -> list[str]:
        """The services whose endpoints the test's upstreams stand for: those of a test that name none, and every one
        of a config file, which must not reach what it names."""
        own = self.config is None
        return [name for name in config.services if not (own and "endpoints" in self.services.get(name, {}))]

    def _instances(self, registry: Offered) -> Iterator[tuple[str, Settings]]:
        for name, use in self.plugins.items():
            cls, settings = use if isinstance(use, tuple) else (use, {}) if isinstance(use, type) else (None, use or {})
            if self.config is not None and settings:
                raise TypeError(f"the settings of {name} stand in the config; give its class only")
            if cls is None:
                yield name, settings
            else:
                registry.given[name] = cls
                yield name, {**settings, "use": name}

    def _plain(self, instances: Settings, upstreams: Collection[str]) -> dict[str, Any]:
        services = {name: {"endpoints": [_NOWHERE], **self.services.get(name, {})} for name in upstreams}
        routes = self.routes
        if routes is None:
            routes = {"all": {"match": {}, "service": next(iter(upstreams), None)}}
        chain = list(instances) if self.chain is None else list(self.chain)
        return {
            "admin": None,
            **self.more,
            "plugins": instances,
            "chain": chain,
            "services": {**self.services, **services},
            "routes": routes,
        }


def _nowhere(problem: ConfigProblem) -> ConfigProblem:
    """Without the file and line, which a test's mapping does not have."""
    return ConfigProblem(problem.message, path=problem.path, remedy=problem.remedy)


def pointed(config: GatewayConfig, urls: Mapping[str, str]) -> GatewayConfig:
    """``config`` with the services ``urls`` at those addresses."""
    services = {
        name: attrs.evolve(service, endpoints=(EndpointConfig(urls[name]),)) if name in urls else service
        for name, service in config.services.items()
    }
    return attrs.evolve(config, services=services)
