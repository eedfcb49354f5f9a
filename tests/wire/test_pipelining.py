"""Several requests on one connection: in order, one at a time, and none after one that cannot be trusted."""

import asyncio
from typing import Any

import pytest

from spork_core.api import Exchange, Plugin, Response, hookimpl
from spork_core.server import listener
from tests.wire.conftest import OK, Wire, always, gateway, holds, upstream


class Local(Plugin[Any]):
    """Answers here what begins with /local."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response | None:
        return Response(200, exchange.request.path) if exchange.request.path.startswith("/local") else None


async def echo(wire: Wire) -> None:
    """Answers with the target and the content of the request."""
    while True:
        request = await wire.message()
        body = request.start.split(b" ")[1] + b" " + request.body
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode()


def post(path: str, body: bytes) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (path.encode(), len(body), body)


def chunked(path: str, body: bytes, trailers: bytes = b"") -> bytes:
    head = b"POST %b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" % path.encode()
    return head + b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(body), body, trailers)


MIXED = {
    get("/0"): b"/0 ",
    get("/local1"): b"/local1",
    post("/2", b"two"): b"/2 two",
    chunked("/3", b"three"): b"/3 three",
    get("/local4"): b"/local4",
    get("/local5"): b"/local5",
    chunked("/6", b"six", b"X-T: 1\r\n"): b"/6 six",
    post("/7", b""): b"/7 ",
    get("/8"): b"/8 ",
    get("/local9"): b"/local9",
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_answers_come_in_the_order_of_the_requests(bytewise: bool) -> None:
    async with upstream(echo) as backend, gateway(backend, plugins={"local": Local}) as gate:
        client = await gate.client()
        await client.send(b"".join(MIXED), bytewise=bytewise)
        assert [(await client.message()).body for _ in MIXED] == list(MIXED.values())


@pytest.mark.parametrize("unread", [post("/local", b"unread"), chunked("/local", b"unread")])
async def test_a_content_that_nobody_read_is_not_taken_for_a_request(unread: bytes) -> None:
    async with gateway(plugins={"local": Local}) as gate:
        client = await gate.client()
        await client.send(unread + unread + get("/local2"))
        assert [(await client.message()).body for _ in "123"] == [b"/local", b"/local", b"/local2"]


async def test_one_exchange_at_a_time() -> None:
    going = asyncio.Event()

    async def slow(wire: Wire) -> None:
        await wire.message()
        await going.wait()
        await wire.send(OK)
        await always(OK)(wire)

    async with upstream(slow) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(get("/1") + get("/2"))
        await holds(lambda: backend.requests)
        assert len(backend.requests) == 1
        going.set()
        assert [(await client.message()).status for _ in "12"] == [200, 200]


async def test_many_local_answers_in_one_packet_do_not_nest() -> None:
    async with gateway(plugins={"local": Local}) as gate:
        client = await gate.client()
        sending = asyncio.create_task(client.send(get("/local") * 1000))
        for _ in range(1000):
            assert (await client.message()).body == b"/local"
        await sending


async def test_many_proxied_answers_in_one_packet_do_not_nest() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(get("/") * 1000)
        for _ in range(1000):
            assert (await client.message()).body == b"ok"
    assert len(backend.wires) == 1


async def test_trailers_of_one_request_never_reach_the_next() -> None:
    first = chunked("/1", b"x", b"X-Admin: yes\r\nAuthorization: stolen\r\n")
    async with upstream(echo) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(first + get("/2"))
        await client.message()
        await client.message()
        await client.send(first)
        await client.message()
        await client.send(get("/3"))
        await client.message()
    for path in (b"/2", b"/3"):
        head = backend.received[backend.received.index(b"GET " + path) :].partition(b"\r\n\r\n")[0]
        assert b"X-Admin" not in head
    assert b"stolen" not in backend.received


@pytest.mark.parametrize(
    "bad", [b"BAD\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", chunked("/", b"x").replace(b"1\r\nx", b"g\r\nx")]
)
async def test_a_bad_request_ends_what_was_pipelined(bad: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.raw(get("/1") + get("/2") + bad + get("/3"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.count(b"HTTP/1.1 400") == 1
    assert backend.requests == [b"GET /1 HTTP/1.1", b"GET /2 HTTP/1.1"]


async def test_a_flood_behind_a_running_exchange_waits_in_the_kernel() -> None:
    going = asyncio.Event()

    async def slow(wire: Wire) -> None:
        await wire.message()
        await going.wait()
        await wire.send(OK)
        await always(OK)(wire)

    async with upstream(slow) as backend, gateway(backend) as gate:
        client = await gate.client()
        sending = asyncio.create_task(client.send(get("/") * 40_000))
        await holds(lambda: backend.wires)
        assert gate.gateway.front is not None
        (connection,) = gate.gateway.front.connections
        await holds(lambda: not connection.transport.is_reading())
        assert len(connection._buffer) < 2**20
        going.set()
        for _ in range(100):
            assert (await client.message()).status == 200
        sending.cancel()


# -- half-closed and gone -------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [get("/1"), get("/1") * 10, post("/1", b"x") + get("/2"), get("/1") + b"GET / HT"])
async def test_a_client_that_ends_its_side_gets_what_it_asked_for(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(data)
        client.half_close()
        answers = await client.rest()
    assert answers.count(b"HTTP/1.1 200") == data.count(b"\r\n\r\n")
    assert answers.endswith(b"ok")


async def test_a_client_that_ends_its_side_before_a_head_is_complete_gets_nothing() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(b"GET / HTTP/1.1\r\nHost")
        client.half_close()
        assert await client.rest() == b""
    assert backend.received == b""


async def test_a_client_that_ends_its_side_in_the_middle_of_a_content_gets_nothing() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(post("/", b"x" * 100)[:-1])
        wire = await backend.sole()
        await holds(lambda: wire.seen.endswith(b"x" * 99))
        client.half_close()
        assert await client.rest() == b""
        await holds(wire.ended)


async def silent(wire: Wire) -> None:
    """Takes a request and never answers; ends when the gateway does."""
    await wire.rest()


async def hangs_in_body(wire: Wire) -> None:
    await wire.message()
    await wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
    await wire.rest()


@pytest.mark.parametrize("script", [silent, hangs_in_body])
@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
async def test_a_client_that_leaves_ends_its_upstream_request(
    monkeypatch: pytest.MonkeyPatch, script: Any, leave: str
) -> None:
    monkeypatch.setattr(listener, "HALF_CLOSED", 0.1)
    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(get("/"))
        wire = await backend.sole()
        await holds(lambda: backend.requests and (script is silent or b"1\r\na" in client.seen))
        getattr(client, leave)()
        async with asyncio.timeout(3):
            await holds(lambda: wire.gone)
        assert gate.gateway.front is not None
        await holds(lambda: not gate.gateway.front.connections)
        assert gate.gateway.snapshot.running == 0


async def test_a_client_that_breaks_off_its_upload_ends_its_upstream_request() -> None:
    async with upstream(silent) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(post("/", b"x" * 100)[:-1])
        wire = await backend.sole()
        await holds(lambda: wire.seen.endswith(b"x"))
        client.reset()
        await holds(lambda: wire.gone)
        await holds(lambda: gate.gateway.snapshot.running == 0)
