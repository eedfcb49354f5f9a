"""Each script of an upstream, as a client behind the gateway sees it, and as it stands on the wire."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import pytest

from spork_core.testing import Harness, Upstream, gateway, holds, scripts, upstream
from spork_core.testing.wire import Message, Wire, connect

GET = b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n"
QUICK = {"up": {"timeouts": {"connect": "1s", "response": "5s", "idle": "5s"}}}


async def seen(script: Any, **more: Any) -> Any:
    """What one GET through a gateway is answered."""
    async with gateway(upstream=script, **more) as gw:
        return await gw.get("/x")


@asynccontextmanager
async def straight(backend: Upstream, data: bytes = GET) -> AsyncIterator[Wire]:
    """A connection to an upstream, with ``data`` on it."""
    wire = Wire(*await connect("127.0.0.1", backend.port))
    await wire.send(data)
    yield wire
    wire.writer.transport.abort()


# -- well-behaved -------------------------------------------------------------------------------------


async def test_answer_says_what_it_is_given() -> None:
    answer = await seen(scripts.answer(418, "short", {"X-A": "1"}))
    answer.must_be(418).must_say("short").must_have("X-A", "1").must_have("Content-Length", "5")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_content_has_no_length(status: int) -> None:
    (await seen(scripts.answer(status))).must_be(status).must_not_have("Content-Length").must_be_complete()


async def test_echo_gives_the_content_back() -> None:
    async with gateway(upstream=scripts.echo()) as gw:
        answer = await gw.post("/x", body=b"\0\xff", headers={"Content-Type": "x/y"})
        answer.must_say(b"\0\xff").must_have("Content-Type", "x/y")


async def test_trailers_come_behind_the_content() -> None:
    async with upstream(scripts.trailers("hello", {"X-Sum": "7"})) as backend, straight(backend) as wire:
        message = await wire.message()
    assert (message.body, message.trailers) == (b"hello", [b"X-Sum: 7"])
    (await seen(scripts.trailers("hello"))).must_say("hello")


async def test_an_informational_answer_comes_first() -> None:
    answer = await seen(scripts.informational(103, {"Link": "</style.css>"}, then=scripts.ok("then")))
    answer.must_be(200).must_say("then")
    async with upstream(scripts.informational(103)) as backend, straight(backend) as wire:
        assert [(await wire.message()).status for _ in range(2)] == [103, 200]


# -- slow ---------------------------------------------------------------------------------------------


async def test_a_slow_head_comes_when_its_time_has_passed() -> None:
    async with gateway(upstream=scripts.slow_head(10)) as gw:
        asking = asyncio.create_task(gw.get("/x"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(9)
        assert not asking.done()
        await gw.clock.elapse(1)
        (await asking).must_be(200)


async def test_a_slow_head_meets_the_gateways_time_limit() -> None:
    async with gateway(upstream=scripts.slow_head(10), services=QUICK) as gw:
        asking = asyncio.create_task(gw.get("/x"))
        await holds(lambda: gw.upstream.got)
        gw.clock.advance(6)
        (await asking).must_be_problem("upstream-timeout", 504)


async def test_a_slow_body_comes_piece_by_piece() -> None:
    async with gateway(upstream=scripts.slow_body("slowly", size=2, every=1)) as gw:
        client = await gw.connect()
        await client.wire.send(GET)
        await client.wire.head()
        for so_far in (b"sl", b"slow", b"slowly"):
            await gw.clock.elapse(1)
            await holds(lambda so_far=so_far: client.wire.seen.endswith(b"\r\n\r\n" + so_far))


async def test_an_answer_that_stalls_is_cut_off_by_the_time_limit() -> None:
    script = scripts.stalls(after=-3)
    async with gateway(upstream=script, services=QUICK) as gw:
        asking = asyncio.create_task(gw.get("/x"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(6)
        (await asking).must_be(200).must_be_cut_off()


async def test_never_says_nothing() -> None:
    async with gateway(upstream=scripts.never(), services=QUICK) as gw:
        asking = asyncio.create_task(gw.get("/x"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(6)
        (await asking).must_be_problem("upstream-timeout", 504)


# -- broken -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (scripts.closes_at_once(), "upstream-reset"),
        (scripts.reset(), "upstream-reset"),
        (scripts.truncated(after=10), "upstream-reset"),
        (scripts.garbage(), "upstream-malformed"),
        (scripts.huge_headers(), "upstream-malformed"),
    ],
    ids=["closes_at_once", "reset", "truncated", "garbage", "huge_headers"],
)
async def test_what_breaks_before_its_head_is_out_is_a_bad_gateway(script: Any, code: str) -> None:
    (await seen(script)).must_be_problem(code, 502)


@pytest.mark.parametrize(
    "script", [scripts.reset(after=-2), scripts.truncated(), scripts.truncated(after=-1)], ids=["reset", "short", "cut"]
)
async def test_what_breaks_in_its_content_is_cut_off(script: Any) -> None:
    (await seen(script)).must_be(200).must_be_cut_off()


async def test_a_reset_is_a_reset_and_not_an_end() -> None:
    async with upstream(scripts.reset()) as backend, straight(backend) as wire:
        with pytest.raises(ConnectionResetError):
            await wire.rest()


async def test_half_close_answers_and_goes_on_reading() -> None:
    async with upstream(scripts.half_close()) as backend, straight(backend) as wire:
        assert (await wire.message()).status == 200
        await holds(lambda: wire.reader.over)
        await wire.send(b"more")
        await holds(lambda: backend.received.endswith(b"more"))
    (await seen(scripts.half_close())).must_be(200).must_say("ok").must_be_complete()


async def test_an_early_answer_does_not_wait_for_the_content() -> None:
    async with gateway(upstream=scripts.early_answer(413)) as gw:
        (await gw.post("/x", body=b"x" * 10_000_000)).must_be(413)
        assert not gw.upstream.last.complete


# -- by request ---------------------------------------------------------------------------------------


async def statuses(gw: Harness, count: int) -> list[int]:
    return [(await gw.post("/x")).status for _ in range(count)]


async def test_a_sequence_counts_requests_over_all_connections() -> None:
    script = scripts.sequence(scripts.answer(500), scripts.closes_at_once(), scripts.ok(), then=scripts.answer(404))
    async with gateway(upstream=script) as gw:
        assert await statuses(gw, 5) == [500, 502, 200, 404, 404]


async def test_a_sequence_without_an_end_repeats_its_last() -> None:
    async with gateway(upstream=scripts.sequence(b"HTTP/1.1 201 \r\nContent-Length: 0\r\n\r\n", scripts.ok())) as gw:
        assert await statuses(gw, 3) == [201, 200, 200]


async def test_a_storm_passes() -> None:
    async with gateway(upstream=scripts.storm(2)) as gw:
        assert await statuses(gw, 4) == [503, 503, 200, 200]


async def test_a_storm_may_hit_a_share() -> None:
    runs = []
    for _ in range(2):
        async with gateway(upstream=scripts.storm(share=0.5, status=500, chance=Random(7))) as gw:
            runs.append(await statuses(gw, 20))
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500}


async def test_what_an_upstream_plays_can_be_replaced() -> None:
    async with gateway(upstream=scripts.closes_at_once()) as gw:
        (await gw.post("/x")).must_be(502)
        gw.upstream.plays = scripts.ok("back")
        (await gw.post("/x")).must_say("back")


# -- what it got --------------------------------------------------------------------------------------


async def test_requests_are_told_in_the_order_they_came() -> None:
    async with upstream() as backend, straight(backend, b"") as first, straight(backend, b"") as second:
        for wire, target in ((second, b"/1"), (first, b"/2"), (second, b"/3")):
            await wire.send(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            await wire.message()
        assert [each.target for each in backend.got] == ["/1", "/2", "/3"]


async def test_chunks_and_trailers_are_read_and_an_unfinished_request_is_told_so() -> None:
    whole = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
    half = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"
    async with upstream() as backend, straight(backend, b"") as wire:
        await wire.send(whole + half, bytewise=True)
        await holds(lambda: len(backend.got) == 2 and backend.last.body == b"abc")
        first, second = backend.got
        assert (first.body, first.complete, second.complete) == (b"abc", True, False)
        first.must_have_trailer("X-T", re.compile(r"\d"))


def test_a_message_shows_what_it_is() -> None:
    assert repr(Message(b"GET / HTTP/1.1\r\n\r\n")) == "<Message b'GET / HTTP/1.1' b''>"
