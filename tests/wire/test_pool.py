"""Connections to an upstream: used again when that is safe, dropped when it is not, never shared."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from spork_core.api import Exchange, Plugin, hookimpl
from spork_core.config.model import PoolConfig
from spork_core.upstream.pool import Pool
from tests.wire.conftest import GET, OK, Running, Wire, gateway, holds, upstream

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"


def pool_of(gate: Running) -> Pool:
    (pool,) = gate.gateway.snapshot.services["up"].pools
    return pool


async def numbered(wire: Wire) -> None:
    """Answers with the number of the request on its connection."""
    number = 0
    while True:
        await wire.message()
        number += 1
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number)


async def test_one_connection_serves_one_request_after_the_other() -> None:
    async with upstream(numbered) as backend, gateway(backend) as gate:
        assert [(await gate.ask(GET)).body for _ in range(4)] == [b"1", b"2", b"3", b"4"]
        assert len(backend.wires) == 1
        assert repr(pool_of(gate)).endswith("[1 open, 1 idle, 0 waiting]>")


async def test_two_at_once_need_two_connections() -> None:
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await go.wait()
        await wire.send(OK)
        await wire.message()

    async with upstream(script) as backend, gateway(backend) as gate:
        clients = [await gate.client() for _ in range(2)]
        for client in clients:
            await client.send(GET)
        await holds(lambda: len(backend.requests) == 2)
        go.set()
        assert [(await client.message()).status for client in clients] == [200, 200]
        assert (pool_of(gate).open, pool_of(gate).idle) == (2, 2)


async def test_the_connection_used_last_is_used_first() -> None:
    order: list[int] = []

    async def script(wire: Wire) -> None:
        while request := await wire.message():
            order.append(backend.wires.index(wire))
            if request.start.startswith(b"GET /wait"):
                await go.wait()
            await wire.send(OK)

    go = asyncio.Event()
    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET.replace(b"/", b"/wait", 1))
        await holds(lambda: order)
        await gate.ask(GET)
        go.set()
        await client.message()
        for _ in range(3):
            await gate.ask(GET)
    assert order == [0, 1, 0, 0, 0]


@pytest.mark.parametrize("pool", [PoolConfig(idle=0.05), PoolConfig(idle=0)], ids=["a while", "not at all"])
async def test_an_idle_connection_is_closed(pool: PoolConfig) -> None:
    async with upstream(OK) as backend, gateway(backend, service={"pool": pool}) as gate:
        for at in (1, 2):
            assert (await gate.ask(GET)).body == b"ok"
            await holds(lambda: pool_of(gate).open == 0)
            await holds(backend.wires[-1].ended)
            assert len(backend.wires) == at


async def test_a_connection_that_is_used_again_and_again_is_not_idle() -> None:
    async with upstream(OK) as backend, gateway(backend, service={"pool": PoolConfig(idle=0.2)}) as gate:
        client = await gate.client()
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.5
        while loop.time() < end:
            await client.send(GET)
            await client.message()
        assert len(backend.wires) == 1


@pytest.mark.parametrize("answer", [OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"])
async def test_an_old_connection_is_replaced(answer: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await asyncio.sleep(0.02)
        await wire.send(answer)
        await wire.rest()

    async with upstream(script) as backend, gateway(backend, service={"pool": PoolConfig(max_age=0.01)}) as gate:
        assert [(await gate.ask(GET)).body for _ in range(3)] == [b"ok"] * 3
        assert len(backend.wires) == 3


POISON = {
    "an answer": b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    "a byte": b"\r",
    "garbage": b"poison",
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
async def test_what_comes_in_while_idle_reaches_nobody(poison: bytes) -> None:
    async with upstream(OK) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.message()
        await backend.wires[0].send(poison)
        await holds(lambda: pool_of(gate).open == 0)
        await client.send(GET)
        assert (await client.message()).body == b"ok"
        assert b"poison" not in client.seen


@pytest.mark.parametrize("ending", ["close", "reset", "half_close"])
async def test_a_connection_that_ends_while_idle_is_dropped(ending: str) -> None:
    async with upstream(OK) as backend, gateway(backend) as gate:
        await gate.ask(POST)
        getattr(backend.wires[0], ending)()
        await holds(lambda: pool_of(gate).open == 0)
        assert (await gate.ask(POST)).status == 200


async def test_connection_close_is_obeyed() -> None:
    answer = b"HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 2\r\n\r\nok"
    async with upstream(answer) as backend, gateway(backend) as gate:
        assert [(await gate.ask(GET)).body for _ in range(2)] == [b"ok", b"ok"]
        assert len(backend.wires) == 2


# -- early answers ------------------------------------------------------------------------------------

UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"


@pytest.mark.parametrize("close", [b"", b"Connection: close\r\n"])
async def test_an_answer_before_the_end_of_the_upload_ends_the_upload(close: bytes) -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 413 Content Too Large\r\n" + close + b"Content-Length: 2\r\n\r\nno")
        await wire.rest()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(UPLOAD + bytes(1000))
        message = await client.message()
        assert (message.status, message.body, message.values(b"connection")) == (413, b"no", [b"close"])
        await holds(lambda: pool_of(gate).open == 0)
        await holds((await backend.sole()).ended)


async def test_an_answer_may_stream_while_the_upload_goes_on() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(4):
            data = await wire.exactly(250_000)
            await wire.send(b"%x\r\n%b\r\n" % (len(data), data))
        await wire.send(b"0\r\n\r\n")
        await wire.rest()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(UPLOAD)
        await client.head()
        for _ in range(4):
            before = client.seen.count(b"\0")
            await client.send(bytes(250_000))
            await holds(lambda least=before + 250_000: client.seen.count(b"\0") >= least)
        await holds(lambda: client.seen.endswith(b"\r\n0\r\n\r\n"))
        assert pool_of(gate).idle == 1


async def test_an_upload_that_nobody_reads_does_not_hide_the_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        wire.close()

    data = bytes(300_000)
    async with upstream(script) as backend, gateway(backend) as gate:
        for _ in range(20):
            client = await gate.client()
            client.writer.write(UPLOAD + data)
            assert (await client.message()).status in {413, 502}  # the RST may overtake the answer
        assert pool_of(gate).open == 0


# -- whose connection it is ---------------------------------------------------------------------------


async def test_a_client_that_left_takes_nobody_elses_connection_along() -> None:
    """A's answer is complete and its connection serves B already when A, who has not read its answer, leaves."""
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        (unread,) = gate.gateway.front.connections
        while not unread._write_paused:
            sent = unread.bytes_sent
            await wire.send(b"4000\r\n%b\r\n" % bytes(0x4000))
            await holds(lambda sent=sent: unread.bytes_sent > sent or unread._write_paused)
        await wire.send(b"0\r\n\r\n")
        await wire.message()
        await go.wait()
        await wire.send(OK)

    async with upstream(script) as backend, gateway(backend, service={"pool": PoolConfig(connections=1)}) as gate:
        leaving = await gate.client()
        await leaving.send(GET)
        await leaving.head()
        leaving.writer.transport.pause_reading()
        await holds(lambda: pool_of(gate).idle == 1)
        staying = await gate.client()
        await staying.send(GET)
        await holds(lambda: len(backend.requests) == 2)
        leaving.reset()
        await holds(lambda: len(gate.gateway.front.connections) == 1)
        go.set()
        assert (await staying.message()).body == b"ok"
        assert len(backend.wires) == 1


