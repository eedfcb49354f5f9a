"""The rig of the laws: a real gateway with the plugin in its chain, driven over fake connections.

What goes in and comes out are bytes, as on a wire; between them everything is the kernel's own: parser, engine,
pipeline, attempts. Starting one takes a few milliseconds, an exchange about 100 µs.
"""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from copy import deepcopy
from functools import lru_cache
from typing import Any, Final, TypeVar

from attrs import field, frozen

from spork_core.clock import Chance, Clock
from spork_core.config import GatewayConfig, loads
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway
from spork_core.plugin import Plugin
from spork_core.registry import Instance, Registry
from spork_core.testing.ends import ANSWER, CLIENT, GET, Client, Passed, Service, carrying, post
from spork_core.testing.fakeloop import SERVICE, SkippingLoop, Wires, fake_loop
from spork_core.testing.requests import ODD_ANSWERS
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Watch, watched
from spork_core.testing.written import as_yaml

T = TypeVar("T")

LONG: Final = 120.0
"""Seconds of the loop's time after which an exchange hangs; nobody waits for them."""
_EPOCH: Final = 1.8e9
_TURNS: Final = 200

SUBJECT: Final = "instance-under-contract"
"""The name of the instance that a law is about."""


class DoesNotStart(ConfigError):
    """A gateway with the plugin does not start."""


class Rig:
    """A started gateway between ``client()`` and ``service``."""

    def __init__(self, subject: Subject, watch: Watch) -> None:
        self.subject = subject
        self.watch = watch
        self.service = Service()
        self.wires = Wires(self.service.connected)
        self.gateway: Gateway

    @property
    def instance(self) -> Instance:
        """The instance that the law is about."""
        return self.gateway.snapshot.instances[SUBJECT]

    @property
    def get(self) -> bytes:
        """A GET with the author's fields."""
        return carrying(GET, self.subject.headers)

    def post(self, body: Iterable[bytes] = (b"{}",)) -> list[bytes]:
        """A POST in pieces, with the author's fields in its head."""
        head, *rest = post(body)
        return [carrying(head, self.subject.headers), *rest]

    def both(self, requests: Iterable[bytes]) -> Iterator[bytes]:
        """``requests`` as they are, and where the author has fields, then all of them with these."""
        requests = tuple(requests)
        yield from requests
        if self.subject.headers:
            yield from (carrying(request, self.subject.headers) for request in requests)

    def traffic(self, odd: Iterable[bytes]) -> Iterator[list[bytes]]:
        """A GET, a POST, and ``both`` of the odd ones, each in pieces."""
        yield from ([self.get], self.post(), *([request] for request in self.both(odd)))

    async def drive(self, odd: Iterable[bytes]) -> AsyncIterator[Passed]:
        """Sends ``traffic``, and to a GET the service then answers what it should not."""
        for pieces in self.traffic(odd):
            yield await self.send(*pieces)
        for answer in ODD_ANSWERS:
            self.service.script = [answer, b""]
            yield await self.send(self.get)
        self.service.script = [ANSWER]

    def client(self, peer: tuple[str, int] = CLIENT) -> Client:
        """A new connection."""
        return Client(self.wires, peer)

    async def send(self, *pieces: bytes, peer: tuple[str, int] = CLIENT) -> Passed:
        """One exchange on a connection of its own; the request must say ``Connection: close``."""
        self.service.received.clear()
        first = len(self.watch.calls)
        client = self.client(peer)
        for piece in pieces:
            client.feed(piece)
            await asyncio.sleep(0)
        return await self.rest(client, first)

    async def rest(self, client: Client, first: int = 0) -> Passed:
        """What is left of an exchange, to its last hook. ``first``: how many calls there were before it."""
        hung = False
        try:
            async with asyncio.timeout(LONG):
                await client.gone
        except TimeoutError:
            hung = True
            client.leave()
        await self.settled()
        return Passed(bytes(self.service.received), bytes(client.received), hung, self.watch.calls[first:])

    async def turn(self) -> None:
        """Lets everything that can run without time passing run, about as far as one piece of a body goes."""
        for _ in range(4):
            await asyncio.sleep(0)

    async def reads(self, client: Client) -> bool:
        """Waits until the gateway reads from the client on; False when it does not, or the connection is closed."""
        for _ in range(_TURNS):
            if not client.paused or not client.open:
                return client.open
            await asyncio.sleep(0)
        return False

    async def settled(self) -> None:
        """Returns when no exchange runs any more, or not soon."""
        for _ in range(_TURNS):
            if self.gateway.snapshot.running == 0:
                return
            await asyncio.sleep(0)
        with suppress(TimeoutError):
            async with asyncio.timeout(LONG):
                while self.gateway.snapshot.running:  # noqa: ASYNC110  the kernel sets no event for it
                    await asyncio.sleep(0.1)


