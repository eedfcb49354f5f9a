"""Bodies: one-shot, at the reader's pace, and broken off where they break."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spork_core.body import EMPTY, HIGH_WATER, Body, BytesBody, IteratorBody, StreamBody
from spork_core.errors import PayloadTooLarge, UpstreamReset
from spork_core.fiber import Fiber


class Source:
    """The connection's side, written down."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pull(self) -> None:
        self.calls.append("pull")

    def hold(self) -> None:
        self.calls.append("hold")

    def abandon(self, body: StreamBody) -> None:
        self.calls.append("abandon")


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def body(source: Source) -> StreamBody:
    return StreamBody(source, None)


def fed(body: StreamBody, *chunks: bytes, end: bool = True) -> StreamBody:
    for chunk in chunks:
        body.feed(chunk)
    if end:
        body.finish()
    body.flush()
    return body


async def collect(body: Body) -> list[bytes]:
    return [chunk async for chunk in body]


async def count(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def reading(body: Body) -> tuple[list[Any], Fiber]:
    """A reader, and what it gets; its end is the exception or None."""
    got: list[Any] = []

    async def reads() -> None:
        async for chunk in body:
            got.append(chunk)

    return got, Fiber(reads(), got.append)


# -- made here ------------------------------------------------------------------------------------------


async def test_bytes_can_be_read_again() -> None:
    body = BytesBody(b"abc")

    assert (body.length, body.replayable, body.trailers) == (3, True, None)
    assert [await collect(body), await collect(body), await body.read(3)] == [[b"abc"], [b"abc"], b"abc"]
    assert await collect(EMPTY) == []


async def test_an_iterator_is_read_once() -> None:
    body = IteratorBody(count(b"a", b"b"))

    assert (body.length, body.replayable) == (None, False)
    assert [await body.read(9), await body.read(9)] == [b"ab", b""]


async def test_an_iterator_passes_a_discard_on(source: Source, body: StreamBody) -> None:
    IteratorBody(body, inner=IteratorBody(count(), inner=body)).discard()
    IteratorBody(count()).discard()

    assert source.calls == ["abandon"]


@pytest.mark.parametrize(
    "body", [BytesBody(b"abcd"), IteratorBody(count(b"ab", b"cd")), IteratorBody(count(), length=4)]
)
async def test_a_read_has_a_limit(body: Body) -> None:
    with pytest.raises(PayloadTooLarge, match="longer than 3 bytes"):
        await body.read(3)


# -- on its way in --------------------------------------------------------------------------------------


async def test_what_is_there_comes_as_one_chunk(body: StreamBody) -> None:
    assert await collect(fed(body, b"a", b"b", b"c")) == [b"abc"]
    assert (await collect(body), body.received, body.size) == ([], 3, 0)


async def test_a_reader_waits_and_is_woken_by_flush(source: Source, body: StreamBody) -> None:
    got, _ = reading(body)
    body.feed(b"a")
    assert (got, source.calls) == ([], ["pull"])
    body.flush()
    assert (got, source.calls) == ([b"a"], ["pull", "pull"])
    fed(body, b"b")
    assert got == [b"a", b"b", None]


async def test_the_source_is_held_at_high_water_and_pulled_when_read(source: Source, body: StreamBody) -> None:
    fed(body, b"x" * (HIGH_WATER - 1), end=False)
    assert source.calls == []
    fed(body, b"y", end=False)
    fed(body, b"z", end=False)
    assert (source.calls, body.size) == (["hold"], HIGH_WATER + 1)

    got, _ = reading(body)
    assert (len(got[0]), source.calls, body.size) == (HIGH_WATER + 1, ["hold", "pull"], 0)
    fed(body, b"x" * HIGH_WATER, end=False)
    assert source.calls == ["hold", "pull", "pull"]


async def test_a_complete_body_holds_nobody(source: Source, body: StreamBody) -> None:
    fed(body, b"x" * HIGH_WATER)

    assert source.calls == []


async def test_a_reader_that_is_awaited_by_a_task_is_woken_too(body: StreamBody) -> None:
    reader = asyncio.create_task(collect(body))
    await asyncio.sleep(0)
    fed(body, b"a")

    assert await reader == [b"a"]


async def test_a_failure_comes_behind_what_came_in(body: StreamBody) -> None:
    fed(body, b"a", end=False)
    body.fail(UpstreamReset())
    body.fail(ValueError("a later one"))
    got, _ = reading(body)

    assert (got[0], type(got[1]), body.failed) == (b"a", UpstreamReset, True)


async def test_a_failure_wakes_the_reader(body: StreamBody) -> None:
    got, _ = reading(body)
    body.fail(UpstreamReset())

    assert [type(error) for error in got] == [UpstreamReset]


async def test_a_complete_body_cannot_fail_any_more(body: StreamBody) -> None:
    fed(body, b"a").fail(UpstreamReset())

    assert (await collect(body), body.failed) == ([b"a"], False)


async def test_take_gives_what_waits(body: StreamBody) -> None:
    fed(body, b"a", b"b", end=False)

    assert [body.take(), body.take(), body.pulled, body.size] == [b"ab", b"", True, 0]


async def test_discard_tells_the_source_once_and_counts_on(source: Source, body: StreamBody) -> None:
    fed(body, b"a", end=False)
    body.discard()
    body.discard()
    fed(body, b"x" * HIGH_WATER)

    assert (source.calls, body.size, body.received) == (["abandon"], 0, HIGH_WATER + 1)


async def test_a_complete_body_is_discarded_without_a_word(source: Source, body: StreamBody) -> None:
    fed(body, b"a").discard()

    assert (source.calls, await collect(body)) == ([], [])


async def test_a_discarded_body_cannot_be_read(body: StreamBody) -> None:
    fed(body, b"a", end=False).discard()

    with pytest.raises(RuntimeError, match="discarded"):
        await asyncio.wait_for(collect(body), 5)


async def test_empty_chunks_reach_nobody(source: Source, body: StreamBody) -> None:
    got, _ = reading(body)
    fed(body, b"", end=False)
    fed(body, b"a", b"")

    assert got == [b"a", None]


@pytest.mark.parametrize(("length", "text"), [(None, "1 of ? bytes"), (5, "1 of 5 bytes")])
async def test_a_repr_says_how_far_it_is(source: Source, length: int | None, text: str) -> None:
    body = fed(StreamBody(source, length), b"a", end=False)

    assert repr(body) == f"<StreamBody {text}>"
    assert repr(fed(body)) == f"<StreamBody {text}, complete>"
    assert repr(BytesBody(b"abc")) == "<BytesBody 3 bytes>"
