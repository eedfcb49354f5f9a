"""Request contents on their way to a backend: byte for byte, at its pace, and what becomes of those nobody reads."""

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spork_core.api import Exchange, IteratorBody, Plugin, Response, Unauthenticated, hookimpl
from tests.wire.conftest import GET, OK, Message, Running, Wire, gateway, holds, upstream


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join((b"POST / HTTP/" + version, b"Host: a", *lines, b"", b"")) + body


def chunks(*parts: bytes, trailers: bytes = b"") -> bytes:
    return b"".join(b"%X\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n" + trailers + b"\r\n"


CHUNKED = b"Transfer-Encoding: chunked"


class Keeping:
    """A backend's script that keeps the requests and answers each when it is all there."""

    def __init__(self) -> None:
        self.requests: list[Message] = []

    async def __call__(self, wire: Wire) -> None:
        while True:
            self.requests.append(await wire.message())
            await wire.send(OK)


async def sent(data: bytes, *, bytewise: bool = False, **more: Any) -> Message:
    """The request that the backend gets; the connection stays good for another."""
    keeping = Keeping()
    async with upstream(keeping) as backend, gateway(backend, **more) as gate:
        client = await gate.client()
        await client.send(data + GET, bytewise=bytewise)
        assert [(await client.message()).status, (await client.message()).status] == [200, 200]
    first, second = keeping.requests
    assert second.start == b"GET / HTTP/1.1"
    return first


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("body", [b"", b"x", bytes(range(256)) * 3, b"GET / HTTP/1.1\r\n\r\n"], ids=len)
async def test_a_length_is_kept(body: bytes, bytewise: bool) -> None:
    request = await sent(post(b"Content-Length: %d" % len(body), body=body), bytewise=bytewise)
    assert request.values(b"content-length") == [b"%d" % len(body)]
    assert request.values(b"transfer-encoding") == []
    assert request.body == body


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(
    "data",
    [
        chunks(b"hello"),
        chunks(b"h", b"e", b"llo"),
        b"0005\r\nhello\r\n000\r\n\r\n",
        b'5;a;b=c;d="e;\\"f"\r\nhello\r\n0;x\r\n\r\n',
        b"5 ; a = b\r\nhello\r\n0\r\n\r\n",
    ],
)
async def test_chunks_are_taken_apart_and_put_together(data: bytes, bytewise: bool) -> None:
    request = await sent(post(b"transfer-encoding:  CHUNKED \t", body=data), bytewise=bytewise)
    assert request.body == b"hello"
    framed = (request.values(b"transfer-encoding"), request.values(b"content-length"))
    assert framed in [([b"chunked"], []), ([], [b"5"])]


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_trailers_are_passed_on_but_none_that_belong_in_a_head(bytewise: bool) -> None:
    trailers = (
        b"X-Sum: 1\r\nx-raw: \xe9\r\nHost: evil\r\nContent-Length: 9\r\nAuthorization: x\r\nX_Forwarded_For: 1\r\n"
    )
    request = await sent(post(CHUNKED, body=chunks(b"hello", trailers=trailers)), bytewise=bytewise)
    assert request.values(b"transfer-encoding") == [b"chunked"]
    assert (request.body, request.trailers) == (b"hello", [b"X-Sum: 1", b"x-raw: \xe9"])


async def test_a_post_of_nothing_keeps_its_zero() -> None:
    assert (await sent(post(b"Content-Length: 0"))).values(b"content-length") == [b"0"]
    assert (await sent(post())).values(b"content-length") == []


@settings(max_examples=60)
@given(st.data())
def test_any_split_gives_the_same_content(data: st.DataObject) -> None:
    parts = data.draw(st.lists(st.binary(min_size=1, max_size=300), max_size=6))
    body = b"".join(parts)
    framed = data.draw(st.booleans())
    whole = post(CHUNKED, body=chunks(*parts)) if framed else post(b"Content-Length: %d" % len(body), body=body)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))

    async def run() -> bytes:
        keeping = Keeping()
        async with upstream(keeping) as backend, gateway(backend) as gate:
            client = await gate.client()
            for begin, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
                await client.send(whole[begin:end])
            await client.message()
        return keeping.requests[0].body

    assert asyncio.run(run()) == body


