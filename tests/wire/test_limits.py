"""What one client may use up: long lines, many fields, large contents, connections; and nothing is left over."""

import asyncio
import gc
import json
from typing import Any

import pytest

from spork_core.config.model import Limits
from tests.wire.conftest import GET, Message, Running, gateway, holds, upstream

SMALL = Limits(request_line=100, header=200, header_count=5, headers=500, body=10, connections=3)


def get(*lines: bytes, target: bytes = b"/") -> bytes:
    return b"\r\n".join((b"GET " + target + b" HTTP/1.1", b"Host: a", *lines, b"", b""))


def status(answer: bytes) -> int:
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b"\r\nConnection: close\r\n" in answer
    return int(answer.split(b" ")[1])


LONG_LINE = get(target=b"/" + b"x" * 100)
LONG_FIELD = get(b"X: " + b"x" * 250)
LONG_NAME = get(b"X" * 250 + b": x")
MANY = get(*[b"X: y"] * 5)
MUCH = get(*[b"X: " + b"x" * 140] * 4)
REFUSED = {
    "line": (LONG_LINE, 414),
    "line without an end": (LONG_LINE[:110], 414),
    "field": (LONG_FIELD, 431),
    "name": (LONG_NAME, 431),
    "number": (MANY, 431),
    "number, far too many": (get(*[b"X: y"] * 60), 431),
    "all together": (MUCH, 431),
    "all together without an end": (MUCH[:-2], 431),
}


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize(("data", "wanted"), REFUSED.values(), ids=REFUSED)
async def test_a_head_over_a_limit_is_refused(data: bytes, wanted: int, bytewise: bool) -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL) as gate:
        assert status(await gate.raw(data, bytewise=bytewise)) == wanted
    assert backend.received == b""


@pytest.mark.parametrize(
    "data",
    [get(target=b"/" + b"x" * 86), get(b"X: " + b"x" * 190), get(*[b"X: y"] * 4), get(*[b"X: " + b"x" * 140] * 3)],
    ids=["line", "field", "number", "all together"],
)
async def test_a_head_within_the_limits_goes_through(data: bytes) -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL) as gate:
        assert (await gate.ask(data)).status == 200


@pytest.mark.parametrize("default", [LONG_LINE, LONG_FIELD, MANY, MUCH])
async def test_the_defaults_are_generous(default: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        assert (await gate.ask(default)).status == 200
        for data in (get(target=b"/" + b"x" * 8192), get(b"X: " + b"x" * 16400), get(*[b"X: y"] * 100)):
            assert status(await gate.raw(data)) in {414, 431}


POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKS_END = b"0\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("route", [{}, {"body_limit": 5}], ids=["of the gateway", "of the route"])
@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 11\r\n\r\n",
        POST + b"Content-Length: 11\r\n\r\nhello world",
        POST + b"Content-Length: 99999999999\r\n\r\n",
        CHUNKED + b"b\r\nhello world\r\n0\r\n\r\n",
        CHUNKED + b"6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n",
        POST + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n",
    ],
)
async def test_a_content_over_the_limit_is_413(data: bytes, route: dict[str, Any]) -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL, route=route) as gate:
        answer = await gate.ask(data)
    assert answer.status == 413
    assert answer.values(b"connection") == ([] if data.endswith((b"world", CHUNKS_END)) else [b"close"])
    assert backend.received == b""


async def test_chunks_that_pass_the_limit_on_their_way_are_413_and_never_look_whole() -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL) as gate:
        client = await gate.client()
        await client.send(CHUNKED + b"6\r\nhello \r\n")
        await holds(lambda: b"hello " in backend.received)
        await client.send(b"5\r\nworld\r\n0\r\n\r\n")
        assert status(await client.rest()) == 413
        await holds(lambda: backend.wires[0].gone)
    assert b"\r\n0\r\n" not in backend.received


@pytest.mark.parametrize("limit", [{"body_limit": 20}, {}])
async def test_a_content_within_the_limit_goes_through(limit: dict[str, Any]) -> None:
    body = b"0123456789" * (2 if limit else 1)
    async with upstream() as backend, gateway(backend, limits=SMALL, route=limit) as gate:
        assert (await gate.ask(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)).status == 200
    assert backend.received.endswith(b"\r\n\r\n" + body)


# -- connections ----------------------------------------------------------------------------------------


def open_now(gate: Running) -> int:
    assert gate.gateway.front is not None
    return len(gate.gateway.front.connections)


async def test_one_connection_too_many_is_503_and_closed() -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL) as gate:
        kept = [await gate.client() for _ in range(3)]
        answer = await gate.raw(b"")
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status(answer) == 503
        assert Message(head + b"\r\n\r\n").values(b"content-length") == [b"%d" % len(body)]
        assert json.loads(body)["code"] == "overloaded"
        for client in kept:
            await client.send(GET)
            assert (await client.message()).status == 200


async def test_a_place_is_free_again_when_a_client_leaves() -> None:
    async with upstream() as backend, gateway(backend, limits=SMALL) as gate:
        first, *_ = [await gate.client() for _ in range(3)]
        assert status(await gate.raw(GET)) == 503
        first.close()
        gate.clients[-1].close()
        await holds(lambda: open_now(gate) == 2)
        assert (await gate.ask(GET)).status == 200


# -- nothing is left over -------------------------------------------------------------------------------


async def exchange(gate: Running, data: bytes, count: int) -> None:
    client = await gate.client()
    for _ in range(count):
        await client.send(data)
        await client.message()
        client.reader.seen.clear()
    client.close()
    await holds(lambda: open_now(gate) == 0)


LEFT = {
    "GET": GET,
    "POST": POST + b"Content-Length: 5\r\n\r\nhello",
    "chunks": CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n",
    "404": GET.replace(b"Host: a", b"Host: b"),
}


@pytest.mark.parametrize("data", LEFT.values(), ids=LEFT)
async def test_exchanges_leave_nothing_behind(data: bytes) -> None:
    async with upstream() as backend, gateway(backend, match={"host": ("a",)}) as gate:
        await exchange(gate, data, 100)
        backend.wires[:] = backend.wires[:1]
        gc.collect()
        tasks, objects = len(asyncio.all_tasks()), len(gc.get_objects())
        await exchange(gate, data, 2500)
        gc.collect()
        assert len(asyncio.all_tasks()) == tasks
        assert len(gc.get_objects()) - objects < 500


async def test_clients_that_come_and_go_leave_nothing_behind() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        await exchange(gate, GET, 1)
        gc.collect()
        objects = len(gc.get_objects())
        for _ in range(100):
            client = await gate.client()
            await client.send(GET[:-2] if _ % 2 else GET)
            client.reset()
            await holds(lambda: open_now(gate) == 0)
            gate.clients.clear()
        backend.wires.clear()
        gc.collect()
        assert len(gc.get_objects()) - objects < 500
        assert gate.gateway.snapshot.running == 0
