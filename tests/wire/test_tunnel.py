"""Upgrades: WebSocket with real ends, and any other protocol as bytes both ways."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web

from spork_core.api import Exchange, Plugin, hookimpl
from spork_core.config.model import EndpointConfig, ServiceConfig
from tests.wire.conftest import OK, Running, Upstream, Wire, gateway, holds, upstream

SWITCH = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo/1\r\nX-Chat: 1\r\n\r\n"


class Async(Plugin[None]):
    """Makes the exchange run under a Task."""

    @hookimpl
    async def on_request(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)


@pytest.fixture(params=["fiber", "task"])
def chain(request: pytest.FixtureRequest) -> dict[str, type[Plugin[None]]]:
    return {"async": Async} if request.param == "task" else {}


async def echo(wire: Wire) -> None:
    await wire.message()
    await wire.send(SWITCHED)
    while data := await wire.reader.read(65536):
        await wire.send(data)
    await wire.send(b"bye")


@asynccontextmanager
async def tunnel(
    script: object, plugins: object = None, **config: object
) -> AsyncIterator[tuple[Wire, Upstream, Running]]:
    """A client that has asked ``script`` to switch and has seen the 101."""
    async with (
        upstream(script) as backend,  # type: ignore[arg-type]
        gateway(backend, plugins=plugins, **config) as gate,  # type: ignore[arg-type]
    ):
        client = await gate.client()
        await client.send(SWITCH)
        message = await client.message()
        assert message.status == 101
        assert message.values(b"upgrade") == [b"echo/1"]
        assert message.values(b"connection") == [b"Upgrade"]
        assert message.values(b"x-chat") == [b"1"]
        yield client, backend, gate


async def test_bytes_go_both_ways(chain: dict[str, type[Plugin[None]]]) -> None:
    async with tunnel(echo, chain) as (client, backend, gate):
        for data in (b"\0\r\n\r\n\xff", b"x" * 1_000_000):
            await client.send(data)
            assert await client.exactly(len(data)) == data
        assert b"\r\nUpgrade: echo/1\r\n" in backend.received
        client.half_close()
        assert await client.rest() == b"bye"
        await holds(lambda: not gate.gateway.front.tunnels)
        assert gate.gateway.snapshot.running == 0


async def test_bytes_behind_the_request_and_behind_the_101_come_first(chain: dict[str, type[Plugin[None]]]) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(SWITCHED + b"first")
        for byte in b"second":
            await wire.send(bytes([byte]))
        await wire.send(b"|" + await wire.exactly(5))

    async with upstream(script) as backend, gateway(backend, plugins=chain) as gate:
        client = await gate.client()
        await client.send(SWITCH + b"early")
        await client.message()
        assert await client.exactly(17) == b"firstsecond|early"


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_backend_that_leaves_at_once(chain: dict[str, type[Plugin[None]]], ending: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(SWITCHED)
        getattr(wire, ending)()

    async with upstream(script) as backend, gateway(backend, plugins=chain) as gate:
        client = await gate.client()
        await client.send(SWITCH)
        await holds(client.ended)
        client.close()
        await holds(lambda: not gate.gateway.front.connections and not gate.gateway.snapshot.running)


class Dawdle(Plugin[None]):
    """Keeps the 101 back for a while."""

    go = asyncio.Event()

    @hookimpl
    async def after_attempt(self, exchange: Exchange) -> None:
        await self.go.wait()
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.mark.parametrize("ending", ["close", "reset", "half_close", "stay"])
async def test_what_happens_before_the_101_is_passed_on_is_not_lost(ending: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(SWITCHED)
        await wire.send(b"second" * 1000)
        getattr(wire, ending, wire.ended)()
        Dawdle.go.set()
        await asyncio.Event().wait()

    Dawdle.go = asyncio.Event()
    async with upstream(script) as backend, gateway(backend, plugins={"dawdle": Dawdle}) as gate:
        client = await gate.client()
        await client.send(SWITCH + b"early")
        assert (await client.message()).status == 101
        if ending != "reset":
            assert await client.exactly(6000) == b"second" * 1000
        if ending != "stay":
            await holds(client.ended)
        client.reset()
        await holds(lambda: not gate.gateway.front.connections and not gate.gateway.snapshot.running)


async def test_an_ordinary_answer_to_an_upgrade_is_one() -> None:
    async with upstream(OK) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(SWITCH)
            message = await client.message()
            assert (message.status, message.body) == (200, b"ok")
        assert len(backend.wires) == 1


async def test_a_refusal_may_have_content() -> None:
    answer = b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: other/2\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nno"
    async with upstream(answer) as backend, gateway(backend) as gate:
        assert (await gate.ask(SWITCH)).body == b"no"


async def test_a_route_without_upgrades_asks_for_none() -> None:
    async with upstream(OK) as backend, gateway(backend, route={"upgrade": False}) as gate:
        assert (await gate.ask(SWITCH)).status == 200
        assert b"pgrade" not in backend.received


async def test_each_side_may_say_its_last_before_the_other() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(SWITCHED + b"all")
        wire.half_close()
        assert await wire.rest() == b"heard"

    async with tunnel(script) as (client, backend, gate):
        assert await client.rest() == b"all"
        await client.send(b"heard")
        client.half_close()
        await holds(backend.wires[0].ended)
        await holds(lambda: not gate.gateway.front.tunnels)
    assert backend.received.endswith(b"heard")


async def test_a_side_that_only_listens_is_not_kept_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(SWITCHED)
        wire.half_close()
        await wire.rest()

    monkeypatch.setattr("spork_core.tunnel.HALF_CLOSED", 0.05)
    async with tunnel(script) as (client, _, gate):
        await holds(client.ended)
        await client.send(b"x")
        await holds(lambda: not gate.gateway.front.tunnels)
        await holds(lambda: not gate.gateway.front.connections)


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_backend_that_dies_ends_the_client(ending: str) -> None:
    async with tunnel(echo) as (client, backend, gate):
        await client.send(b"x")
        await client.exactly(1)
        getattr(backend.wires[0], ending)()
        await holds(client.ended)
        client.close()
        await holds(lambda: not gate.gateway.front.tunnels)


async def test_a_client_that_dies_ends_the_backend() -> None:
    async with tunnel(echo) as (client, backend, gate):
        client.reset()
        await holds(backend.wires[0].ended)
        await holds(lambda: not gate.gateway.front.tunnels)


@pytest.mark.parametrize("slow", ["client", "backend"])
async def test_who_does_not_read_stops_the_other(slow: str) -> None:
    halt, size = asyncio.Event(), 40_000_000

    async def script(wire: Wire) -> None:
        await wire.message()
        wire.writer.transport.pause_reading()
        await wire.send(SWITCHED)
        await halt.wait()

    async with tunnel(script) as (client, backend, gate):
        client.writer.transport.pause_reading()
        writer, reader = (client, backend.wires[0]) if slow == "backend" else (backend.wires[0], client)
        writer.writer.write(bytes(size))
        pending = writer.writer.transport.get_write_buffer_size
        (carried,) = gate.gateway.front.tunnels
        await holds(lambda: not (carried._up if slow == "backend" else carried._down).transport.is_reading())
        assert pending() > size / 4
        reader.writer.transport.resume_reading()
        await reader.exactly(size)
        halt.set()


# -- WebSocket ----------------------------------------------------------------------------------------


async def socket(request: web.Request) -> web.WebSocketResponse:
    ws = web.WebSocketResponse(max_msg_size=0, protocols=("chat",), heartbeat=None)
    await ws.prepare(request)
    async for message in ws:
        if message.data == "close":
            await ws.close(code=4001, message=b"as you wish")
        elif message.type is aiohttp.WSMsgType.TEXT:
            await ws.send_str(message.data)
        else:
            await ws.send_bytes(message.data)
    return ws


@asynccontextmanager
async def websocket(**options: object) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A client's end of a WebSocket through a gateway to an aiohttp server."""
    app = web.Application()
    app.router.add_get("/ws", socket)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    services = {"up": ServiceConfig((EndpointConfig(f"http://{host}:{port}"),))}
    try:
        async with gateway(services=services) as gate, aiohttp.ClientSession() as session:
            url = "http://{}:{}/ws".format(*gate.address)
            async with session.ws_connect(url, max_msg_size=0, **options) as ws:  # type: ignore[arg-type]
                yield ws
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("compress", [0, 15], ids=["plain", "permessage-deflate"])
async def test_messages_of_any_size(compress: int) -> None:
    async with websocket(compress=compress, protocols=("chat",)) as ws:
        assert (ws.compress, ws.protocol) == (compress, "chat")
        for size in (0, 1, 126, 65536, 3_000_000):
            await ws.send_bytes(bytes(range(256)) * (size // 256) + bytes(size % 256))
            assert len(await ws.receive_bytes(timeout=10)) == size
        await ws.send_str("grüß")
        assert await ws.receive_str(timeout=10) == "grüß"


async def test_pings_are_answered_by_the_backend() -> None:
    async with websocket(autoping=False) as ws:
        await ws.ping(b"there?")
        message = await ws.receive(timeout=10)
        assert (message.type, message.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_close_codes_arrive() -> None:
    async with websocket() as ws:
        await ws.send_str("close")
        message = await ws.receive(timeout=10)
        assert (message.type, message.data, message.extra) == (aiohttp.WSMsgType.CLOSE, 4001, "as you wish")