@pytest.mark.parametrize("framed", [False, True], ids=["length", "chunked"])
async def test_a_large_content_arrives_whole(framed: bool) -> None:
    body = random.Random(1).randbytes(5_000_000)
    pieces = [body[at : at + 70_000] for at in range(0, len(body), 70_000)]
    data = post(CHUNKED, body=chunks(*pieces)) if framed else post(b"Content-Length: %d" % len(body), body=body)
    request = await sent(data)
    assert request.body == body


async def test_a_backend_that_does_not_read_stops_the_client() -> None:
    going = asyncio.Event()

    async def slow(wire: Wire) -> None:
        wire.writer.transport.pause_reading()
        await going.wait()
        wire.writer.transport.resume_reading()
        await wire.message()
        await wire.send(OK)

    body = bytes(30_000_000)
    async with upstream(slow) as backend, gateway(backend) as gate:
        client = await gate.client()
        sending = asyncio.create_task(client.send(post(b"Content-Length: %d" % len(body), body=body)))
        assert gate.gateway.front is not None
        await holds(lambda: any(not c.transport.is_reading() for c in gate.gateway.front.connections))
        (connection,) = gate.gateway.front.connections
        assert connection._body is not None
        assert connection._body.received < 10_000_000
        going.set()
        await sending
        assert (await client.message()).status == 200
    assert backend.received.endswith(body)


# -- Expect ---------------------------------------------------------------------------------------------

EXPECT = b"Expect: 100-continue"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def test_the_client_is_asked_to_go_on_when_its_content_is_read() -> None:
    keeping = Keeping()
    async with upstream(keeping) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(post(EXPECT, b"Content-Length: 5"))
        assert await client.head() == CONTINUE
        await client.send(b"hello")
        answer = await client.message()
        assert (answer.status, answer.values(b"connection")) == (200, [])
        await client.send(GET)
        assert (await client.message()).status == 200
    assert keeping.requests[0].body == b"hello"
    assert b"Expect" not in backend.received


