"""Second attempts: on a fresh connection, at another endpoint, at a plugin's wish, and only where they are safe."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import ClassVar

import pytest

from spork_core.api import Attempt, Exchange, Plugin, hookimpl
from spork_core.config.model import EndpointConfig, ServiceConfig, UpstreamTimeouts
from tests.wire.conftest import GET, OK, Running, Upstream, Wire, gateway, holds, upstream

POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
PUT = POST.replace(b"POST", b"PUT")
CHUNKED = b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"


async def stale(wire: Wire) -> None:
    """Answers one request, then leaves when the second one comes: what a time-out at the upstream looks like."""
    await wire.message()
    await wire.send(OK)
    await wire.message()


@asynccontextmanager
async def used(backend: Upstream) -> AsyncIterator[Running]:
    """A gateway that has one used connection to ``backend``."""
    async with gateway(backend) as gate:
        assert (await gate.ask(GET)).status == 200
        yield gate


# -- stale connections --------------------------------------------------------------------------------


REPEATABLE = {"GET": GET, "PUT": PUT, "chunked PUT": CHUNKED, "DELETE": GET.replace(b"GET", b"DELETE")}


@pytest.mark.parametrize("request_", REPEATABLE.values(), ids=REPEATABLE)
async def test_a_safe_request_goes_out_again_on_a_fresh_connection(request_: bytes) -> None:
    async with upstream(stale) as backend, used(backend) as gate:
        assert (await gate.ask(request_)).status == 200
        assert [len(wire.seen) > 0 for wire in backend.wires] == [True, True]
        assert backend.wires[0].seen.endswith(backend.wires[1].seen)


@pytest.mark.parametrize("method", [b"POST", b"PATCH"])
async def test_an_unsafe_request_does_not(method: bytes) -> None:
    async with upstream(stale) as backend, used(backend) as gate:
        message = await gate.ask(POST.replace(b"POST", method))
        assert (message.status, b"upstream-reset" in message.body) == (502, True)
        assert len(backend.wires) == 1


async def test_only_once() -> None:
    first = True

    async def script(wire: Wire) -> None:
        nonlocal first
        await wire.message()
        if first:
            first = False
            await wire.send(OK)
            await wire.message()

    async with upstream(script) as backend, used(backend) as gate:
        assert (await gate.ask(GET)).status == 502
        assert len(backend.wires) == 2


async def test_a_new_connection_is_not_stale() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()

    async with upstream(script) as backend, gateway(backend) as gate:
        assert (await gate.ask(GET)).status == 502
        assert len(backend.wires) == 1


async def test_an_answer_that_was_begun_is_not_asked_for_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)
        await wire.message()
        await wire.send(b"HTTP/1.1 200")

    async with upstream(script) as backend, used(backend) as gate:
        assert (await gate.ask(GET)).status == 502
        assert len(backend.wires) == 1


async def test_content_that_streams_is_not_sent_again() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)
        await wire.head()
        await wire.exactly(5)

    async with upstream(script) as backend, used(backend) as gate:
        client = await gate.client()
        await client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello")
        assert (await client.message()).status == 502
        assert len(backend.wires) == 1


# -- endpoints ----------------------------------------------------------------------------------------


@pytest.fixture
def closed() -> Iterator[list[str]]:
    """URLs of two ports that refuse."""
    with socket.socket() as one, socket.socket() as two:
        for sock in (one, two):
            sock.bind(("127.0.0.1", 0))
        yield [f"http://127.0.0.1:{sock.getsockname()[1]}" for sock in (one, two)]


def several(*urls: str, **config: object) -> dict[str, ServiceConfig]:
    return {"up": ServiceConfig(tuple(map(EndpointConfig, urls)), **config)}  # type: ignore[arg-type]


@pytest.mark.parametrize("request_", [GET, POST], ids=["GET", "POST"])
async def test_an_endpoint_that_refuses_is_passed_over(request_: bytes, closed: list[str]) -> None:
    async with upstream() as backend, gateway(services=several(*closed, backend.url)) as gate:
        assert [(await gate.ask(request_)).status for _ in range(6)] == [200] * 6


async def test_content_that_streams_goes_to_another_endpoint_while_nothing_is_sent(closed: list[str]) -> None:
    async with upstream() as backend, gateway(services=several(*closed, backend.url)) as gate:
        for _ in range(3):
            client = await gate.client()
            await client.send(POST[:-1])
            await holds(lambda: backend.received.endswith(b"h"))
            await client.send(b"i")
            assert (await client.message()).status == 200
        assert backend.received.count(b"\r\n\r\nhi") == 3


class Attempts(Plugin[None]):
    """Notes what is tried, and asks for more as often as ``wanted`` says."""

    seen: ClassVar[list[tuple[int, str | None, int | None]]] = []
    wanted = 0
    delay = 0.0

    @hookimpl
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        self.seen.append((attempt.number, attempt.error and attempt.error.code, attempt.status))

    @hookimpl
    def should_retry(self, exchange: Exchange, attempt: Attempt) -> float | None:
        return self.delay if attempt.number <= self.wanted else None


@pytest.fixture
def noted() -> Iterator[type[Attempts]]:
    Attempts.seen, Attempts.wanted, Attempts.delay = [], 0, 0.0
    return Attempts


async def test_each_endpoint_that_refuses_is_tried_once(closed: list[str], noted: type[Attempts]) -> None:
    async with gateway(services=several(*closed), plugins={"note": noted}) as gate:
        assert (await gate.ask(GET)).status == 502
    assert noted.seen == [(1, "upstream-connect-failed", None), (2, "upstream-connect-failed", None)]


async def test_another_endpoint_does_not_get_what_one_may_have_processed(noted: type[Attempts]) -> None:
    async def leave(wire: Wire) -> None:
        await wire.message()

    async with AsyncExitStack() as stack:
        urls = [(await stack.enter_async_context(upstream(leave))).url for _ in range(2)]
        gate = await stack.enter_async_context(gateway(services=several(*urls), plugins={"note": noted}))
        assert (await gate.ask(GET)).status == 502
    assert noted.seen == [(1, "upstream-reset", None)]


# -- what plugins ask for -----------------------------------------------------------------------------


async def failing_twice(backend: list[Upstream], wire: Wire) -> None:
    while True:
        await wire.message()
        failed = len(backend[0].requests) <= 2
        await wire.send(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno" if failed else OK)


@asynccontextmanager
async def twice(noted: type[Attempts], wanted: int, **config: object) -> AsyncIterator[tuple[Upstream, Running]]:
    """An upstream that answers two requests with 503, and a gateway whose plugin asks for ``wanted`` other attempts."""
    backends: list[Upstream] = []
    noted.wanted = wanted
    async with upstream(lambda wire: failing_twice(backends, wire)) as backend:
        backends.append(backend)
        async with gateway(backend, plugins={"note": noted}, **config) as gate:  # type: ignore[arg-type]
            yield backend, gate


@pytest.mark.parametrize("request_", [GET, PUT], ids=["GET", "PUT"])
async def test_a_plugin_may_ask_for_more(request_: bytes, noted: type[Attempts]) -> None:
    async with twice(noted, 5) as (_, gate):
        message = await gate.ask(request_)
    assert (message.status, message.body) == (200, b"ok")
    assert noted.seen == [(1, None, 503), (2, None, 503), (3, None, 200)]


async def test_the_last_answer_is_the_clients(noted: type[Attempts]) -> None:
    async with twice(noted, 1) as (_, gate):
        message = await gate.ask(GET)
    assert (message.status, message.body) == (503, b"no")


async def test_a_plugin_cannot_have_an_unsafe_request_repeated(noted: type[Attempts]) -> None:
    async with twice(noted, 5) as (backend, gate):
        assert (await gate.ask(POST)).status == 503
        assert len(backend.requests) == 1


async def test_a_plugin_cannot_ask_for_ever(noted: type[Attempts]) -> None:
    noted.wanted = 1000
    async with (
        upstream(b"HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno") as backend,
        gateway(backend, plugins={"note": noted}) as gate,
    ):
        assert (await gate.ask(GET)).status == 503
        assert len(backend.requests) == 10


async def test_a_streamed_answer_that_is_given_up_costs_its_connection_only(noted: type[Attempts]) -> None:
    noted.wanted = 1

    async def script(wire: Wire) -> None:
        await wire.message()
        if len(backend.wires) == 1:
            await wire.send(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nno")
            await wire.rest()
        await wire.send(OK)
        await wire.rest()

    async with upstream(script) as backend, gateway(backend, plugins={"note": noted}) as gate:
        assert (await gate.ask(GET)).body == b"ok"
        await holds(backend.wires[0].ended)
        assert not backend.wires[1].ended()


async def test_a_wait_that_would_outlast_the_total_time_is_not_begun(noted: type[Attempts]) -> None:
    noted.delay = 60.0
    async with (
        twice(noted, 5, service={"timeouts": UpstreamTimeouts(total=0.1)}) as (backend, gate),
        asyncio.timeout(5),
    ):
        message = await gate.ask(GET)
        assert message.status == 503
        assert len(backend.requests) == 1
