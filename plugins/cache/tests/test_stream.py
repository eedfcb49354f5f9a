"""One body that is read by many: pace, bounds, and its end."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spork_cache.stream import Budget, Reader, Stream, TooSlow

from spork_core.api import Body, BytesBody, IteratorBody, UpstreamReset
from spork_core.testing import StillClock
from spork_core.testing.patience import settle


class Bench:
    """A Stream, and what became of it."""

    def __init__(self, source: Body, limit: int = 100, patience: float = 5.0, most: int = 10_000) -> None:
        self.ends: list[Any] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.budget = Budget(most)
        self.stream = Stream(source, limit, patience, self._spawn, self.budget, self.ends.append)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]


class Counted(Body):
    """A source of ten bytes at a time, which counts how often it was asked."""

    length = None
    replayable = False
    trailers = None

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.asked = 0
        self.discarded = False
        self._count = count
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.asked < self._count:
            self.asked += 1
            yield b"%010d" % self.asked
        if self._error is not None:
            raise self._error

    def discard(self) -> None:
        self.discarded = True


async def read(reader: Reader) -> bytes:
    return b"".join([chunk async for chunk in reader])


async def test_all_readers_get_all_of_it() -> None:
    bench = Bench(Counted(5))
    readers = [bench.stream.reader() for _ in range(3)]

    wholes = await asyncio.gather(*map(read, readers))

    assert len(set(wholes)) == 1
    assert bench.ends == [wholes[0]]
    assert len(wholes[0]) == 50


async def test_nothing_is_read_before_somebody_wants_it() -> None:
    source = Counted(100)
    bench = Bench(source, limit=10_000)
    reader = bench.stream.reader()
    await settle()
    assert source.asked == 0

    await anext(reader)
    await settle()

    assert source.asked <= 2
    reader.discard()


async def test_fill_reads_on_without_readers() -> None:
    bench = Bench(Counted(5))
    bench.stream.fill()
    await settle()
    assert [len(end) for end in bench.ends] == [50]


async def test_fill_ends_at_the_limit() -> None:
    source = Counted(50)
    bench = Bench(source)
    bench.stream.fill()
    await settle()
    assert bench.ends == [None]
    assert source.discarded


async def test_when_the_last_reader_leaves_the_source_is_told() -> None:
    source = Counted(50)
    bench = Bench(source)
    first, second = bench.stream.reader(), bench.stream.reader()
    await anext(first)
    first.discard()
    assert not source.discarded
    await anext(second)
    second.discard()
    second.discard()
    await settle()
    assert source.discarded
    assert bench.ends == [None]
    assert all(task.done() for task in bench.tasks)


@pytest.mark.parametrize("error", [UpstreamReset(), ValueError("a plugin's body")])
async def test_what_breaks_off_breaks_off_for_all(error: Exception) -> None:
    bench = Bench(Counted(3, error))
    readers = [bench.stream.reader() for _ in range(2)]

    ends = await asyncio.gather(*map(read, readers), return_exceptions=True)

    assert ends == [error, error]
    assert bench.ends == [error]


async def test_a_cancelled_reader_leaves_and_the_others_read_on() -> None:
    gate = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"one"
        await gate.wait()
        yield b"two"

    bench = Bench(IteratorBody(slow()))
    leaving, staying = (asyncio.ensure_future(read(bench.stream.reader())) for _ in range(2))
    await settle()
    leaving.cancel()
    await settle()
    gate.set()
    assert await staying == b"onetwo"
    assert leaving.cancelled()


async def test_past_the_limit_only_a_window_is_kept() -> None:
    bench = Bench(Counted(1000))
    reader = bench.stream.reader()
    count = 0
    async for chunk in reader:
        count += len(chunk)
        assert bench.stream.size <= 120
    assert count == 10_000
    assert bench.ends == [None]
    assert not bench.stream.open


async def test_all_together_have_a_bound_too() -> None:
    bench = Bench(Counted(9), limit=1000, most=50)
    assert len(await read(bench.stream.reader())) == 90
    assert bench.ends == [None]
    assert bench.budget.used == 0


async def test_who_stays_behind_the_window_is_cut_off_so_that_the_others_are_not() -> None:
    clock = StillClock()
    bench = Bench(Counted(40), limit=100, patience=5.0)
    slow, fast = bench.stream.reader(), bench.stream.reader()
    await anext(slow)
    reading = asyncio.ensure_future(read(fast))
    await settle()
    assert not reading.done()  # it waits for the slow one, for a while
    assert bench.stream.size <= 120
    clock.advance(5)
    assert len(await reading) == 400
    with pytest.raises(TooSlow):
        await read(slow)


async def test_who_reads_again_in_time_is_not_cut_off() -> None:
    clock = StillClock()
    bench = Bench(Counted(40), limit=100, patience=5.0)
    slow, fast = bench.stream.reader(), bench.stream.reader()
    await anext(slow)
    reading = asyncio.ensure_future(read(fast))
    await settle()
    clock.advance(4)
    await settle()
    whole = await read(slow)
    assert len(whole) == 390
    assert len(await reading) == 400


async def test_a_reader_of_what_is_all_there() -> None:
    bench = Bench(BytesBody(b"all"))
    assert await read(bench.stream.reader()) == b"all"
    assert await read(bench.stream.reader()) == b"all"


async def test_the_end_at_shutdown() -> None:
    bench = Bench(Counted(50))
    reader = bench.stream.reader()
    await anext(reader)
    bench.stream.end()
    with pytest.raises(UpstreamReset):
        await read(reader)


moves = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["read", "leave", "join"])), max_size=60)


@settings(max_examples=100, deadline=None)
@given(moves, st.integers(0, 12), st.booleans())
async def test_whoever_reads_on_reads_it_whole(todo: list[tuple[int, str]], count: int, fails: bool) -> None:
    error = UpstreamReset() if fails else None
    source = Counted(count, error)
    bench = Bench(source, limit=1000)
    readers: dict[int, tuple[Reader, bytes]] = {}
    whole = b"".join(b"%010d" % number for number in range(1, count + 1))

    for which, move in [*todo, *((number, "finish") for number in range(4))]:
        if move == "join" and which not in readers and bench.stream.open and not bench.stream.done:
            readers[which] = (bench.stream.reader(), b"")
        elif which in readers:
            reader, had = readers.pop(which)
            act: Callable[[], Coroutine[Any, Any, bytes]] = (
                (lambda reader=reader: read(reader)) if move == "finish" else (lambda reader=reader: anext(reader))
            )
            if move == "leave":
                reader.discard()
                continue
            try:
                had += await act()
            except UpstreamReset:
                assert fails
                continue
            except StopAsyncIteration:
                assert had == whole
                continue
            if move == "finish":
                assert had == whole
            else:
                readers[which] = (reader, had)
    for reader, _ in readers.values():
        reader.discard()
    await settle()
    assert len(bench.ends) <= 1
    assert bench.budget.used == 0
    assert all(task.done() for task in bench.tasks)
