"""Clients that are slow, silent or do not read: how long they are waited for, and what they are told."""

import asyncio
import socket
from typing import Any

import pytest

from spork_core.api import Exchange, Plugin, Response, hookimpl
from spork_core.config.model import ClientTimeouts
from spork_core.server import listener
from tests.wire.conftest import GET, OK, Message, Running, Wire, gateway, holds, upstream

SHORT = 0.15
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n"


async def drip(wire: Wire, data: bytes) -> None:
    """Sends bytes one by one, each within the time limit, all of them not."""
    for at in range(len(data)):
        if wire.writer.is_closing() or wire.reader.at_eof():
            break
        wire.writer.write(data[at : at + 1])
        await asyncio.sleep(SHORT / 4)


def answered(answer: bytes, status: int) -> None:
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert b"\r\nConnection: close\r\n" in answer


@pytest.mark.parametrize("data", [b"G", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\n\r", b"\r"])
async def test_a_head_that_is_not_ended_is_408(data: bytes) -> None:
    async with gateway(timeouts=ClientTimeouts(header=SHORT)) as gate:
        answered(await gate.raw(data), 408)


async def test_a_head_that_drips_in_is_408_all_the_same() -> None:
    async with gateway(timeouts=ClientTimeouts(header=SHORT)) as gate:
        client = await gate.client()
        await drip(client, GET)
        answered(await client.rest(), 408)


async def test_the_second_head_has_its_own_time() -> None:
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(header=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET + b"GET")
        assert (await client.message()).status == 200
        answered(await client.rest(), 408)


@pytest.mark.parametrize("data", [b"", b"\r\n"])
async def test_a_connection_that_says_nothing_is_closed_without_a_word(data: bytes) -> None:
    async with gateway(timeouts=ClientTimeouts(header=SHORT)) as gate:
        assert await gate.raw(data) == b""


@pytest.mark.parametrize("data", [b"", b"\r\n"])
async def test_an_idle_connection_is_closed_without_a_word(data: bytes) -> None:
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(keep_alive=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET + data)
        await client.message()
        assert await client.rest() == b""


async def test_without_keep_alive_each_answer_says_so() -> None:
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(keep_alive=0)) as gate:
        answered(await gate.raw(GET), 200)


async def test_a_content_that_stops_coming_is_408_and_ends_its_upstream_request() -> None:
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(body=SHORT)) as gate:
        answered(await gate.raw(POST + b"1234"), 408)
        wire = await backend.sole()
        await holds(lambda: wire.gone)
    assert backend.received.endswith(b"\r\n\r\n1234")


async def test_a_content_that_drips_in_is_waited_for() -> None:
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(body=SHORT)) as gate:
        client = await gate.client()
        await client.send(POST)
        await drip(client, b"12345")
        assert (await client.message()).status == 200