class Refuse(Plugin[Any]):
    """Lets nobody in."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        raise Unauthenticated("Who are you?")


async def test_a_refused_request_is_not_asked_to_go_on() -> None:
    async with upstream() as backend, gateway(backend, plugins={"refuse": Refuse}) as gate:
        answer = await gate.raw(post(EXPECT, b"Content-Length: 5"))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"\r\nConnection: close\r\n" in answer
    assert CONTINUE not in answer
    assert backend.received == b""


async def test_a_client_that_does_not_wait_is_served_all_the_same() -> None:
    request = await sent(post(EXPECT, b"Content-Length: 5", body=b"hello"))
    assert request.body == b"hello"


@pytest.mark.parametrize(
    "data",
    [
        post(EXPECT, b"Content-Length: 5", version=b"1.0", body=b"hello"),
        post(EXPECT, b"Content-Length: 0"),
        post(EXPECT),
    ],
    ids=["HTTP/1.0", "length 0", "no content"],
)
async def test_nobody_is_asked_to_go_on_when_there_is_nothing_to_wait_for(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.ask(data)
    assert answer.status == 200
    assert b"Expect" not in backend.received


@pytest.mark.parametrize("line", [b"Expect: 200-ok", b"Expect: 100-continue, x", b"Expect: x\r\nExpect: 100-continue"])
async def test_no_other_expectation_is_met(line: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.raw(post(line, b"Content-Length: 5"))
    assert answer.startswith(b"HTTP/1.1 417 ")
    assert backend.received == b""


# -- early answers --------------------------------------------------------------------------------------


async def uploads(gate: Running, size: int) -> bytes:
    """Sends more than anybody reads, and gives what comes back all the same."""
    client = await gate.client()
    client.writer.write(post(b"Content-Length: %d" % size))
    for _ in range(0, size, 100_000):
        client.writer.write(bytes(100_000))
    return await client.rest()


@pytest.mark.parametrize("limits", [{"body_limit": 10}, {"service": None}], ids=["413", "404"])
async def test_an_answer_before_the_content_arrives_whole_and_ends_the_connection(limits: dict[str, Any]) -> None:
    async with upstream() as backend, gateway(backend, route=limits) as gate:
        answer = await uploads(gate, 3_000_000)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert Message(head + b"\r\n\r\n").values(b"content-length") == [b"%d" % len(body)]
    assert backend.received == b""


async def test_a_backend_may_answer_before_the_content_is_through() -> None:
    async def early(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!")

    async with upstream(early) as backend, gateway(backend) as gate:
        answer = await uploads(gate, 3_000_000)
    assert answer.startswith(b"HTTP/1.1 413 Too Large\r\n")
    assert answer.endswith(b"\r\n\r\nno!")
    assert b"\r\nConnection: close\r\n" in answer


async def test_content_flows_both_ways_at_once() -> None:
    async def echo(wire: Wire) -> None:
        await wire.head()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            await wire.send(await wire.exactly(1))

    async with upstream(echo) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(post(b"Content-Length: 6"))
        await client.head()
        for byte in (b"s", b"t", b"r", b"e", b"a", b"m"):
            await client.send(byte)
            assert await client.exactly(1) == byte


# -- response trailers ----------------------------------------------------------------------------------

WITH_TRAILERS = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\nSet-Cookie: a\r\n\r\n"
)


@pytest.mark.parametrize(("lines", "trailers"), [((b"TE: trailers", b"Connection: TE"), [b"X-Sum: 1"]), ((), [])])
async def test_trailers_reach_a_client_that_accepts_them(lines: tuple[bytes, ...], trailers: list[bytes]) -> None:
    async with upstream(WITH_TRAILERS) as backend, gateway(backend) as gate:
        answer = await gate.ask(post(*lines))
    assert (answer.body, answer.trailers) == (b"ok", trailers)


# -- plugins and contents -------------------------------------------------------------------------------


class Shout(Plugin[Any]):
    """Passes contents through in upper case."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        exchange.request.body = upper(exchange.request.body)

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.body = upper(exchange.response.body)


def upper(body: Any) -> IteratorBody:
    async def chunks() -> AsyncIterator[bytes]:
        async for chunk in body:
            yield chunk.upper()

    return IteratorBody(chunks(), inner=body)


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_a_plugin_may_change_contents_as_they_stream(bytewise: bool) -> None:
    keeping = Keeping()
    async with upstream(keeping) as backend, gateway(backend, plugins={"shout": Shout}) as gate:
        answer = await gate.ask(post(b"Content-Length: 5", body=b"hello"), bytewise=bytewise)
    assert (keeping.requests[0].body, answer.body) == (b"HELLO", b"OK")
    assert keeping.requests[0].values(b"transfer-encoding") == [b"chunked"]


class Reads(Plugin[Any]):
    """Answers with the content, read by a limit."""

    @hookimpl
    async def serve(self, exchange: Exchange) -> Response:
        return Response(200, await exchange.request.body.read(10))


@pytest.mark.parametrize("framing", [b"Content-Length: 11", CHUNKED])
async def test_a_plugin_that_reads_too_much_gives_413(framing: bytes) -> None:
    body = b"hello world" if framing != CHUNKED else chunks(b"hello", b" world")
    async with gateway(plugins={"reads": Reads}) as gate:
        assert (await gate.ask(post(framing, body=body))).status == 413
        assert (await gate.ask(post(b"Content-Length: 5", body=b"hello"))).body == b"hello"
