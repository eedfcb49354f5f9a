"""A gateway in this process from config objects, for tests that look at the kernel's wires byte by byte."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

import spork_core.testing.running
from spork_core.api import Plugin
from spork_core.clock import Clock
from spork_core.config.model import (
    Address,
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Listener,
    MatchConfig,
    RouteConfig,
    ServiceConfig,
)
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing.asking import Client
from spork_core.testing.patience import PATIENCE, holds
from spork_core.testing.running import serving
from spork_core.testing.strict import Errors
from spork_core.testing.upstreams import OK, Script, Upstream, always, upstream
from spork_core.testing.wire import Message, Recorder, Wire

__all__ = [
    "GET",
    "OK",
    "PATIENCE",
    "Message",
    "Recorder",
    "Running",
    "Script",
    "Upstream",
    "Wire",
    "always",
    "gateway",
    "holds",
    "upstream",
]

GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


class Running(spork_core.testing.running.Running):
    """A gateway that serves, and raw connections to it."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self.clients: list[Wire] = []

    async def connect(self, *, tls: ssl.SSLContext | None = None) -> Client:
        made = await super().connect(tls=tls)
        self.clients.append(made.wire)
        return made

    async def client(self) -> Wire:
        """A new connection to it."""
        return (await self.connect()).wire


@asynccontextmanager
async def gateway(
    backend: Upstream | None = None,
    *,
    route: Mapping[str, Any] | None = None,
    match: Mapping[str, Any] | None = None,
    service: Mapping[str, Any] | None = None,
    plugins: Mapping[str, type[Plugin[Any]]] | None = None,
    instances: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Mapping[str, RouteConfig] | None = None,
    services: Mapping[str, ServiceConfig] | None = None,
    clock: Clock | None = None,
    faults: bool = False,
    **config: Any,
) -> AsyncIterator[Running]:
    """A gateway on a free port, with one route to ``backend`` unless ``routes`` says otherwise.

    ``route``, ``match``, ``service``: keywords of that route's RouteConfig, MatchConfig and ServiceConfig. ``plugins``:
    classes by name, all of them in the outer chain in this order. ``instances``: keywords of their InstanceConfig.
    ``faults``: an unexpected error inside the kernel is what the test is about. ``config``: of GatewayConfig.
    """
    if services is None and backend is not None:
        services = {"up": ServiceConfig((EndpointConfig(backend.url),), **(service or {}))}
    if routes is None:
        wanted = {"service": "up" if services else None, **(route or {})}
        routes = {"all": RouteConfig(MatchConfig(**(match or {})), **wanted)}
    offered = dict(plugins or {})
    more = instances or {}
    made = GatewayConfig(
        listen=(Listener(Address("127.0.0.1", 0)),),
        admin=None,
        services=dict(services or {}),
        routes=dict(routes),
        plugins={
            name: InstanceConfig(name, name, **{"settings": cls.Config(), **more.get(name, {})})
            for name, cls in offered.items()
        },
        chain=tuple(offered),
    )
    gate = await asyncio.to_thread(
        Gateway, attrs.evolve(made, **config), Registry(offered), clock=clock
    )  # it reads files
    running, errors = Running(gate), Errors()
    with errors.collected():
        async with serving(running):
            yield running
    assert faults or [message for message in errors.messages if "unexpected" in message] == []
