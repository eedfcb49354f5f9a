"""Answers of an upstream as they reach the client, byte for byte; framing, interim answers, heads, trailers."""

import asyncio

import pytest

from tests.wire.conftest import GET, OK, Script, Wire, gateway, upstream

HEAD = GET.replace(b"GET", b"HEAD")
OLD = b"GET / HTTP/1.0\r\nHost: a\r\n\r\n"
PATIENT = b"HTTP/1.1 200 OK\r\nDate: now\r\n"


def once(answer: bytes, *, bytewise: bool = False) -> Script:
    """Answers one request, then ends the connection."""

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(answer, bytewise=bytewise)

    return script


FRAMED = {
    "length": (b"Content-Length: 5\r\n\r\nhello", b"hello"),
    "nothing": (b"Content-Length: 0\r\n\r\n", b""),
    "chunks": (b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", b"hello"),
    "chunk extensions": (b'Transfer-Encoding: chunked\r\n\r\n5;a=b;c="d"\r\nhello\r\n0;e\r\n\r\n', b"hello"),
    "Chunked in capitals": (b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "no chunks": (b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b""),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
@pytest.mark.parametrize("name", FRAMED)
async def test_framed_content_arrives_and_both_connections_live_on(name: str, bytewise: bool) -> None:
    fields, content = FRAMED[name]

    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(PATIENT + fields, bytewise=bytewise)

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(GET)
            assert (await client.message()).body == content
        assert len(backend.wires) == 1


CLOSED = {
    "HTTP/1.1": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\n\r\nhello",
    "HTTP/1.0 with a length": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "Connection: close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("answer", CLOSED.values(), ids=CLOSED)
async def test_an_upstream_that_closes_does_not_close_the_client(answer: bytes) -> None:
    async with upstream(once(answer)) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(GET)
            message = await client.message()
            assert message.body == b"hello"
            assert not message.values(b"connection")
        assert len(backend.wires) == 2


@pytest.mark.parametrize("answer", CLOSED.values(), ids=CLOSED)
async def test_an_old_client_gets_no_chunks(answer: bytes) -> None:
    async with upstream(once(answer)) as backend, gateway(backend) as gate:
        answered = await gate.raw(OLD)
    head, _, body = answered.partition(b"\r\n\r\n")
    assert body == b"hello"
    assert b"ransfer-" not in head


async def test_an_old_upstream_that_keeps_alive_is_used_again() -> None:
    answer = b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok"
    async with upstream(answer) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(GET)
            message = await client.message()
            assert message.values(b"via") == [b"1.0 spork"]
        assert len(backend.wires) == 1


# -- interim answers ----------------------------------------------------------------------------------

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"


async def test_interim_answers_pass_but_not_100() -> None:
    answer = HINTS + b"HTTP/1.1 100 Continue\r\n\r\n" + HINTS + b"HTTP/1.1 102 Processing\r\n\r\n" + OK
    async with upstream(answer) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        assert [(await client.message()).status for _ in range(4)] == [103, 103, 102, 200]
        assert b"</a.css>" in client.seen


async def test_an_interim_answer_does_not_wait_for_the_final_one() -> None:
    seen = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(HINTS)
        await seen.wait()
        await wire.send(OK)

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        assert await client.head() == HINTS
        seen.set()
        assert (await client.message()).status == 200


async def test_an_old_client_gets_no_interim_answers() -> None:
    async with upstream(HINTS + OK) as backend, gateway(backend) as gate:
        assert (await gate.raw(OLD)).count(b"HTTP/1.1") == 1


async def test_a_switch_that_nobody_asked_for_is_malformed() -> None:
    answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    async with upstream(answer) as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
        assert (message.status, b'"upstream-malformed"' in message.body) == (502, True)
        assert await (await backend.sole()).rest() == b""


# -- answers without content --------------------------------------------------------------------------

BODILESS = {
    "HEAD": (HEAD, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", b"5"),
    "HEAD, chunked": (HEAD, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
    "HEAD, no length": (HEAD, b"HTTP/1.1 200 OK\r\n\r\n", None),
    "204": (GET, b"HTTP/1.1 204 No Content\r\n\r\n", None),
    "204 with a length": (GET, b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", None),
    "304 with a length": (GET, b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b"5"),
    "304, chunked": (GET, b"HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n", None),
}


@pytest.mark.parametrize("name", BODILESS)
async def test_no_content_where_none_may_be(name: str) -> None:
    request, answer, length = BODILESS[name]
    async with upstream(answer) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(request)
            message = await client.message(bodiless=True)
            assert message.values(b"content-length") == ([] if length is None else [length])
            assert not message.values(b"transfer-encoding")
        assert len(backend.wires) == 1


@pytest.mark.parametrize("name", BODILESS)
async def test_content_where_none_may_be_goes_nowhere(name: str) -> None:
    request, answer, _ = BODILESS[name]
    async with upstream(once(answer + b"hello")) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(request)
            await client.message(bodiless=True)
        assert b"hello" not in client.seen
        assert len(backend.wires) == 2


# -- heads --------------------------------------------------------------------------------------------


async def test_fields_keep_order_case_repeats_and_bytes() -> None:
    lines = (
        b"X-b: 1",
        b"x-A: 2",
        *(b"Set-Cookie: c%d=%d; Path=/" % (at, at) for at in range(40)),
        b"X-b: caf\xe9 \xff\x80",
        b"X-Empty: ",
        b"X-Utf: \xe2\x82\xac",
        b"Server: odd/1",
    )
    answer = PATIENT + b"\r\n".join(lines) + b"\r\nContent-Length: 2\r\n\r\nok"
    async with upstream(answer) as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
    assert [line for line in message.lines if line in lines] == list(lines)


@pytest.mark.parametrize(
    "fields", [b"Content-Length: 2\r\n\r\nok", b"Connection: X-Hop\r\nContent-Length: 2\r\n\r\nok"]
)
async def test_nothing_is_added_but_via(fields: bytes) -> None:
    async with upstream(PATIENT + b"X-Hop: 1\r\n" + fields) as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
    hop = [b"X-Hop: 1"] if b"Connection" not in fields else []
    assert sorted(message.lines) == sorted([b"Date: now", *hop, b"Content-Length: 2", b"Via: 1.1 spork"])


async def test_what_belongs_to_one_hop_stays_there() -> None:
    hop = b"Keep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nTrailer: X\r\nUpgrade: h2c\r\nConnection: upgrade\r\n"
    async with upstream(PATIENT + hop + b"Content-Length: 2\r\n\r\nok") as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
    assert {line.split(b":")[0] for line in message.lines} == {b"Date", b"Content-Length", b"Via"}


async def test_connection_names_no_field_that_the_gateway_needs() -> None:
    answer = PATIENT + b"Connection: Content-Length, Date, X-Hop\r\nX-Hop: 1\r\nContent-Length: 2\r\n\r\nok"
    async with upstream(answer) as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
    assert (message.body, message.values(b"date"), message.values(b"x-hop")) == (b"ok", [b"now"], [])


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"HTTP/1.1 200 Fine by me", b"HTTP/1.1 200 Fine by me"),
        (b"HTTP/1.1 200 ", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 200", b"HTTP/1.1 200 "),
        (b"HTTP/1.1 799 Odd", b"HTTP/1.1 799 Odd"),
        (b"HTTP/1.0 200 OK", b"HTTP/1.1 200 OK"),
    ],
)
async def test_status_lines(line: bytes, expected: bytes) -> None:
    async with upstream(once(line + b"\r\nContent-Length: 2\r\n\r\nok")) as backend, gateway(backend) as gate:
        assert (await gate.ask(GET)).start.rstrip() == expected.rstrip()


# -- trailers -----------------------------------------------------------------------------------------

TRAILED = (
    PATIENT + b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n2\r\nok\r\n0\r\nX-Sum: \xe9\r\nX-Sum: 2\r\n\r\n"
)


async def test_trailers_reach_who_accepts_them_and_nothing_else() -> None:
    async with upstream(TRAILED) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET[:-2] + b"TE: trailers\r\nConnection: TE\r\n\r\n")
        assert (await client.message()).trailers == [b"X-Sum: \xe9", b"X-Sum: 2"]
        await client.send(GET)
        message = await client.message()
        assert (message.trailers, message.values(b"x-sum")) == ([], [])


async def test_trailers_may_not_frame_route_or_authorize() -> None:
    forbidden = b"Content-Length: 9\r\nTransfer-Encoding: x\r\nHost: b\r\nSet-Cookie: a=b\r\nX-Fine: 1\r\n"
    answer = TRAILED.replace(b"X-Sum: \xe9\r\nX-Sum: 2\r\n", forbidden)
    async with upstream(answer) as backend, gateway(backend) as gate:
        message = await gate.ask(GET[:-2] + b"TE: trailers\r\nConnection: TE\r\n\r\n")
    assert message.trailers == [b"X-Fine: 1"]
