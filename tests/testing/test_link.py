"""The flaky link: each fault on an echo server, for open connections and new ones, one way or both; no task is left."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.testing.link import Link, flaky
from spork_core.testing.link_ways import turn_every, turn_first
from spork_core.testing.patience import holds, settle
from tests.services import free_port

MOST = 10.0
Fault = Callable[[Link, int], None]
OPENED: list[asyncio.StreamWriter] = []
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends back what comes, then says goodbye."""
    OPENED.append(writer)
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.write(b"bye")
    except ConnectionError:
        pass
    finally:
        writer.close()


@asynccontextmanager
async def linked() -> AsyncIterator[Link]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with asyncio.timeout(MOST), flaky("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        yield link
    server.close()
    assert link.open == 0
    assert not [
        task for task in asyncio.all_tasks() if task.get_coro().__qualname__.startswith(("Flow", "_Connection"))
    ]


@pytest.fixture
async def link() -> AsyncIterator[Link]:
    async with linked() as found:
        yield found


async def client(link: Link) -> Ends:
    """A new connection; it is closed with the test."""
    to = asyncio.open_unix_connection(link.path) if link.path else asyncio.open_connection("127.0.0.1", link.port)
    ends = await to
    OPENED.append(ends[1])
    return ends


@pytest.fixture(autouse=True)
async def closed_at_the_end() -> AsyncIterator[None]:
    yield
    for writer in OPENED:
        writer.transport.abort()
    await settle(3)
    OPENED.clear()


async def say(ends: Ends, data: bytes) -> bytes:
    """What comes back for ``data``; shorter when the connection ends."""
    reader, writer = ends
    writer.write(data)
    return await reader.read(len(data)) if len(data) < 100 else await reader.readexactly(len(data))


async def ended(ends: Ends) -> str:
    """How the connection ends."""
    try:
        return "closed" if await ends[0].read() == b"" else "closed after data"
    except ConnectionResetError:
        return "reset"


async def test_a_good_link_carries_bytes_both_ways_and_counts_them(link: Link) -> None:
    ends = await client(link)
    assert await say(ends, b"x" * 1_000_000) == b"x" * 1_000_000
    assert await say(ends, b"ping") == b"ping"
    ends[1].write_eof()
    assert await ends[0].read() == b"bye"

    assert (link.connections, link.up.carried, link.down.carried) == (1, 1_000_004, 1_000_007)


async def test_what_waits_for_latency_goes_at_once_when_the_link_heals(link: Link) -> None:
    ends = await client(link)
    async with link.slowed(3600):
        ends[1].write(b"ping")
        await settle()
        assert link.up.carried == 0
    assert await ends[0].readexactly(4) == b"ping"


async def test_a_stalled_link_keeps_connections_and_passes_nothing_until_it_is_released(link: Link) -> None:
    old = await client(link)
    assert await say(old, b"a") == b"a"
    async with link.stalled():
        new = await client(link)
        old[1].write(b"b")
        new[1].write(b"c")
        await settle()
        assert (link.open, link.up.carried, link.down.carried) == (2, 1, 1)
    assert (await old[0].readexactly(1), await new[0].readexactly(1)) == (b"b", b"c")


async def test_a_stalled_link_pushes_back(link: Link) -> None:
    _, writer = await client(link)
    link.stall()
    writer.write(b"x" * 50_000_000)
    await settle(500)
    assert link.up.carried == 0
    assert writer.transport.get_write_buffer_size() > 25_000_000  # the rest is in buffers of the system
    writer.transport.abort()


async def test_one_way_alone_can_be_stalled(link: Link) -> None:
    ends = await client(link)
    link.down.change(stalled=True)
    ends[1].write(b"ping")
    await holds(lambda: link.up.carried == 4)
    await settle()
    assert link.down.carried == 0
    link.heal()
    assert await ends[0].readexactly(4) == b"ping"


async def test_reset_ends_open_connections_and_takes_new_ones(link: Link) -> None:
    old = await client(link)
    assert await say(old, b"a") == b"a"
    link.reset()
    assert await ended(old) == "reset"
    assert await say(await client(link), b"b") == b"b"


@pytest.mark.parametrize(("fault", "how"), [(Link.reset, "reset"), (Link.cut, "closed"), (Link.half_close, "closed")])
async def test_an_end_after_some_bytes(link: Link, fault: Fault, how: str) -> None:
    old = await client(link)
    assert await say(old, b"a") == b"a"
    fault(link, 3)
    for ends in (old, await client(link)):
        ends[1].write(b"12345")
        assert await ends[0].readexactly(3) == b"123"
        assert await ended(ends) == how


async def test_half_closed_what_is_sent_still_passes(link: Link) -> None:
    ends = await client(link)
    link.half_close()
    assert await say(ends, b"ping") == b""
    ends[1].write(b"more")
    await holds(lambda: link.up.carried == 8)
    ends[1].write_eof()
    await holds(lambda: not link.open)


async def test_a_refusing_link_is_as_a_dead_dependency_and_comes_back_on_the_same_port(link: Link) -> None:
    old = await client(link)
    assert await say(old, b"a") == b"a"
    async with link.refused():
        assert await ended(old) == "reset"
        with pytest.raises(ConnectionRefusedError):
            await client(link)
    assert await say(await client(link), b"b") == b"b"


async def test_bad_bytes(link: Link) -> None:
    ends = await client(link)
    link.down.change(tamper=turn_first(2))
    assert await say(ends, b"abcd") == bytes([0x61 ^ 0xFF, 0x62 ^ 0xFF]) + b"cd"
    assert await say(ends, b"abcd") == b"abcd"
    async with link.corrupted(every=4):  # both ways, so that it comes back right
        assert await say(ends, b"abcdefgh") == b"abcdefgh"


async def test_what_ends_is_told_to_the_other_side(link: Link) -> None:
    ends = await client(link)
    await say(ends, b"a")
    ends[1].transport.abort()
    await holds(lambda: not link.open)


async def test_a_dependency_that_is_not_there_is_a_reset() -> None:
    async with flaky("127.0.0.1", free_port()) as link:
        assert await ended(await client(link)) == "reset"
        assert (link.connections, link.unreached) == (1, 1)


async def test_it_knows_when_the_dependency_has_something_to_answer() -> None:
    """given a server that says nothing, when it was sent something, then the link has the time of that"""
    server = await asyncio.start_server(lambda _, writer: OPENED.append(writer), "127.0.0.1", 0)
    async with flaky("127.0.0.1", server.sockets[0].getsockname()[1]) as link:
        ends = await client(link)
        await holds(lambda: OPENED[1:])
        assert link.asked is None
        ends[1].write(b"ping")
        await holds(lambda: link.asked)
        OPENED[-1].write(b"pong")
        assert await ends[0].readexactly(4) == b"pong"
        assert link.asked is None
    server.close()


async def test_a_unix_socket() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/echo"
        server = await asyncio.start_unix_server(echo, path)
        async with flaky(path) as link:
            assert await say(await client(link), b"ping") == b"ping"
            assert link.url(f"unix://{path}?db=1") == f"unix://{link.path}?db=1"
            async with link.refused():
                assert await ended(await client(link)) == "closed"
            assert await say(await client(link), b"ping") == b"ping"
        assert not Path(link.path).parent.exists()
        server.close()


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:{}/0"),
        ("postgresql://me:p%40ss@db/app?x=1", "postgresql://me:p%40ss@127.0.0.1:{}/app?x=1"),
        ("http://[::1]:8080/jwks?u=a@b", "http://127.0.0.1:{}/jwks?u=a@b"),
    ],
)
async def test_a_url_of_the_dependency_becomes_one_of_the_link(link: Link, url: str, wanted: str) -> None:
    assert link.url(url) == wanted.format(link.port)


async def test_its_repr_tells_what_it_did(link: Link) -> None:
    await say(await client(link), b"ping")
    assert "1 connections, 4 bytes up, 4 down>" in repr(link)


@given(st.lists(st.binary(max_size=20)), st.integers(1, 9))
def test_every_nth_byte_is_turned_however_they_come(pieces: list[bytes], step: int) -> None:
    """given bytes in pieces, when one of ``step`` is turned over, then it is the same bytes as in one piece"""
    tamper, whole = turn_every(step), bytearray(b"".join(pieces))
    turn_every(step)(whole)
    got = bytearray()
    for piece in pieces:
        changed = bytearray(piece)
        tamper(changed)
        got += changed
    assert got == whole
    assert all((a != b) == (at % step == 0) for at, (a, b) in enumerate(zip(whole, b"".join(pieces), strict=True)))