def whole_config(
    subject: Subject, registry: Registry, *, chain: Mapping[str, Mapping[str, Any]] | None = None, **envelope: Any
) -> GatewayConfig:
    """A config that serves: the subject's chain before a route for everything.

    ``chain``: instances that stand in it besides, before the subject's. ``envelope``: of the subject's instance.
    """
    mine = {"use": subject.name, **subject.settings, **envelope}
    plugins: dict[str, Any] = {**subject.others, **(chain or {}), SUBJECT: mine}
    plain = {
        "admin": None,
        "attribution": {"blocking": None},  # its thread would have to be waited for
        "limits": {"body": None},
        "services": {"service": {"endpoints": [f"http://{SERVICE}:80"]}},
        "plugins": plugins,
        "chain": list(plugins),
        "routes": {"all": {"match": {"path": "/*"}, "service": "service", "authenticate": "optional"}},
    }
    configs = tuple(registry.plugin_class(name).Config for name in registry.names())
    return deepcopy(_loaded(as_yaml(plain), _Read(registry, configs)))


@frozen
class _Read:
    """What a config is read with; equal for registries whose plugins have the same config classes."""

    registry: Registry = field(eq=False)
    configs: tuple[type, ...]


@lru_cache(maxsize=16)
def _loaded(text: str, read: _Read) -> GatewayConfig:
    """Reading takes half as long as starting the gateway, and some laws start dozens with the same config."""
    return loads(text, plugins=read.registry, file="contract.yaml")


def registry_of(
    subject: Subject, cls: type[Plugin[Any]], more: Mapping[str, type[Plugin[Any]]] | None = None
) -> Registry:
    """The subject's registry with ``cls`` in its class's place, and ``more`` besides."""
    used = {str(settings.get("use", name)) for name, settings in subject.others.items()}
    others = {name: subject.registry.plugin_class(name) for name in used}
    return Registry({**others, subject.name: cls, **(more or {})})


@asynccontextmanager
async def started(
    rig: Rig, config: GatewayConfig, registry: Registry, clock: Clock | None = None
) -> AsyncIterator[Rig]:
    """The rig with its gateway started, and stopped in the end. ``clock``: None means that of the loop, which skips
    what nobody waits for. Raises DoesNotStart."""
    gateway = rig.gateway = Gateway(config, registry, clock=clock or _loop_clock(), chance=Chance())
    with socket.socket() as unbound:
        try:
            await gateway.start([unbound])
        except ConfigError as error:
            raise DoesNotStart(error.problems) from error
        try:
            yield rig
        finally:
            await gateway.stop(1.0)


def _loop_clock() -> Clock:
    time = asyncio.get_running_loop().time
    return Clock(time=lambda: _EPOCH + time(), monotonic_ns=lambda: int(time() * 1e9))


def prepared(
    rig: Rig, *, bare: bool = False, chain: Mapping[str, type[Plugin[Any]]] | None = None, **envelope: Any
) -> tuple[GatewayConfig, Registry]:
    """What ``started`` needs for the rig's subject; arguments as of ``run``. Raises ConfigError."""
    subject = rig.subject
    cls = subject.plugin_class if bare else watched(subject.plugin_class, rig.watch)
    registry = registry_of(subject, cls, chain)
    return whole_config(subject, registry, chain={name: {} for name in chain or ()}, **envelope), registry


def run(
    subject: Subject,
    work: Callable[[Rig], Awaitable[T]],
    *,
    watch: Watch | None = None,
    bare: bool = False,
    chain: Mapping[str, type[Plugin[Any]]] | None = None,
    clock: Clock | None = None,
    **envelope: Any,
) -> T:
    """Does ``work`` with a rig on a loop of its own; its answer.

    ``watch``: what stands around the plugin's hooks. ``bare``: nothing does. ``chain``: classes of instances, by name,
    before the subject's. ``envelope``: ``on_failure``, ``timeout`` and so on of the subject's instance. Raises
    DoesNotStart.
    """
    rig = Rig(subject, watch or Watch())
    config, registry = prepared(rig, bare=bare, chain=chain, **envelope)

    async def main() -> T:
        async with started(rig, config, registry, clock):
            return await work(rig)

    return alone(main, rig.wires)


def alone(main: Callable[[], Awaitable[T]], wires: Wires | None = None) -> T:
    """Runs ``main`` on a loop whose time nobody waits for."""

    async def work() -> T:
        return await main()

    with silence(), asyncio.Runner(loop_factory=lambda: fake_loop(wires or Wires(), SkippingLoop)) as runner:
        return runner.run(work())


@contextmanager
def silence() -> Iterator[None]:
    """Nothing is logged: the failures that laws provoke would fill pages, and pytest keeps every record. A handler
    that is added inside still gets them all."""
    root = logging.getLogger()
    kept, root.handlers = root.handlers, [logging.NullHandler()]
    try:
        yield
    finally:
        root.handlers = kept


__all__ = [
    "ANSWER",
    "GET",
    "LONG",
    "SUBJECT",
    "Client",
    "DoesNotStart",
    "Passed",
    "Rig",
    "alone",
    "post",
    "prepared",
    "run",
    "started",
]