class Linger(Plugin[None]):
    """Keeps an exchange busy after its attempt, under a Task."""

    reached = asyncio.Event()
    never = asyncio.Event()

    @hookimpl
    async def on_response(self, exchange: Exchange) -> None:
        if exchange.request.path == "/linger":
            self.reached.set()
            await self.never.wait()


@pytest.fixture
async def lingering() -> AsyncIterator[type[Linger]]:
    Linger.reached, Linger.never = asyncio.Event(), asyncio.Event()
    return Linger


async def test_an_exchange_that_ends_late_does_not_abort_the_connection_it_had(lingering: type[Linger]) -> None:
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        while request := await wire.message():
            if request.start.startswith(b"GET /wait"):
                await go.wait()
            await wire.send(OK)

    async with upstream(script) as backend, gateway(backend, plugins={"linger": lingering}) as gate:
        leaving, staying = await gate.client(), await gate.client()
        await leaving.send(GET.replace(b"/", b"/linger", 1))
        await lingering.reached.wait()
        await staying.send(GET.replace(b"/", b"/wait", 1))
        await holds(lambda: len(backend.requests) == 2)
        leaving.reset()
        await holds(lambda: len(gate.gateway.front.connections) == 1)
        go.set()
        assert (await staying.message()).body == b"ok"
        assert len(backend.wires) == 1


class Inject(Plugin[None]):
    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        exchange.request.headers["X"] = "a\r\nb: c"


async def test_a_request_that_cannot_be_sent_keeps_no_connection() -> None:
    pool = {"pool": PoolConfig(connections=1)}
    async with upstream(OK) as backend, gateway(backend, plugins={"x": Inject}, service=pool, faults=True) as gate:
        assert [(await gate.ask(GET)).status for _ in range(3)] == [500] * 3
        assert backend.received == b""
        assert pool_of(gate).open == pool_of(gate).idle


async def test_a_client_that_leaves_frees_the_connection_at_once() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.rest()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await holds(lambda: backend.requests)
        client.reset()
        await holds(backend.wires[0].ended)
        assert pool_of(gate).open == 0


async def test_many_clients_and_few_connections_each_get_their_own_answer() -> None:
    async def script(wire: Wire) -> None:
        while request := await wire.message():
            target = request.start.split()[1]
            await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(target), target))

    async with upstream(script) as backend, gateway(backend, service={"pool": PoolConfig(connections=3)}) as gate:

        async def ask(name: int) -> None:
            client = await gate.client()
            for at in range(10):
                target = b"/%d/%d" % (name, at)
                await client.send(GET.replace(b"/", target, 1))
                if (name + at) % 7 == 0:
                    client.reset()
                    return
                assert (await client.message()).body == target

        await asyncio.gather(*map(ask, range(30)))
        await holds(lambda: pool_of(gate).waiting == 0 and pool_of(gate).open == pool_of(gate).idle)
        assert sum(not wire.ended() for wire in backend.wires) <= 3
