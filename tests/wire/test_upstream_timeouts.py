"""Time-outs towards an upstream: connect, response, idle, total; a 504 while an answer is possible, else an abort."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator

import pytest

from spork_core.config.model import EndpointConfig, ServiceConfig, TimeoutOverrides, UpstreamTimeouts, UpstreamTLS
from tests.wire.conftest import GET, OK, Message, Wire, gateway, holds, upstream

SHORT = 0.1
UPLOAD = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello"


def only(**seconds: float) -> dict[str, UpstreamTimeouts]:
    return {"timeouts": UpstreamTimeouts(**seconds)}


def code(message: Message) -> tuple[int, str]:
    return message.status, json.loads(message.body)["code"]


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    """Nothing here takes as long as the time-outs that are not set."""
    begun = asyncio.get_running_loop().time()
    yield
    assert asyncio.get_running_loop().time() - begun < 4


async def silent(wire: Wire) -> None:
    await wire.message()
    await wire.rest()


async def half_a_head(wire: Wire) -> None:
    await wire.message()
    await wire.send(b"HTTP/1.1 200 OK\r\n")
    await wire.rest()


async def endless_interim(wire: Wire) -> None:
    await wire.message()
    while True:
        await wire.send(b"HTTP/1.1 102 Processing\r\n\r\n")
        await asyncio.sleep(0.01)


async def half_a_body(wire: Wire) -> None:
    await wire.message()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok")
    await wire.rest()


# -- response -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [silent, half_a_head])
async def test_no_head_in_time_is_504(script: object) -> None:
    async with upstream(script) as backend, gateway(backend, service=only(response=SHORT)) as gate:  # type: ignore[arg-type]
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")
        await holds(backend.wires[0].ended)
        assert len(backend.wires) == 1


async def test_interim_answers_win_no_time() -> None:
    async with upstream(endless_interim) as backend, gateway(backend, service=only(response=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.until(b"HTTP/1.1 504 ")


async def test_the_response_time_begins_when_the_upload_is_through() -> None:
    async with upstream(OK) as backend, gateway(backend, service=only(response=SHORT)) as gate:
        client = await gate.client()
        await client.send(UPLOAD)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.reader.read(1), 3 * SHORT)
        await client.send(b"world")
        assert (await client.message()).status == 200


async def test_a_route_may_have_its_own() -> None:
    route = {"timeouts": TimeoutOverrides(response=SHORT)}
    async with upstream(silent) as backend, gateway(backend, route=route) as gate:
        assert (await gate.ask(GET)).status == 504


async def test_a_slow_body_is_no_slow_head() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for byte in b"hello":
            await asyncio.sleep(SHORT / 2)
            await wire.send(bytes([byte]))

    async with upstream(script) as backend, gateway(backend, service=only(response=SHORT, idle=2 * SHORT)) as gate:
        assert (await gate.ask(GET)).body == b"hello"


# -- idle ---------------------------------------------------------------------------------------------


async def test_silence_in_mid_body_breaks_the_answer_off() -> None:
    async with upstream(half_a_body) as backend, gateway(backend, service=only(idle=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET)
        assert (await client.rest()).endswith(b"ok")
        await holds(backend.wires[0].ended)


async def test_an_upstream_that_does_not_read_is_504() -> None:
    async def script(wire: Wire) -> None:
        wire.writer.transport.pause_reading()
        await asyncio.Event().wait()

    async with upstream(script) as backend, gateway(backend, service=only(idle=SHORT)) as gate:
        client = await gate.client()
        client.writer.write(UPLOAD.replace(b"10", b"80000000") + bytes(20_000_000))
        assert code(await client.message()) == (504, "upstream-timeout")


async def test_a_client_that_does_not_read_is_not_the_upstreams_fault() -> None:
    size = 16_000_000

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        await wire.message()

    async with upstream(script) as backend, gateway(backend, service=only(idle=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.head()
        client.writer.transport.pause_reading()
        await asyncio.sleep(3 * SHORT)
        client.writer.transport.resume_reading()
        assert len(await client.exactly(size)) == size


# -- connect ------------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Iterator[str]:
    """The URL of a port whose backlog is full: another connection waits for ever."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(server.getsockname())
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def at(*urls: str, **config: object) -> dict[str, ServiceConfig]:
    return {"up": ServiceConfig(tuple(map(EndpointConfig, urls)), **config)}  # type: ignore[arg-type]


async def test_no_connection_in_time_is_504(deaf: str) -> None:
    async with gateway(services=at(deaf, **only(connect=SHORT))) as gate:
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")


async def test_no_connection_in_time_means_another_endpoint(deaf: str) -> None:
    async with upstream() as backend, gateway(services=at(deaf, backend.url, **only(connect=SHORT))) as gate:
        assert [(await gate.ask(GET)).status for _ in range(3)] == [200] * 3


async def test_a_handshake_that_is_not_answered_is_504() -> None:
    async with upstream(silent) as backend:
        url = backend.url.replace("http:", "https:")
        async with gateway(services=at(url, tls=UpstreamTLS(verify=False), **only(connect=SHORT))) as gate:
            assert code(await gate.ask(GET)) == (504, "upstream-timeout")
            await holds(backend.wires[0].ended)


async def test_a_name_that_is_not_answered_is_504(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unanswered(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unanswered)
    async with gateway(services=at("http://slow.test", **only(connect=SHORT))) as gate:
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")


# -- total --------------------------------------------------------------------------------------------


async def test_the_total_time_ends_a_wait_for_a_head() -> None:
    async with upstream(silent) as backend, gateway(backend, service=only(total=SHORT)) as gate:
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")
        await holds(backend.wires[0].ended)


async def test_the_total_time_ends_a_wait_for_a_connection(deaf: str) -> None:
    async with gateway(services=at(deaf, **only(total=SHORT))) as gate:
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")


async def test_the_total_time_ends_tries_at_other_endpoints(deaf: str) -> None:
    async with gateway(services=at(deaf, deaf, deaf, **only(total=2 * SHORT, connect=1.5 * SHORT))) as gate:
        assert code(await gate.ask(GET)) == (504, "upstream-timeout")


async def test_the_total_time_ends_an_upload_that_the_client_does_not_end() -> None:
    async with upstream(silent) as backend, gateway(backend, service=only(total=SHORT)) as gate:
        assert code(await gate.ask(UPLOAD)) == (408, "request-timeout")


async def test_the_total_time_ends_an_answer_that_does_not_stop() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            await wire.send(b"more")
            await asyncio.sleep(SHORT / 5)

    async with upstream(script) as backend, gateway(backend, service=only(total=SHORT)) as gate:
        client = await gate.client()
        await client.send(GET)
        answered = await client.rest()
        assert b"more" in answered
        assert not answered.endswith(b"0\r\n\r\n")


async def test_the_total_time_of_one_exchange_is_not_the_nexts() -> None:
    async with upstream(OK) as backend, gateway(backend, service=only(total=2 * SHORT)) as gate:
        client = await gate.client()
        end = asyncio.get_running_loop().time() + 5 * SHORT
        while asyncio.get_running_loop().time() < end:
            await client.send(GET)
            assert (await client.message()).status == 200
        assert len(backend.wires) == 1
