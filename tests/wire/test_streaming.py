"""Bodies on their way: as they come, at the pace of who reads them, in bounded memory, gone when either end is."""

import asyncio

import pytest

from tests.wire.conftest import GET, Running, Wire, gateway, holds, upstream
from tests.wire.processes import process, server

MIB = 2**20
BLOCK = bytes(256 * 1024)


# -- as it comes --------------------------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
async def test_an_event_is_passed_on_before_the_next_is_sent(framing: str) -> None:
    seen = asyncio.Event()
    field = {"chunked": b"Transfer-Encoding: chunked\r\n", "close": b"", "length": b"Content-Length: 60\r\n"}[framing]

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\n" % field)
        for at in range(5):
            event = b"data: %d   \n\n" % at
            await wire.send(b"%x\r\n%b\r\n" % (len(event), event) if framing == "chunked" else event)
            await seen.wait()
            seen.clear()
        await wire.send(b"0\r\n\r\n" if framing == "chunked" else b"")

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        for at in range(5):
            await client.until(b"data: %d   \n\n" % at)
            seen.set()
        if framing != "length":
            await client.until(b"0\r\n\r\n")


async def test_the_head_does_not_wait_for_the_body() -> None:
    seen = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await seen.wait()
        await wire.send(b"ok")

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.head()
        seen.set()
        assert await client.exactly(2) == b"ok"


@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_an_upload_is_passed_on_as_it_comes(chunked: bool) -> None:
    field = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 8"

    async def script(wire: Wire) -> None:
        assert (await wire.message()).body == b"12345678"
        await wire.send(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\n" + field + b"\r\n\r\n")
        for part in (b"12", b"345", b"678"):
            await client.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
            await holds(lambda part=part: part in backend.received)
        await client.send(b"0\r\n\r\n" if chunked else b"")
        assert (await client.message()).status == 201


# -- who leaves ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_a_client_that_leaves_in_mid_download_ends_the_upstream_too(ending: str) -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await wire.send(BLOCK)

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.exactly(100_000)
        getattr(client, ending)()
        await holds(backend.wires[0].ended)
        await holds(lambda: not gate.gateway.snapshot.running)


async def test_a_client_that_leaves_in_mid_upload_ends_the_upstream_too() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\n123")
        await holds(lambda: backend.received.endswith(b"123"))
        client.close()
        await holds(backend.wires[0].ended)
        await holds(lambda: not gate.gateway.snapshot.running)


async def test_an_upstream_that_leaves_in_mid_upload_is_502() -> None:
    async def script(wire: Wire) -> None:
        await wire.head()
        wire.reset()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        client.writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 80000000\r\n\r\n" + BLOCK)
        assert (await client.message()).status == 502
        assert len(backend.wires) == 1


# -- at which pace ------------------------------------------------------------------------------------


async def test_who_does_not_read_stops_the_upstream() -> None:
    size = 40 * MIB
    sent = 0

    async def script(wire: Wire) -> None:
        nonlocal sent
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _ in range(size // len(BLOCK)):
            wire.writer.write(BLOCK)
            await wire.writer.drain()
            sent += len(BLOCK)

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.head()
        client.writer.transport.pause_reading()
        (pool,) = gate.gateway.snapshot.services["up"].pools
        (connection,) = pool._open
        await holds(lambda: not connection.transport.is_reading())
        assert sent < size / 2
        client.writer.transport.resume_reading()
        assert len(await client.exactly(size)) == size


async def test_an_upstream_that_does_not_read_stops_the_client() -> None:
    size = 40 * MIB
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.head()
        wire.writer.transport.pause_reading()
        await go.wait()
        wire.writer.transport.resume_reading()
        assert len(await wire.exactly(size)) == size
        await wire.send(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        client.writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await holds(lambda: gate.gateway.front.connections and not reading(gate))
        assert client.writer.transport.get_write_buffer_size() > size / 2
        go.set()
        assert (await client.message(bodiless=True)).status == 204


def reading(gate: Running) -> bool:
    (connection,) = gate.gateway.front.connections
    return connection.transport.is_reading()


# -- in how much memory -------------------------------------------------------------------------------


async def read(reader: asyncio.StreamReader, size: int, *, slowly: bool) -> None:
    """``size`` bytes; slowly: a little at a time, so that the other side always waits."""
    while size:
        data = await reader.read(4096 if slowly and size % 7 else MIB)
        assert data
        size -= len(data)
        if slowly:
            await asyncio.sleep(0)


async def write(writer: asyncio.StreamWriter, size: int, *, slowly: bool) -> None:
    """``size`` bytes; slowly: so that the other side always waits."""
    while size:
        part = min(size, 16384 if slowly else len(BLOCK))
        writer.write(BLOCK[:part])
        size -= part
        await (asyncio.sleep(0) if slowly else writer.drain())
    await writer.drain()


SIZES = [pytest.param(64 * MIB, id="64MiB"), pytest.param(1024 * MIB, id="1GiB", marks=pytest.mark.slow)]
PACES = ["equal", "slow reader", "slow writer"]


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pace", PACES)
async def test_a_long_answer_takes_little_memory(size: int, pace: str) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        await write(writer, size, slowly=pace == "slow writer")

    async with server(play) as url, process(url, "uvloop" if size > 64 * MIB else "asyncio") as gate:
        before = gate.memory()
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(GET)
        await reader.readuntil(b"\r\n\r\n")
        await read(reader, size, slowly=pace == "slow reader")
        writer.close()
        assert gate.memory("VmHWM") - before < 32 * MIB


@pytest.mark.timeout(120)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pace", PACES)
async def test_a_long_upload_takes_little_memory(size: int, pace: str) -> None:
    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await read(reader, size, slowly=pace == "slow reader")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await reader.read()

    async with server(play) as url, process(url, "uvloop" if size > 64 * MIB else "asyncio") as gate:
        before = gate.memory()
        reader, writer = await asyncio.open_connection("127.0.0.1", gate.port)
        writer.write(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        await write(writer, size, slowly=pace == "slow writer")
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.close()
        assert gate.memory("VmHWM") - before < 32 * MIB
