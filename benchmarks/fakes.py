"""A gateway on sockets that do not exist: the whole path of an exchange, and none of the kernel's system calls.

The gateway is started as always; only the loop is the test kit's, which opens nothing. Clients send in one turn of the
loop and upstreams answer in the next, all together, as on a busy gateway: so the outbox is flushed once for all.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from benchmarks.bearer import token
from benchmarks.options import Missing
from spork_core.config import load
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing.fakeloop import FakeTransport, Wires, fake_loop

BATCH: Final = 32
"""Clients, and so exchanges in one turn of the loop."""

BODY: Final = b'{"id":1,"name":"musical spork","roles":["user","admin"],"email":"spork@example.com","active":true}'
REQUEST: Final = (
    b"GET /api/users/1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n"
    b"Authorization: Bearer " + token().encode() + b"\r\nOrigin: https://app.example.com\r\n"
    b"User-Agent: Mozilla/5.0 bench\r\nAccept: application/json\r\n\r\n"
)
ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Mon, 23 Nov 2026 02:47:37 GMT\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\nConnection: keep-alive\r\n\r\n" % len(BODY)
) + BODY


class Keeping(FakeTransport):
    """A connection whose other end is always ready; keeps what was written last."""

    def __init__(self, protocol: asyncio.Protocol) -> None:
        self.last: Any = b""
        self.writes = 0
        super().__init__(protocol, on_write=self._wrote)

    def _wrote(self, data: Any) -> None:
        self.last = data
        self.writes += 1


class Ends(Wires):
    """What the gateway opened, and the upstreams' ends of it."""

    def __init__(self) -> None:
        super().__init__(self._connected, host=None)
        self.upstreams: list[tuple[asyncio.Protocol, Keeping]] = []

    def _connected(self, protocol: asyncio.Protocol) -> Keeping:
        transport = Keeping(protocol)
        self.upstreams.append((protocol, transport))
        return transport


def fastest_loop() -> type:
    """uvloop's when it is installed, as under ``spork run``, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.SelectorEventLoop
    loop: type = uvloop.Loop
    return loop


class Rig:
    """A started gateway with ``BATCH`` clients and as many upstream connections."""

    def __init__(self, gateway: Gateway, wires: Ends) -> None:
        self.gateway = gateway
        protocols = [wires.client() for _ in range(BATCH)]
        self._sides = [(protocol, Keeping(protocol)) for protocol in protocols]
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
async def rig(config: Path, wires: Ends, registry: Registry) -> AsyncIterator[Rig]:
    """A gateway that serves by ``config``, under a loop made by ``fake_loop(wires, …)``. Raises Missing."""
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


def run_rig(config: Path, work: Callable[[Rig], Any], registry: Registry | None = None) -> Any:
    """Runs the coroutine function ``work`` with a rig; its answer. ``registry``: plugins in place of the installed
    ones. Raises Missing."""
    wires = Ends()

    async def main() -> Any:
        async with rig(config, wires, registry or Registry()) as made:
            return await work(made)

    with asyncio.Runner(loop_factory=lambda: fake_loop(wires, fastest_loop())) as runner:
        return runner.run(main())
