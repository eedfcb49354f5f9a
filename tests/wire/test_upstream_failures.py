"""Upstreams that refuse, break off, or are not there: which status and code the client sees."""

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import ClassVar

import pytest

from spork_core.api import Exchange, Plugin, hookimpl
from spork_core.config.model import EndpointConfig, PoolConfig, ServiceConfig, UpstreamTimeouts
from tests.wire.conftest import GET, OK, Message, Upstream, Wire, gateway, holds, upstream


def code(message: Message) -> tuple[int, str]:
    """Status and code of a problem, whose members agree with each other."""
    problem = json.loads(message.body)
    assert (problem["status"], problem["source"]) == (message.status, "upstream")
    return message.status, problem["code"]


@pytest.fixture
def nobody() -> Iterator[str]:
    """The URL of a port that is taken and refuses."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"


def service(*urls: str, **config: object) -> dict[str, ServiceConfig]:
    return {"up": ServiceConfig(tuple(map(EndpointConfig, urls)), **config)}  # type: ignore[arg-type]


async def test_refused_is_502(nobody: str) -> None:
    async with gateway(services=service(nobody)) as gate:
        assert code(await gate.ask(GET)) == (502, "upstream-connect-failed")


async def test_no_such_unix_socket_is_502() -> None:
    async with gateway(services=service("unix:/nonexistent/socket")) as gate:
        assert code(await gate.ask(GET)) == (502, "upstream-connect-failed")


async def test_no_endpoint_is_503() -> None:
    async with gateway(services=service()) as gate:
        assert code(await gate.ask(GET)) == (503, "upstream-unavailable")


async def test_an_unknown_name_is_502(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", unknown)
    async with gateway(services=service("http://nowhere.test")) as gate:
        for _ in range(2):
            assert code(await gate.ask(GET)) == (502, "upstream-connect-failed")


# -- breaking off -------------------------------------------------------------------------------------


async def leave(wire: Wire) -> None:
    wire.close()


async def reset(wire: Wire) -> None:
    await wire.message()
    wire.reset()


async def half_a_head(wire: Wire) -> None:
    await wire.message()
    await wire.send(b"HTTP/1.1 200 OK\r\nContent-")


async def read_and_leave(wire: Wire) -> None:
    await wire.message()


async def interim_and_leave(wire: Wire) -> None:
    await wire.message()
    await wire.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")


@pytest.mark.parametrize("script", [leave, reset, half_a_head, read_and_leave])
async def test_breaking_off_before_the_answer_is_502(script: object) -> None:
    async with upstream(script) as backend, gateway(backend) as gate:  # type: ignore[arg-type]
        assert code(await gate.ask(GET)) == (502, "upstream-reset")
        assert len(backend.wires) == 1


async def test_breaking_off_after_an_interim_answer_is_502() -> None:
    async with upstream(interim_and_leave) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        assert (await client.message()).status == 103
        assert code(await client.message()) == (502, "upstream-reset")


@pytest.mark.parametrize("ending", ["close", "reset"])
@pytest.mark.parametrize("fields", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
async def test_breaking_off_in_mid_body_breaks_off_the_answer(fields: bytes, ending: str) -> None:
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n\r\n2\r\nok\r\n")
        await go.wait()
        getattr(wire, ending)()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.until(b"ok")
        go.set()
        await holds(client.ended)
        assert b"0\r\n\r\n" not in client.seen


async def test_a_reset_in_mid_body_is_no_end_of_a_close_delimited_body() -> None:
    go = asyncio.Event()

    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nok")
        await go.wait()
        wire.reset()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        await client.until(b"ok")
        go.set()
        await holds(client.ended)
        assert b"0\r\n\r\n" not in client.seen


async def test_an_upstream_may_half_close_and_still_answer() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(OK)
        wire.half_close()
        await wire.rest()

    async with upstream(script) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(GET)
            assert (await client.message()).body == b"ok"


# -- pools that are used up ---------------------------------------------------------------------------


class Held(Upstream):
    """What a script that waits needs."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def script(self, wire: Wire) -> None:
        while True:
            await wire.message()
            await self.go.wait()
            await wire.send(OK)


async def test_nobody_may_wait_for_the_only_connection() -> None:
    held = Held()
    pool = {"pool": PoolConfig(connections=1, pending=0)}
    async with upstream(held.script) as backend, gateway(backend, service=pool) as gate:
        first = await gate.client()
        await first.send(GET)
        await holds(lambda: backend.requests)
        assert code(await gate.ask(GET)) == (503, "upstream-unavailable")
        held.go.set()
        assert (await first.message()).status == 200
        assert (await gate.ask(GET)).status == 200


