"""A gateway on sockets that do not exist: the whole path of an exchange, and none of the kernel's system calls.

The gateway is started as always; only the loop is one whose ``create_server`` and ``create_connection`` open nothing.
Clients send in one turn of the loop and upstreams answer in the next, all together, as on a busy gateway: so the outbox
is flushed once for all of them.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.options import Missing
from spork_core.config import load
from spork_core.gateway import Gateway
from spork_core.registry import Registry

BATCH: Final = 32
"""Clients, and so exchanges in one turn of the loop."""

BODY: Final = b'{"id":1,"name":"musical spork","roles":["user","admin"],"email":"spork@example.com","active":true}'
REQUEST: Final = (
    b"GET /api/users/1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
    b"Authorization: Bearer " + b"x" * 200 + b"\r\nOrigin: https://app.example.com\r\n"
    b"User-Agent: Mozilla/5.0 bench\r\nAccept: application/json\r\n\r\n"
)
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 02:47:37 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n" % len(BODY)
) + BODY

Factory = Callable[[], asyncio.Protocol]


class FakeTransport(asyncio.Transport):
    """A connection whose other end is always ready; keeps what was written last."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        super().__init__({"peername": ("127.0.0.1", 50000)})
        self.last: Any = b""
        self.writes = 0
        self._protocol = protocol
        self._closing = False
        protocol.connection_made(self)

    def write(self, data: Any) -> None:
        self.last = data
        self.writes += 1

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_reading(self) -> bool:
        return True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def can_write_eof(self) -> bool:
        return False


class FakeServer:
    """What the gateway gets from ``create_server``."""

    sockets = ()

    def close(self) -> None:
        pass


class Wires:
    """What the fake loop was asked to open."""

    def __init__(self) -> None:
        self.accept: Factory | None = None
        self.upstreams: list[tuple[asyncio.Protocol, FakeTransport]] = []


def fake_loop(wires: Wires) -> asyncio.AbstractEventLoop:
    """uvloop's loop when it is installed, as under ``spork run``, else asyncio's; with the two methods replaced."""
    base: type = asyncio.SelectorEventLoop
    try:
        import uvloop

        base = uvloop.Loop
    except ImportError:
        pass

    async def create_server(_: object, factory: Factory, *__: object, **___: object) -> FakeServer:
        wires.accept = factory
        return FakeServer()

    async def create_connection(
        _: object, factory: Factory, *__: object, **___: object
    ) -> tuple[FakeTransport, asyncio.Protocol]:
        protocol = factory()
        transport = FakeTransport(protocol)
        wires.upstreams.append((protocol, transport))
        return transport, protocol

    made = type("FakeLoop", (base,), {"create_server": create_server, "create_connection": create_connection})
    loop: asyncio.AbstractEventLoop = made()
    return loop


class Rig:
    """A started gateway with ``BATCH`` clients and as many upstream connections."""

    def __init__(self, gateway: Gateway, wires: Wires) -> None:
        assert wires.accept is not None
        self.gateway = gateway
        protocols = [wires.accept() for _ in range(BATCH)]
        self._sides = [(protocol, FakeTransport(protocol)) for protocol in protocols]
        self._clients = protocols
        self._wires = wires
        self._upstreams: list[asyncio.Protocol] = []

    async def connect(self) -> None:
        """The first exchanges, which open the upstream connections."""
        for client in self._clients:
            client.data_received(REQUEST)
        upstreams = self._wires.upstreams
        for _ in range(1000):
            if len(upstreams) == BATCH and all(transport.writes for _, transport in upstreams):
                break
            await asyncio.sleep(0)
        else:
            raise RuntimeError("the gateway opened no upstream connections")
        self._upstreams = [protocol for protocol, _ in upstreams]
        for upstream in self._upstreams:
            upstream.data_received(ANSWER)
        await asyncio.sleep(0)
        self.check()

    async def run(self, exchanges: int) -> int:
        """So many exchanges, in whole batches; how many there were."""
        clients, upstreams = self._clients, self._upstreams
        batches = -(-exchanges // BATCH)
        for _ in range(batches):
            for client in clients:
                client.data_received(REQUEST)
            await asyncio.sleep(0)
            for upstream in upstreams:
                upstream.data_received(ANSWER)
            await asyncio.sleep(0)
        return batches * BATCH

    def check(self) -> None:
        """Every client was answered as often as the others, and right."""
        answered = {transport.writes for _, transport in self._sides}
        last = {bytes(transport.last) for _, transport in self._sides}
        if len(answered) != 1 or not all(data.startswith(b"HTTP/1.1 200 ") and data.endswith(BODY) for data in last):
            raise RuntimeError(f"wrong answers: {last}")


@asynccontextmanager
async def rig(config: Path, wires: Wires) -> AsyncIterator[Rig]:
    """A gateway that serves by ``config``, under a loop made by ``fake_loop(wires)``. Raises Missing."""
    registry = Registry()
    try:
        gateway = Gateway(load(config, plugins=registry, environ=os.environ), registry)
    except Exception as error:
        raise Missing(f"{config.name} cannot be used: {error}") from error
    with socket.socket() as unbound:
        await gateway.start([unbound])
        made = Rig(gateway, wires)
        try:
            await made.connect()
            yield made
            made.check()
        finally:
            await gateway.stop(1.0)


def run_rig(config: Path, work: Callable[[Rig], Any]) -> Any:
    """Runs the coroutine function ``work`` with a rig; its answer."""
    wires = Wires()

    async def main() -> Any:
        async with rig(config, wires) as made:
            return await work(made)

    with asyncio.Runner(loop_factory=lambda: fake_loop(wires)) as runner:
        return runner.run(main())
