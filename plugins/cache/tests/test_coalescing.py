"""Those who ask for the same thing at the same time: one asks the service, and everybody gets the answer."""

import asyncio
import re
from typing import Any

import pytest

from spork_core.testing import Harness, gateway, holds


def cached(origin: Any, **settings: Any) -> Any:
    return gateway(plugins={"cache": {"use": "cache", **settings}}, upstream=origin)


def asking(gw: Harness, target: str = "/x", **more: Any) -> "asyncio.Task[Any]":
    return asyncio.ensure_future(gw.get(target, **more))


async def arrived(gw: Harness, count: int) -> None:
    """Until the service has got so many requests."""
    await holds(lambda: len(gw.upstream.got) >= count, f"{count} requests at the service")


async def waiting(gw: Harness, count: int) -> None:
    """Until so many requests wait for another one."""
    plugin: Any = gw.gateway.snapshot.instances["cache"].plugin
    flights = plugin._core.flights.current
    await holds(lambda: sum(each.waiting for each in flights.values()) >= count, f"{count} that wait")


async def test_one_request_for_all(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        asks = [asking(gw) for _ in range(5)]
        await waiting(gw, 4)
        origin.open.set()
        answers = [(await each).must_be(200).must_say("hello") for each in asks]
        statuses = sorted(answer.headers["Cache-Status"] for answer in answers)
        assert statuses[1:] == ["spork; fwd=uri-miss; ttl=60; collapsed"] * 4
        gw.upstream.must_have_got(1)
        assert gw.metrics()["cache_requests"]["cache", "collapsed"] == 4


async def test_other_paths_do_not_wait(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        asks = [asking(gw, f"/{number}") for number in range(3)]
        await arrived(gw, 3)
        origin.open.set()
        for each in asks:
            (await each).must_say("hello")


async def test_what_is_not_for_everybody_is_asked_for_by_everybody_and_nobody_waits_again(origin: Any) -> None:
    origin.headers = {"Cache-Control": "no-store"}
    origin.open.clear()
    async with cached(origin) as gw:
        asks = [asking(gw) for _ in range(3)]
        await waiting(gw, 2)
        origin.open.set()
        for each in asks:
            (await each).must_say("hello")
        gw.upstream.must_have_got(3)
        origin.open.clear()
        asks = [asking(gw) for _ in range(3)]
        await arrived(gw, 6)  # all at once: none waits
        origin.open.set()
        for each in asks:
            (await each).must_be(200)


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_answer_is_streamed_to_all_while_it_comes_in(origin: Any, chunked: bool) -> None:
    origin.pieces, origin.chunked = [b"one ", b"two ", b"three"], chunked
    async with cached(origin) as gw:
        clients = [await gw.connect() for _ in range(3)]
        for client in clients:
            await client.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        origin.more()
        for client in clients:
            await holds(lambda wire=client.wire: b"one " in wire.seen, "the first piece at every client")
            assert b"two" not in client.wire.seen
        late = await gw.connect()
        await late.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        await holds(lambda: b"one " in late.wire.seen, "what is past already")
        origin.more(2)
        for client in (*clients, late):
            await holds(lambda wire=client.wire: b"three" in wire.seen, "the last piece at every client")
        assert b"; collapsed" in late.wire.seen
        (await gw.get("/x")).must_say("one two three").must_have("Cache-Status", re.compile(".*hit.*"))
        gw.upstream.must_have_got(1)


async def test_a_leader_that_leaves_before_the_head_hands_over(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        leader = await gw.connect()
        await leader.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        await arrived(gw, 1)
        asks = [asking(gw) for _ in range(3)]
        await waiting(gw, 3)
        leader.close()
        await arrived(gw, 2)
        origin.open.set()
        for each in asks:
            (await each).must_say("hello")
        gw.upstream.must_have_got(2)


async def test_when_the_leader_leaves_in_the_middle_the_answer_goes_on_for_the_others(origin: Any) -> None:
    origin.pieces = [b"one ", b"two ", b"three"]
    async with cached(origin) as gw:
        leader = await gw.connect()
        await leader.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        origin.more()
        await holds(lambda: b"one " in leader.wire.seen, "the first piece")
        follower = await gw.connect()
        await follower.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        await holds(lambda: b"one " in follower.wire.seen, "the first piece at the other")
        leader.wire.reset()
        await holds(lambda: len(gw.gateway.front.connections) == 1, "the gateway to see that the leader has left")
        origin.more(2)
        await holds(lambda: b"three" in follower.wire.seen, "the last piece")
        (await gw.get("/x")).must_say("one two three").must_have("Age")
        gw.upstream.must_have_got(1)


async def test_an_answer_that_everybody_has_left_is_not_stored(origin: Any) -> None:
    origin.pieces = [b"one ", b"two"]
    async with cached(origin) as gw:
        client = await gw.connect()
        await client.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        origin.more()
        await holds(lambda: b"one " in client.wire.seen, "the first piece")
        client.wire.reset()
        await holds(lambda: not gw.gateway.front.connections, "the gateway to see that the client has left")
        origin.pieces = ()
        (await gw.get("/x")).must_say("hello").must_have("Cache-Status", re.compile(".*uri-miss.*"))


async def test_an_answer_that_breaks_off_is_not_stored_and_cut_off_for_all(origin: Any) -> None:
    origin.pieces, origin.breaks_after = [b"one ", b"two"], 1
    async with cached(origin) as gw:
        asks = [asking(gw) for _ in range(2)]
        await arrived(gw, 1)
        origin.more(4)
        for each in asks:
            (await each).must_be_cut_off()
        origin.pieces = ()
        (await gw.get("/x")).must_say("hello").must_have("Cache-Status", re.compile(".*uri-miss.*"))


async def test_who_waits_too_long_asks_for_itself(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin, wait="2s") as gw:
        first = asking(gw)
        await arrived(gw, 1)
        second = asking(gw)
        await waiting(gw, 1)
        gw.clock.advance(2)
        await arrived(gw, 2)
        origin.open.set()
        (await first).must_say("hello")
        (await second).must_say("hello").must_have("Cache-Status", re.compile(".*detail=collapse-timeout.*"))


async def test_variants_do_not_wait_for_each_other_twice(origin: Any) -> None:
    origin.varies = "Accept-Language"
    async with cached(origin) as gw:
        await gw.get("/x", headers={"Accept-Language": "en"})
        origin.open.clear()
        asks = {lang: asking(gw, headers={"Accept-Language": lang}) for lang in ("de", "fr", "nl")}
        await arrived(gw, 4)
        origin.open.set()
        for lang, each in asks.items():
            (await each).must_say(lang)


async def test_who_waits_for_another_variant_gets_its_own(origin: Any) -> None:
    origin.varies = "Accept-Language"
    origin.open.clear()
    async with cached(origin) as gw:
        asks = {lang: asking(gw, headers={"Accept-Language": lang}) for lang in ("de", "fr", "nl")}
        await waiting(gw, 2)
        origin.open.set()
        for lang, each in asks.items():
            (await each).must_say(lang)
        gw.upstream.must_have_got(3)


async def test_a_failing_leader_leaves_the_others_to_try(origin: Any) -> None:
    async def once(wire: Any) -> None:
        await wire.message()
        await origin.open.wait()
        wire.close()
        gw.upstream.plays = origin

    origin.open.clear()
    async with cached(once) as gw:
        asks = [asking(gw) for _ in range(3)]
        await waiting(gw, 2)
        origin.open.set()
        answers = sorted([(await each).status for each in asks])
        assert answers == [200, 200, 502]


async def test_a_follower_that_leaves_disturbs_nobody(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        first = asking(gw)
        await arrived(gw, 1)
        follower = await gw.connect()
        await follower.wire.send(b"GET /x HTTP/1.1\r\nHost: gateway.test\r\n\r\n")
        await waiting(gw, 1)
        follower.wire.reset()
        await holds(lambda: len(gw.gateway.front.connections) == 1, "the gateway to see that it has left")
        origin.open.set()
        (await first).must_say("hello")


async def test_known_callers_wait_for_nobody_whose_answer_they_may_not_have(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        asks = [asking(gw), asking(gw, headers={"Authorization": "Bearer x"})]
        await arrived(gw, 1)
        origin.open.set()
        for each in asks:
            (await each).must_say("hello")
        gw.upstream.must_have_got(2)


async def test_a_condition_is_answered_while_what_it_is_about_comes_in(origin: Any) -> None:
    origin.headers["ETag"] = '"a"'
    origin.pieces = [b"one ", b"two"]
    async with cached(origin) as gw:
        (await gw.get("/x", headers={"If-None-Match": '"a"'})).must_be(304)
        late = asking(gw)
        origin.more(2)
        (await late).must_be(200).must_say("one two")
        gw.upstream.must_have_got(1)


async def test_off(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin, coalesce=False) as gw:
        asks = [asking(gw) for _ in range(3)]
        await arrived(gw, 3)
        origin.open.set()
        for each in asks:
            (await each).must_say("hello")


@pytest.mark.parametrize("length_known", [True, False])
async def test_what_grows_too_large_is_streamed_and_not_stored(origin: Any, length_known: bool) -> None:
    origin.pieces, origin.chunked = [bytes([65 + n]) * 1000 for n in range(5)], not length_known
    async with cached(origin, max_entry="2KiB") as gw:
        asks = [asking(gw) for _ in range(2)]
        await arrived(gw, 1)
        origin.more(50)
        for each in asks:
            (await each).must_say(b"".join(origin.pieces))
        (await gw.get("/x")).must_have("Cache-Status", re.compile(".*uri-miss.*"))
