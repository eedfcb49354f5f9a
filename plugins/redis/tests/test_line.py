"""One connection, against a server that says what the test says, in whatever pieces."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spork_redis.counts import Counts
from spork_redis.line import Line, Refused, pack

from spork_core.api import StoreDown
from spork_core.testing import holds
from spork_core.testing.patience import settle

replies = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.binary(max_size=30),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=6,
)


def written(reply: Any) -> bytes:
    """In RESP 2."""
    match reply:
        case None:
            return b"$-1\r\n"
        case int():
            return b":%d\r\n" % reply
        case bytes():
            return b"$%d\r\n%b\r\n" % (len(reply), reply)
        case _:
            return b"*%d\r\n" % len(reply) + b"".join(map(written, reply))


class Seen:
    """Watches a line."""

    def __init__(self) -> None:
        self.late = 0
        self.why = ""

    def in_time(self) -> None:
        pass

    def too_late(self, count: int) -> None:
        self.late += count

    def lost(self, line: Line, why: str) -> None:
        self.why = why


@asynccontextmanager
async def line_to(
    folder: Path, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any], limit: float = 5, most: int = 100
) -> AsyncIterator[tuple[Line, Seen, Counts]]:
    """A line to a server that does what ``talk`` does."""
    path = str(folder / "scripted")
    talking: list[asyncio.Task[None]] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.transport.abort()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talking.append(asyncio.ensure_future(carry(reader, writer)))

    server = await asyncio.start_unix_server(accept, path)
    seen, counts = Seen(), Counts()
    line = Line(asyncio.get_running_loop(), limit, most, seen, counts)
    _, writer = await asyncio.open_unix_connection(path)
    line.use(writer)
    try:
        yield line, seen, counts
    finally:
        line.close("the test is over")
        server.close()
        for task in talking:
            task.cancel()
        await asyncio.gather(*talking, return_exceptions=True)
        await settle(3)


@settings(max_examples=40)
@given(answers=st.lists(replies, min_size=1, max_size=8), size=st.integers(1, 40))
def test_each_command_gets_its_reply_in_whatever_pieces_it_comes(folder: Path, answers: list[Any], size: int) -> None:
    whole = b"".join(map(written, answers))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(pack(("GET", "a"))) * len(answers))
        for at in range(0, len(whole), size):
            writer.write(whole[at : at + size])
            await asyncio.sleep(0)
        await reader.read()

    async def work() -> None:
        async with line_to(folder, talk) as (line, _, counts):
            found = await asyncio.gather(*(line.ask(pack(("GET", "a"))) for _ in answers))
            assert found == answers
            assert (counts.commands, counts.writes, line.waiting) == (len(answers), 1, 0)

    asyncio.run(work())


async def echo_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers each PING with its number, after all came that will come."""
    await reader.readexactly(3 * len(pack(("PING",))))
    writer.write(b":0\r\n:1\r\n:2\r\n")
    await reader.read()


async def test_a_late_reply_meets_nobody_else(folder: Path) -> None:
    async with line_to(folder, echo_late, limit=0.03) as (line, seen, _):
        for _ in range(2):
            with pytest.raises(StoreDown):
                await line.ask(pack(("PING",)))
        assert (line.waiting, seen.late) == (2, 2)

        assert await line.ask(pack(("PING",))) == 2
        assert line.waiting == 0


async def say(text: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(text)
    await reader.read()


@pytest.mark.parametrize("text", [b"?what\r\n", b":1\r\n:2\r\n:3\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
async def test_what_nobody_asked_for_ends_the_connection(folder: Path, text: bytes) -> None:
    async with line_to(folder, lambda reader, writer: say(text, reader, writer)) as (line, seen, _):
        await asyncio.gather(line.ask(pack(("PING",))), return_exceptions=True)
        await holds(lambda: seen.why)

        assert "broke the protocol" in seen.why
        with pytest.raises(StoreDown):
            line.ask(pack(("PING",)))


async def test_an_error_is_the_callers(folder: Path) -> None:
    async with line_to(folder, lambda reader, writer: say(b"-ERR no\r\n", reader, writer)) as (line, seen, _):
        with pytest.raises(Refused, match="ERR no"):
            await line.ask(pack(("PING",)))

        assert seen.why == ""


async def test_a_server_that_goes_away_is_told_of(folder: Path) -> None:
    async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)

    async with line_to(folder, leave) as (line, seen, _):
        with pytest.raises(StoreDown) as caught:
            await line.ask(pack(("PING",)))

        assert caught.value.reason == seen.why != ""
        assert line.waiting == 0


async def test_silence_ends_the_connection(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spork_redis.line.SILENCE", 0.05)

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with line_to(folder, listen, limit=0.02) as (line, seen, _):
        with pytest.raises(StoreDown):
            await line.ask(pack(("PING",)))
        await holds(lambda: seen.why)

        assert seen.why == "the server says nothing"