async def test_one_may_wait_for_the_only_connection() -> None:
    held = Held()
    pool = {"pool": PoolConfig(connections=1, pending=1)}
    async with upstream(held.script) as backend, gateway(backend, service=pool) as gate:
        first, second = await gate.client(), await gate.client()
        await first.send(GET)
        await holds(lambda: backend.requests)
        await second.send(GET)
        (one,) = gate.gateway.snapshot.services["up"].pools
        await holds(lambda: one.waiting == 1)
        assert code(await gate.ask(GET)) == (503, "upstream-unavailable")
        held.go.set()
        assert [(await wire.message()).status for wire in (first, second)] == [200, 200]
        assert len(backend.wires) == 1


async def test_waiting_in_vain_is_503() -> None:
    held = Held()
    limits = {"pool": PoolConfig(connections=1), "timeouts": UpstreamTimeouts(connect=0.1)}
    async with upstream(held.script) as backend, gateway(backend, service=limits) as gate:
        first = await gate.client()
        await first.send(GET)
        await holds(lambda: backend.requests)
        assert code(await gate.ask(GET)) == (503, "upstream-unavailable")
        held.go.set()
        assert (await first.message()).status == 200


async def test_who_waits_does_not_pay_for_a_connection_that_failed(nobody: str) -> None:
    limits = {"pool": PoolConfig(connections=1)}
    async with gateway(services=service(nobody, **limits)) as gate:
        async with asyncio.timeout(3):  # the time that one may wait for a connection is 5 s
            answers = await asyncio.gather(*(gate.ask(GET) for _ in range(5)))
    assert {code(answer) for answer in answers} == {(502, "upstream-connect-failed")}


async def test_who_waited_and_left_passes_the_turn_on() -> None:
    held = Held()
    limits = {"pool": PoolConfig(connections=1)}
    async with upstream(held.script) as backend, gateway(backend, service=limits) as gate:
        wires = [await gate.client() for _ in range(3)]
        (pool,) = gate.gateway.snapshot.services["up"].pools
        for at, wire in enumerate(wires):
            await wire.send(GET)
            await holds(lambda at=at: len(backend.requests) + pool.waiting == at + 1)
        wires[1].reset()
        await holds(lambda: pool.waiting == 1)
        held.go.set()
        assert [(await wire.message()).status for wire in (wires[0], wires[2])] == [200, 200]


async def test_the_limit_holds_when_many_connections_end_at_once() -> None:
    pool = {"pool": PoolConfig(connections=2)}
    most = 0

    async def script(wire: Wire) -> None:
        nonlocal most
        await wire.message()
        most = max(most, sum(not other.ended() for other in backend.wires))
        await wire.send(OK.replace(b"Date", b"Connection: close\r\nDate"))
        await wire.rest()

    async with upstream(script) as backend, gateway(backend, service=pool) as gate:
        answers = await asyncio.gather(*(gate.ask(GET) for _ in range(30)))
        assert {answer.status for answer in answers} == {200}
        assert len(backend.wires) == 30
    assert most <= 2


# -- what plugins see ---------------------------------------------------------------------------------


class Note(Plugin[None]):
    ends: ClassVar[list[tuple[str | None, int]]] = []

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        assert exchange.outcome is not None
        self.ends.append((exchange.error.code if exchange.error else None, exchange.outcome.status))


CUT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nok"
NOTED = {
    "fine": (OK, (None, 200)),
    "malformed": (b"hello\r\n\r\n", ("upstream-malformed", 502)),
    "reset": (leave, ("upstream-reset", 502)),
    "cut": (half_a_head, ("upstream-reset", 502)),
}


@pytest.mark.parametrize("name", NOTED)
async def test_the_exchange_knows_what_went_wrong(name: str) -> None:
    script, expected = NOTED[name]
    Note.ends.clear()
    async with upstream(script) as backend, gateway(backend, plugins={"note": Note}) as gate:  # type: ignore[arg-type]
        await gate.ask(GET)
        await holds(lambda: Note.ends)
    assert Note.ends == [expected]


async def test_the_exchange_knows_of_a_body_that_broke_off() -> None:
    async def script(wire: Wire) -> None:
        await wire.message()
        await wire.send(CUT)

    Note.ends.clear()
    async with upstream(script) as backend, gateway(backend, plugins={"note": Note}) as gate:
        client = await gate.client()
        await client.send(GET)
        await holds(lambda: Note.ends)
    assert Note.ends == [("upstream-reset", 200)]
