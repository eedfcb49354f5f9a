"""Answers of an upstream that are malformed or break off: a 502 while one is possible, never one that looks whole."""

import asyncio
import re

import pytest

from tests.wire.conftest import GET, OK, Wire, always, gateway, holds, upstream
from tests.wire.test_responses import OLD, PATIENT, once

L2 = b"Content-Length: 2\r\n"
MALFORMED = {
    "garbage": b"\x16\x03\x01\x02\x00 what is this\r\n\r\n",
    "no status line": b"hello\r\n\r\n",
    "HTTP/0.9": b"<html>hello</html>",
    "HTTP/2 preface": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\x00\x03\x00\x00\x00\x80",
    "HTTP/2.0": b"HTTP/2.0 200 OK\r\n" + L2 + b"\r\nok",
    "HTTP/1.2": b"HTTP/1.2 200 OK\r\n" + L2 + b"\r\nok",
    "lower case": b"http/1.1 200 OK\r\n" + L2 + b"\r\nok",
    "no code": b"HTTP/1.1 OK\r\n" + L2 + b"\r\nok",
    "two digits": b"HTTP/1.1 20 OK\r\n" + L2 + b"\r\nok",
    "four digits": b"HTTP/1.1 2000 OK\r\n" + L2 + b"\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\n" + L2 + b"\r\nok",
    "bare LF": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "one bare LF": b"HTTP/1.1 200 OK\r\nX: 1\n" + L2 + b"\r\nok",
    "folded line": b"HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n" + L2 + b"\r\nok",
    "folded first line": b"HTTP/1.1 200 OK\r\n X: 1\r\n" + L2 + b"\r\nok",
    "NUL in a value": b"HTTP/1.1 200 OK\r\nX: a\0b\r\n" + L2 + b"\r\nok",
    "CR in a value": b"HTTP/1.1 200 OK\r\nX: a\rb\r\n" + L2 + b"\r\nok",
    "CR in the reason": b"HTTP/1.1 200 O\rK\r\n" + L2 + b"\r\nok",
    "space before the colon": b"HTTP/1.1 200 OK\r\nX : 1\r\n" + L2 + b"\r\nok",
    "space in a name": b"HTTP/1.1 200 OK\r\nX y: 1\r\n" + L2 + b"\r\nok",
    "no colon": b"HTTP/1.1 200 OK\r\nX\r\n" + L2 + b"\r\nok",
    "empty name": b"HTTP/1.1 200 OK\r\n: 1\r\n" + L2 + b"\r\nok",
    "the same length twice": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "length list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "hexadecimal length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok",
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok",
    "length over everything": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "length and chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n" + L2 + b"\r\n0\r\n\r\n",
    "chunks and length": b"HTTP/1.1 200 OK\r\n" + L2 + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked, gzip": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "identity": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok",
    "chunks in HTTP/1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "too long a head": b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"a" * 40_000) * 5 + L2 + b"\r\nok",
    "too long a field": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000 + b"\r\n" + L2 + b"\r\nok",
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: 1\r\n" * 400 + L2 + b"\r\nok",
    "endless line": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000,
}


@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_head_is_a_502_and_ends_the_connection(name: str) -> None:
    async with upstream(MALFORMED[name]) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        message = await client.message()
        assert (message.status, b'"upstream-malformed"' in message.body) == (502, True)
        await holds((await backend.sole()).ended)
        assert MALFORMED[name][-5:] not in client.seen


@pytest.mark.parametrize("name", ["bare LF", "garbage", "folded line", "NUL in a value", "two lengths"])
async def test_a_malformed_head_in_single_bytes(name: str) -> None:
    async with upstream(once(MALFORMED[name], bytewise=True)) as backend, gateway(backend) as gate:
        assert (await gate.ask(GET)).status == 502


async def test_the_parser_forgets_what_was_malformed() -> None:
    answers = iter([*MALFORMED.values(), OK])

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(next(answers))

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        statuses = []
        for _ in range(len(MALFORMED) + 1):
            await client.send(GET)
            statuses.append((await client.message()).status)
    assert statuses == [502] * len(MALFORMED) + [200]


CHUNKED = PATIENT + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN = {
    "bad chunk size": CHUNKED + b"2\r\nok\r\nzz\r\n",
    "signed chunk size": CHUNKED + b"2\r\nok\r\n+2\r\nok\r\n0\r\n\r\n",
    "chunk size with 0x": CHUNKED + b"2\r\nok\r\n0x2\r\nok\r\n0\r\n\r\n",
    "chunk too long": CHUNKED + b"2\r\nok\r\n2\r\nokk\r\n0\r\n\r\n",
    "chunk line with bare LF": CHUNKED + b"2\r\nok\r\n2\nok\r\n0\r\n\r\n",
    "trailer with bare LF": CHUNKED + b"2\r\nok\r\n0\r\nX: 1\n\r\n",
    "trailer that is none": CHUNKED + b"2\r\nok\r\n0\r\nnonsense\r\n\r\n",
    "endless chunk line": CHUNKED + b"2\r\nok\r\n2;" + b"a" * 10_000,
    "no last chunk": CHUNKED + b"2\r\nok\r\n",
    "chunk cut short": CHUNKED + b"2\r\nok\r\n9\r\nok",
    "content cut short": PATIENT + b"Content-Length: 5\r\n\r\nok",
}


@pytest.mark.parametrize("name", BROKEN)
async def test_an_answer_that_breaks_off_never_looks_complete(name: str) -> None:
    head, _, rest = BROKEN[name].partition(b"\r\n\r\n")
    passed = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(head + b"\r\n\r\n" + rest[:7])
        await passed.wait()
        await wire.send(rest[7:])

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.until(b"ok")
        passed.set()
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await client.until(b"0\r\n\r\n" if b"chunked" in head else b"\r\n\r\n")


@pytest.mark.parametrize("name", BROKEN)
async def test_an_old_client_sees_that_an_answer_breaks_off(name: str) -> None:
    head, _, rest = BROKEN[name].partition(b"\r\n\r\n")
    passed = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(head + b"\r\n\r\n" + rest[:7])
        await passed.wait()
        await wire.send(rest[7:])

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(OLD)
        await client.until(b"ok")
        passed.set()
        with pytest.raises(ConnectionResetError):  # only a reset tells it from an answer that ends with the connection
            await client.rest()


async def test_bytes_behind_an_answer_end_the_connection() -> None:
    async with (
        upstream(always(OK + b"HTTP/1.1 200 OK\r\nX: poison\r\n" + L2 + b"\r\nno")) as backend,
        gateway(backend) as gate,
    ):
        client = await gate.client()
        for _ in range(3):
            await client.send(GET)
            assert (await client.message()).body == b"ok"
        assert b"poison" not in client.seen
        await holds(lambda: len(backend.wires) == 3)


async def test_a_problem_says_no_more_than_it_should() -> None:
    async with upstream(b"secret-of-the-backend\r\n\r\n") as backend, gateway(backend) as gate:
        message = await gate.ask(GET)
    assert b"secret" not in message.body
    assert not re.search(rb"127\.0\.0\.1|Error|Traceback", message.body)
