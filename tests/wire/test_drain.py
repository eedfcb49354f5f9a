"""The end of a gateway: no new connections, running exchanges finish within the grace time, the rest is cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from spork_core.config.model import Address, Admin, Listener
from tests.wire.conftest import GET, OK, Message, Recorder, Running, Wire, gateway, holds, upstream

ADMIN = Admin(Listener(Address("127.0.0.1", 0)))


class Slow:
    """A backend that answers when told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.go = asyncio.Event()

    async def script(self, wire: Wire) -> None:
        while request := await wire.message():
            if request.start.startswith(b"GET /slow"):
                self.asked.set()
                await self.go.wait()
            await wire.send(OK)


SLOW = GET.replace(b"/", b"/slow", 1)


@asynccontextmanager
async def stopping(grace: float) -> AsyncIterator[tuple[Slow, Running, Wire, asyncio.Task[None]]]:
    """A gateway that has been told to stop while it serves a client."""
    slow = Slow()
    async with upstream(slow.script) as backend, gateway(backend, admin=ADMIN) as gate:
        client = await gate.client()
        await client.send(SLOW)
        await slow.asked.wait()
        stop = asyncio.create_task(gate.gateway.stop(grace))
        await holds(lambda: gate.gateway.front.draining)
        yield slow, gate, client, stop
        await asyncio.wait_for(stop, 10)


async def test_a_running_exchange_finishes_and_its_connection_ends() -> None:
    async with stopping(10) as (slow, _, client, _):
        slow.go.set()
        message = await client.message()
        assert (message.body, message.values(b"connection")) == (b"ok", [b"close"])
        assert await client.rest() == b""
        client.close()


async def test_stopping_takes_no_longer_than_what_runs() -> None:
    async with stopping(60) as (slow, gate, client, stop):
        assert not stop.done()
        slow.go.set()
        await client.message()
        client.close()
        await asyncio.wait_for(stop, 2)
        assert not gate.gateway.front.connections


async def test_what_does_not_finish_is_cut() -> None:
    async with stopping(0.1) as (_, _, client, stop):
        await stop
        await holds(client.ended)
        assert client.seen == b""


async def test_new_connections_are_refused() -> None:
    async with stopping(10) as (slow, _, client, _):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(*client.writer.get_extra_info("peername"))
        slow.go.set()
        await client.message()
        client.close()


async def test_idle_connections_end_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spork_core.server.listener.FRESH", 0.05)
    slow = Slow()
    async with upstream(slow.script) as backend, gateway(backend) as gate:
        used, fresh, busy = [await gate.client() for _ in range(3)]
        await used.send(GET)
        await used.message()
        await busy.send(SLOW)
        await slow.asked.wait()
        stop = asyncio.create_task(gate.gateway.stop(10))
        assert await used.rest() == await fresh.rest() == b""
        slow.go.set()
        assert (await busy.message()).status == 200
        busy.close()
        await stop


async def test_no_request_behind_the_running_one_is_taken() -> None:
    async with stopping(10) as (slow, _, client, _):
        await client.send(GET)
        slow.go.set()
        assert (await client.rest()).count(b"HTTP/1.1 200") == 1
        client.close()


async def test_a_tunnel_is_cut_when_the_time_is_over() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await wire.rest()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET[:-2] + b"Connection: Upgrade\r\nUpgrade: x\r\n\r\n")
        assert (await client.message()).status == 101
        await gate.gateway.stop(0.1)
        await holds(client.ended)
        await holds(backend.wires[0].ended)


async def test_the_pool_is_empty_afterwards() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        await gate.ask(GET)
        (pool,) = gate.gateway.snapshot.services["up"].pools
        await gate.gateway.stop(0)
        await holds(backend.wires[0].ended)
        assert pool.open == 0


# -- the admin listener -------------------------------------------------------------------------------


async def admin(gate: Running, path: str, method: str = "GET") -> Message:
    """What the admin listener answers."""
    (address,) = gate.gateway.admin_addresses
    loop, reader = asyncio.get_running_loop(), Recorder()
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), address.host, address.port
    )
    wire = Wire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
    await wire.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
    message = await wire.message(bodiless=method == "HEAD")
    wire.close()
    return message


async def test_a_gateway_that_serves_is_alive_and_ready() -> None:
    async with upstream() as backend, gateway(backend, admin=ADMIN) as gate:
        assert [(await admin(gate, path)).body for path in ("/livez", "/readyz")] == [b"ok\n", b"ok\n"]
        verbose = json.loads((await admin(gate, "/readyz?verbose")).body)
        assert verbose == {"status": "ok", "checks": {"gateway": "ok"}}
        assert (await admin(gate, "/livez", "HEAD")).status == 200
        assert [(await admin(gate, "/livez", "POST")).status, (await admin(gate, "/")).status] == [405, 404]


async def test_a_gateway_that_drains_is_alive_and_not_ready() -> None:
    async with stopping(10) as (slow, gate, client, _):
        assert (await admin(gate, "/livez")).status == 200
        assert (await admin(gate, "/readyz")).status == 503
        verbose = await admin(gate, "/readyz?verbose")
        assert (verbose.status, json.loads(verbose.body)["status"]) == (503, "unavailable")
        slow.go.set()
        await client.message()
        client.close()


async def test_the_status_counts_what_there_is() -> None:
    slow = Slow()
    async with upstream(slow.script) as backend, gateway(backend, admin=ADMIN) as gate:
        client, _ = await gate.client(), await gate.client()
        await client.send(SLOW)
        await slow.asked.wait()
        status = json.loads((await admin(gate, "/status")).body)
        assert (status["ready"], status["connections"], status["exchanges"], status["routes"]) == (True, 2, 1, 1)
        assert status["services"] == {"up": [{"endpoint": backend.url, "open": 1, "idle": 0, "waiting": 0}]}
        slow.go.set()
        await client.message()


async def test_the_public_listener_knows_none_of_it() -> None:
    async with upstream() as backend, gateway(backend, admin=ADMIN) as gate:
        assert (await gate.ask(GET.replace(b"/", b"/livez", 1))).body == b"ok"
        assert backend.requests == [b"GET /livez HTTP/1.1"]