async def test_a_client_asked_to_go_on_that_does_not_is_408() -> None:
    expecting = POST.replace(b"Host", b"Expect: 100-continue\r\nHost")
    async with upstream() as backend, gateway(backend, timeouts=ClientTimeouts(body=SHORT)) as gate:
        answer = await gate.raw(expecting)
    answered(answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n"), 408)


class Reads(Plugin[Any]):
    """Reads the content and answers with it."""

    @hookimpl
    async def serve(self, exchange: Exchange) -> Response:
        return Response(200, await exchange.request.body.read(100))


async def test_a_plugin_that_waits_for_a_content_is_not_kept_waiting() -> None:
    async with gateway(plugins={"reads": Reads}, timeouts=ClientTimeouts(body=SHORT)) as gate:
        answered(await gate.raw(POST + b"1234"), 408)


async def test_a_slow_backend_is_not_the_client_s_fault() -> None:
    going = asyncio.Event()

    async def slow(wire: Wire) -> None:
        wire.writer.transport.pause_reading()
        await going.wait()
        wire.writer.transport.resume_reading()
        await wire.message()
        await wire.send(OK)

    body = bytes(20_000_000)
    async with upstream(slow) as backend, gateway(backend, timeouts=ClientTimeouts(body=SHORT)) as gate:
        client = await gate.client()
        sending = asyncio.create_task(client.send(POST.replace(b": 5", b": %d" % len(body)) + body))
        await asyncio.sleep(2 * SHORT)
        going.set()
        await sending
        assert (await client.message()).status == 200


# -- clients that read slowly, or not at all -------------------------------------------------------------


class Slow:
    """A client that reads only when told to, with small buffers."""

    def __init__(self) -> None:
        self.sock = socket.socket()
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.sock.setblocking(False)
        self.received = b""

    async def ask(self, gate: Running, data: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(self.sock, gate.address)
        await loop.sock_sendall(self.sock, data)

    async def read(self) -> bool:
        """Reads a little; False at the end."""
        data = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(self.sock, 65536), 10)
        self.received += data
        return bool(data)


LARGE = bytes(12_000_000)
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LARGE), LARGE)


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    async with upstream(ENDLESS) as backend, gateway(backend, timeouts=ClientTimeouts(write=SHORT)) as gate:
        slow = Slow()
        await slow.ask(gate, GET)
        assert gate.gateway.front is not None
        await holds(lambda: backend.requests)
        await holds(lambda: not gate.gateway.front.connections)
        wire = await backend.sole()
        await holds(lambda: wire.gone)
        slow.sock.close()


class Large(Plugin[Any]):
    """Answers more than the kernel's buffers hold, in one piece."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        return Response(200, LARGE)


BIG: dict[str, Any] = {"plugins": {"large": Large}}
LAST = {
    "close": GET.replace(b"Host", b"Connection: close\r\nHost"),
    "keep-alive": GET,
    "HTTP/1.0": b"GET / HTTP/1.0\r\n\r\n",
}


@pytest.mark.parametrize("last", LAST.values(), ids=LAST)
@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
async def test_a_slow_reader_gets_its_last_answer_whole(
    monkeypatch: pytest.MonkeyPatch, last: bytes, half_closed: bool
) -> None:
    monkeypatch.setattr(listener, "LINGER", 0.05)
    async with gateway(**BIG, timeouts=ClientTimeouts(keep_alive=0.05)) as gate:
        slow = Slow()
        await slow.ask(gate, last)
        if half_closed:
            slow.sock.shutdown(socket.SHUT_WR)
        await slow.read()
        await asyncio.sleep(0.2)  # longer than any patience but that for a writer
        while await slow.read():
            pass
        slow.sock.close()
    head, _, body = slow.received.partition(b"\r\n\r\n")
    assert Message(head + b"\r\n\r\n").status == 200
    assert len(body) == len(LARGE)


@pytest.mark.parametrize("last", LAST.values(), ids=LAST)
@pytest.mark.parametrize("half_closed", [False, True], ids=["open", "half-closed"])
async def test_a_client_that_never_reads_its_last_answer_is_cut_off(last: bytes, half_closed: bool) -> None:
    async with gateway(**BIG, timeouts=ClientTimeouts(keep_alive=0.05, write=SHORT)) as gate:
        slow = Slow()
        await slow.ask(gate, last)
        if half_closed:
            slow.sock.shutdown(socket.SHUT_WR)
        await slow.read()
        assert gate.gateway.front is not None
        await holds(lambda: not gate.gateway.front.connections)
        slow.sock.close()


async def test_answers_that_nobody_reads_are_not_made() -> None:
    async with gateway(**BIG) as gate:
        slow = Slow()
        await slow.ask(gate, GET * 1000)
        assert gate.gateway.front is not None
        await holds(lambda: any(c._write_paused for c in gate.gateway.front.connections))
        (connection,) = gate.gateway.front.connections
        assert connection.transport.get_write_buffer_size() <= 2 * len(LARGE)
        assert len(connection._buffer) > 900 * len(GET)
        slow.sock.close()
