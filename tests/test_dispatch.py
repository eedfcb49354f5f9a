"""Exchanges that plugins begin, through a gateway with real sockets to a real backend."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from spork_core.config.model import (
    Address,
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Listener,
    MatchConfig,
    RouteConfig,
    ServiceConfig,
    UpstreamTimeouts,
)
from spork_core.errors import UpstreamConnectFailed, UpstreamReset
from spork_core.exchange import Exchange, Request, Response
from spork_core.gateway import Gateway
from spork_core.hookspecs import hookimpl
from spork_core.plugin import Plugin
from spork_core.registry import Registry
from spork_core.upstream.service import Service

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = {
    b"/hello": [b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
    b"/chunks": [CHUNKED, b"5\r\nhello\r\n", b"0\r\nX-Sum: 1\r\n\r\n"],
    b"/half": [CHUNKED, b"5\r\nhello\r\n"],
    b"/broken": [CHUNKED, b"5\r\nhello\r\n", b""],
    b"/never": [],
}


class Backend:
    """Answers each path with its pieces; b"" closes the connection. Keeps the heads that came."""

    def __init__(self) -> None:
        self.heads: list[bytes] = []
        self.came = asyncio.Event()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.heads.append(head)
                self.came.set()
                for piece in ANSWERS[head.split()[1].partition(b"?")[0]]:
                    writer.write(piece) if piece else writer.transport.abort()
                    await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


class Witness(Plugin[Any]):
    """Writes down what happens to exchanges."""

    log: list[Any]

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        self.log.append(("pre_auth", exchange.request.path))

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self.log.append(("on_response", exchange.response.status))

    @hookimpl
    async def on_complete(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        outcome = exchange.outcome
        assert outcome is not None
        self.log.append(("on_complete", outcome.status, outcome.complete, outcome.bytes_sent))


@pytest.fixture
def log() -> list[Any]:
    return []


@pytest.fixture
async def backend() -> Backend:
    return Backend()


@pytest.fixture
async def gateway(backend: Backend, log: list[Any]) -> AsyncIterator[Gateway]:
    server = await asyncio.start_server(backend, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    config = GatewayConfig(
        listen=(Listener(Address("127.0.0.1", 0)),),
        admin=None,
        services={
            "users": ServiceConfig((EndpointConfig(url),), UpstreamTimeouts(total=50.0)),
            "down": ServiceConfig((EndpointConfig("http://127.0.0.1:1"),)),
        },
        plugins={"witness": InstanceConfig("witness", "witness")},
        chain=("witness",),
        routes={"all": RouteConfig(MatchConfig(host=("gw",)), "users")},
    )
    gateway = Gateway(config, Registry({"witness": type("Noting", (Witness,), {"log": log})}))
    await gateway.start()
    yield gateway
    await gateway.stop(0)
    server.close()


def pool(gateway: Gateway) -> Any:
    service: Service = gateway.snapshot.services["users"]
    return service.pools[0]


def timers() -> list[str]:
    """The exchange timers that are armed."""
    handles = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return [repr(handle) for handle in handles if not handle.cancelled() and "_total_overdue" in repr(handle)]


async def until(true: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110  what is waited for tells nobody
            await asyncio.sleep(0)


# -- send -----------------------------------------------------------------------------------------------


async def test_send_asks_the_service_and_no_chain(gateway: Gateway, backend: Backend, log: list[Any]) -> None:
    response = await gateway.view().send("users", Request(path="/hello", query="a=b"))

    assert (response.status, response.source, await response.body.read(9)) == (200, "upstream", b"hello")
    assert backend.heads[0].startswith(b"GET /hello?a=b HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"Via: 1.1 spork\r\n" in backend.heads[0]
    assert b"X-Forwarded" not in backend.heads[0]
    assert (log, timers(), gateway.snapshot.running) == ([], [], 0)


async def test_send_streams_with_trailers_and_ends_with_the_body(gateway: Gateway) -> None:
    response = await gateway.view().send("users", Request(path="/chunks"))
    assert (gateway.snapshot.running, len(timers())) == (1, 1)

    assert [chunk async for chunk in response.body] == [b"hello"]
    assert (response.body.trailers, gateway.snapshot.running, timers()) == ({"X-Sum": "1"}, 0, [])


@pytest.mark.parametrize("path", ["/half", "/hello"])
async def test_a_discard_ends_it_too(gateway: Gateway, path: str) -> None:
    response = await gateway.view().send("users", Request(path=path))
    response.body.discard()
    response.body.discard()

    await until(lambda: gateway.snapshot.running == 0)
    assert (timers(), pool(gateway).open - pool(gateway).idle) == ([], 0)


async def test_send_says_what_went_wrong(gateway: Gateway) -> None:
    with pytest.raises(UpstreamConnectFailed):
        await gateway.view().send("down", Request())
    with pytest.raises(KeyError, match="nowhere"):
        await gateway.view().send("nowhere", Request())

    assert (timers(), gateway.snapshot.running) == ([], 0)


async def test_a_body_that_breaks_off_raises_where_it_is_read(gateway: Gateway) -> None:
    response = await gateway.view().send("users", Request(path="/broken"))

    with pytest.raises(UpstreamReset):
        await response.body.read(99)
    assert (timers(), gateway.snapshot.running) == ([], 0)


Ask = Callable[[Gateway, Request], Awaitable[Response]]
ASKING = [
    pytest.param(lambda gateway, request: gateway.view().send("users", request), id="send"),
    pytest.param(lambda gateway, request: gateway.view().dispatch(request), id="dispatch"),
]


@pytest.mark.parametrize("ask", ASKING)
async def test_one_who_gives_up_frees_all(gateway: Gateway, backend: Backend, ask: Ask) -> None:
    asking = asyncio.ensure_future(ask(gateway, Request(path="/never", host="gw")))
    await backend.came.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert (gateway.snapshot.running, timers(), pool(gateway).open) == (0, [], 0)


# -- dispatch -------------------------------------------------------------------------------------------


async def test_dispatch_is_a_whole_exchange(gateway: Gateway, log: list[Any]) -> None:
    response = await gateway.view().dispatch(Request(path="/hello", host="gw"))

    assert await response.body.read(9) == b"hello"
    assert log == [("pre_auth", "/hello"), ("on_response", 200), ("on_complete", 200, True, 5)]


async def test_on_complete_comes_behind_the_last_byte(gateway: Gateway, log: list[Any]) -> None:
    response = await gateway.view().dispatch(Request(path="/chunks", host="gw"))
    assert (log[-1], gateway.snapshot.running) == (("on_response", 200), 1)

    await response.body.read(9)
    assert (log[-1], gateway.snapshot.running) == (("on_complete", 200, True, 5), 0)


@pytest.mark.parametrize("path", ["/half", "/broken"])
async def test_on_complete_comes_once_however_it_ends(gateway: Gateway, log: list[Any], path: str) -> None:
    response = await gateway.view().dispatch(Request(path=path, host="gw"))
    async for _ in response.body:
        break
    response.body.discard()
    response.body.discard()
    await until(lambda: gateway.snapshot.running == 0)

    assert [entry for entry in log if entry[0] == "on_complete"] == [("on_complete", 200, False, 5)]


async def test_on_complete_comes_when_the_one_who_asked_gives_up(
    gateway: Gateway, backend: Backend, log: list[Any]
) -> None:
    asking = asyncio.ensure_future(gateway.view().dispatch(Request(path="/never", host="gw")))
    await backend.came.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    assert log == [("pre_auth", "/never"), ("on_complete", 499, False, 0)]


async def test_what_no_route_takes_is_refused_by_the_outer_chain(gateway: Gateway, log: list[Any]) -> None:
    response = await gateway.view().dispatch(Request(path="/", host="elsewhere"))

    assert (response.status, response.source) == (404, "client")
    assert [entry[:2] for entry in log] == [("pre_auth", "/"), ("on_response", 404), ("on_complete", 404)]


# -- the front door -------------------------------------------------------------------------------------


async def test_a_problem_that_answers_head_has_a_length_and_no_body(gateway: Gateway) -> None:
    (address,) = gateway.addresses
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"HEAD / HTTP/1.1\r\nHost: elsewhere\r\nConnection: close\r\n\r\n")

    answer = await reader.read()

    writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    assert (head.split(b"\r\n")[0], body) == (b"HTTP/1.1 404 Not Found", b"")
    assert b"\r\nContent-Length: " in head
