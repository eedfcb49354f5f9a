"""Several endpoints: in turn, by weight, over TCP and unix sockets, found by names that change."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from spork_core.api import Attempt, Endpoint, Exchange, Plugin, hookimpl
from spork_core.config.model import EndpointConfig, PoolConfig, ResolveConfig, ServiceConfig
from tests.wire.conftest import GET, OK, Running, Upstream, gateway, upstream


@pytest.fixture
async def three() -> AsyncIterator[list[Upstream]]:
    """Three backends that answer with their number."""
    async with AsyncExitStack() as stack:
        answers = (OK.replace(b"ok", b"%02d" % at) for at in range(3))
        yield [await stack.enter_async_context(upstream(answer)) for answer in answers]


def over(backends: list[Upstream], *weights: int, **config: object) -> dict[str, ServiceConfig]:
    endpoints = zip(backends, weights or [1] * len(backends), strict=True)
    return {"up": ServiceConfig(tuple(EndpointConfig(b.url, w) for b, w in endpoints), **config)}  # type: ignore[arg-type]


async def asked(gate: Running, times: int) -> list[int]:
    """Which backends answer, in order."""
    return [int((await gate.ask(GET)).body) for _ in range(times)]


async def test_equal_endpoints_take_turns(three: list[Upstream]) -> None:
    async with gateway(services=over(three)) as gate:
        assert await asked(gate, 7) == [0, 1, 2, 0, 1, 2, 0]


async def test_weights_are_smooth(three: list[Upstream]) -> None:
    async with gateway(services=over(three[:2], 5, 1)) as gate:
        assert await asked(gate, 12) == [0, 0, 0, 1, 0, 0] * 2


async def test_weights_of_three(three: list[Upstream]) -> None:
    async with gateway(services=over(three, 300, 200, 100)) as gate:
        turns = await asked(gate, 12)
    assert turns[:6] == turns[6:]
    assert Counter(turns) == {0: 6, 1: 4, 2: 2}
    assert all(turns[at : at + 3] != [0, 0, 0] for at in range(9))


async def test_each_endpoint_has_a_pool_of_its_own(three: list[Upstream]) -> None:
    async with gateway(services=over(three, pool=PoolConfig(connections=1, pending=0))) as gate:
        await asked(gate, 9)
        assert [len(backend.wires) for backend in three] == [1, 1, 1]


class Choose(Plugin[None]):
    """Sends everything to the last endpoint."""

    wanted: Endpoint | None = None

    @hookimpl
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        return self.wanted


async def test_a_plugin_may_choose(three: list[Upstream], monkeypatch: pytest.MonkeyPatch) -> None:
    async with gateway(services=over(three), plugins={"choose": Choose}) as gate:
        monkeypatch.setattr(Choose, "wanted", gate.gateway.snapshot.services["up"].endpoints[2])
        assert await asked(gate, 4) == [2] * 4
        monkeypatch.setattr(Choose, "wanted", None)
        assert sorted(await asked(gate, 3)) == [0, 1, 2]


class ChooseLast(Plugin[None]):
    """Sends everything to the last of the endpoints that it may choose from."""

    @hookimpl
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        return attempt.choices[-1]


async def test_a_plugin_is_told_what_it_may_choose(three: list[Upstream]) -> None:
    async with gateway(services=over(three), plugins={"choose": ChooseLast}) as gate:
        assert await asked(gate, 4) == [2] * 4


async def test_a_plugin_may_not_choose_what_is_not_there(
    three: list[Upstream], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Choose, "wanted", Endpoint("up", "http://127.0.0.1:1"))
    async with gateway(services=over(three), plugins={"choose": Choose}, faults=True) as gate:
        assert (await gate.ask(GET)).status == 500


# -- kinds of address ---------------------------------------------------------------------------------


async def test_a_unix_socket(tmp_path: Path) -> None:
    seen: list[bytes] = []
    over = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                seen.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(OK)
        except asyncio.IncompleteReadError:
            writer.close()
            await writer.wait_closed()
            over.set()

    server = await asyncio.start_unix_server(serve, tmp_path / "up.sock")
    services = {"up": ServiceConfig((EndpointConfig(f"unix:{tmp_path / 'up.sock'}"),))}
    async with gateway(services=services) as gate:
        assert [(await gate.ask(GET)).body for _ in range(2)] == [b"ok", b"ok"]
        assert b"\r\nHost: a\r\n" in seen[0]
        old = b"GET / HTTP/1.0\r\n\r\n"
        await gate.ask(old)
        assert b"\r\nHost: localhost\r\n" in seen[2]
    await asyncio.wait_for(over.wait(), 5)
    server.close()


@pytest.fixture
def ipv6() -> Iterator[socket.socket]:
    try:
        sock = socket.socket(socket.AF_INET6)
        sock.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    with sock:
        yield sock


async def test_ipv6(ipv6: socket.socket) -> None:
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(OK)
        writer.close()

    server = await asyncio.start_server(serve, sock=ipv6)
    port = ipv6.getsockname()[1]
    async with gateway(services={"up": ServiceConfig((EndpointConfig(f"http://[::1]:{port}"),))}) as gate:
        assert (await gate.ask(b"GET / HTTP/1.0\r\n\r\n")).status == 200
    assert b"\r\nHost: [::1]:%d\r\n" % port in seen[0]
    server.close()


# -- names --------------------------------------------------------------------------------------------


class Names:
    """What the resolver of a test's loop says."""

    def __init__(self) -> None:
        self.known: dict[str, list[str]] = {}
        self.asked: list[str] = []

    async def getaddrinfo(self, host: str, port: object, **_: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        await asyncio.sleep(0)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in self.known[host]]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    """A resolver for names; addresses are left to the real one."""
    loop = asyncio.get_running_loop()
    found, real = Names(), loop.getaddrinfo

    async def getaddrinfo(host: str, port: object, **more: object) -> object:
        return await (found.getaddrinfo if host.endswith(".test") else real)(host, port, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    return found


def named(backend: Upstream, **config: object) -> dict[str, ServiceConfig]:
    endpoint = EndpointConfig(f"http://up.test:{backend.port}")
    return {"up": ServiceConfig((endpoint,), pool=PoolConfig(idle=0), **config)}  # type: ignore[arg-type]


async def test_a_name_is_looked_up_once_for_many_connections(names: Names) -> None:
    names.known["up.test"] = ["127.0.0.1"]
    async with upstream() as backend, gateway(services=named(backend)) as gate:
        answers = await asyncio.gather(*(gate.ask(GET) for _ in range(5)))
        assert [answer.status for answer in answers] == [200] * 5
        assert len(backend.wires) == 5
    assert names.asked == ["up.test"]


async def test_a_name_is_looked_up_again_behind_the_requests(names: Names) -> None:
    names.known["up.test"] = ["127.0.0.1"]
    async with upstream() as backend, gateway(services=named(backend, resolve=ResolveConfig(0.002))) as gate:
        await gate.ask(GET)
        del names.known["up.test"]
        while len(names.asked) < 3:
            assert (await gate.ask(GET)).status == 200  # what was found keeps
        names.known["up.test"] = ["127.0.0.9"]
        while (await gate.ask(GET)).status == 200:
            pass
        assert set(names.asked) == {"up.test"}


async def test_an_address_that_refuses_is_passed_over(names: Names) -> None:
    names.known["up.test"] = ["127.0.0.9", "127.0.0.1"]
    async with upstream() as backend, gateway(services=named(backend)) as gate:
        assert [(await gate.ask(GET)).status for _ in range(4)] == [200] * 4


async def test_a_name_that_appears_later_is_found(names: Names) -> None:
    async with upstream() as backend, gateway(services=named(backend)) as gate:
        assert (await gate.ask(GET)).status == 502
        names.known["up.test"] = ["127.0.0.1"]
        assert (await gate.ask(GET)).status == 200
