"""The stage of one fault: the config's own gateway on a loopback port, between a client and scripted services."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from itertools import chain

import attrs

from spork_core.clock import Clock
from spork_core.config.model import Address, GatewayConfig, Listener, UpstreamTLS
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing.faults.asked import Seen, ask
from spork_core.testing.faults.samples import Sample
from spork_core.testing.faults.scenarios import HEALTHY, Scenario, works
from spork_core.testing.link import Link, flaky
from spork_core.testing.patience import settle
from spork_core.testing.upstreams import Script, Upstream, upstream
from spork_core.testing.wire import Wire


class Complaints(logging.Handler):
    """Collects what the kernel calls unexpected, and what no task told anybody."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "unexpected" in record.getMessage():
            self.lines.append(self.format(record).partition("\n")[0] + _cause(record))

    def lost(self, _: asyncio.AbstractEventLoop, context: Mapping[str, object]) -> None:
        """An exception handler for a loop."""
        error = context.get("exception")
        self.lines.append(f"{context.get('message')}{'' if error is None else f': {error!r}'}")


def _cause(record: logging.LogRecord) -> str:
    error = record.exc_info[1] if record.exc_info else None
    return "" if error is None else f": {type(error).__name__}: {error}"


@contextmanager
def listening(loop: asyncio.AbstractEventLoop) -> Iterator[Complaints]:
    """Collects complaints, which nobody else gets then."""
    complaints = Complaints()
    logger = logging.getLogger("spork_core")
    logger.addHandler(complaints)
    loop.set_exception_handler(complaints.lost)
    try:
        yield complaints
    finally:
        loop.set_exception_handler(None)
        logger.removeHandler(complaints)


class Backend:
    """What stands in for one endpoint. ``link``: before it, where it may have to refuse connections; else None."""

    def __init__(self) -> None:
        self.script: Script = works()
        """What the next connection is played."""
        self.link: Link | None = None
        self.upstream = Upstream()

    async def open(self, stack: AsyncExitStack, *, mortal: bool) -> None:
        """Listens until ``stack`` ends. ``mortal``: with a link before it."""
        self.upstream = await stack.enter_async_context(upstream(self._play))
        if mortal:
            self.link = await stack.enter_async_context(flaky("127.0.0.1", self.upstream.port))

    async def _play(self, wire: Wire) -> None:
        await self.script(wire)

    @property
    def url(self) -> str:
        """Where the gateway finds it."""
        return f"http://127.0.0.1:{self.upstream.port if self.link is None else self.link.port}"

    def begin(self, script: Script, *, dead: bool) -> None:
        """Ends the connections that there are, and plays ``script`` on the next, or refuses them."""
        self.script = script
        if self.link is not None:
            self.link.heal()
            if dead:
                self.link.refuse()
        for wire in self.upstream.wires:
            if not wire.writer.is_closing():
                wire.writer.transport.abort()
        self.upstream.wires.clear()


@attrs.frozen(eq=False)
class Stage:
    """A gateway that serves, and its services. ``backends``: service to what stands in for its endpoints."""

    gateway: Gateway
    backends: Mapping[str, Sequence[Backend]]

    async def play(self, scenario: Scenario) -> None:
        """Sets the fault in."""
        script = scenario.script()
        for backends in self.backends.values():
            for at, backend in enumerate(backends):
                backend.begin(script, dead=scenario.dead == "all" or (scenario.dead == "first" and at == 0))
        await settle()

    async def ask(self, sample: Sample, patience: float) -> Seen:
        """One request, with how many of those that it became reached the service."""
        (address, *_) = self.gateway.addresses
        before = self._reached()
        seen = await ask((address.host, address.port), sample, patience)
        await settle()
        return attrs.evolve(seen, reached=self._reached() - before)

    def _reached(self) -> int:
        return sum(len(backend.upstream.requests) for backend in chain.from_iterable(self.backends.values()))

    @property
    def failures(self) -> list[str]:
        """Of instances: a line on each whose hooks raised what no hook may, or answered with the wrong type."""
        instances = self.gateway.snapshot.instances.values()
        return [f"instance {each.name} failed in {each.last_failure}" for each in instances if each.failures]

    @property
    def busy(self) -> int:
        """Connections to services that are neither idle nor closed, and connections of clients."""
        pools = [pool for service in self.gateway.snapshot.services.values() for pool in service.pools]
        front = self.gateway.front
        return sum(pool.open - pool.idle for pool in pools) + (0 if front is None else len(front.connections))


@asynccontextmanager
async def stage(
    config: GatewayConfig, registry: Registry, clock: Clock, scenario: Scenario = HEALTHY
) -> AsyncIterator[Stage]:
    """The stage for a scenario, which it does not play yet. Raises ConfigError when the gateway does not start."""
    async with AsyncExitStack() as stack:
        backends = {name: [Backend() for _ in service.endpoints] for name, service in config.services.items()}
        for backend in chain.from_iterable(backends.values()):
            await backend.open(stack, mortal=scenario.dead != "none")
        gateway = await asyncio.to_thread(Gateway, _placed(config, backends), registry, clock=clock)
        await gateway.start()
        try:
            yield Stage(gateway, backends)
        finally:
            await gateway.stop(0)


def _placed(config: GatewayConfig, backends: Mapping[str, Sequence[Backend]]) -> GatewayConfig:
    """The config with the stage's addresses, and without what only a real place has: TLS, the admin listener, and the
    watchdog's thread, which would keep a loop that skips idle time from being idle."""
    services = {}
    for name, service in config.services.items():
        pairs = zip(service.endpoints, backends[name], strict=True)
        endpoints = tuple(attrs.evolve(endpoint, url=backend.url) for endpoint, backend in pairs)
        services[name] = attrs.evolve(service, endpoints=endpoints, tls=UpstreamTLS())
    return attrs.evolve(
        config,
        listen=(Listener(Address("127.0.0.1", 0)),),
        admin=None,
        services=services,
        attribution=attrs.evolve(config.attribution, blocking=None),
    )
