"""Servers that are slow, silent, gone and back: StoreDown in time, nothing piles up, nothing is counted twice."""

import asyncio
import time
from typing import Any

import pytest

from spork_core.api import Script, Store, StoreDown
from spork_core.testing import flaky, holds

COUNT = Script("count", "return redis.call('INCR', KEYS[1])", lambda *_: 0)
SLACK = 0.15
"""Seconds by which a busy machine may be late."""


async def refused(store: Store) -> float:
    """Seconds until a command was."""
    began = time.monotonic()
    with pytest.raises(StoreDown):
        await store.run(COUNT, ["a"])
    return time.monotonic() - began


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_a_server_that_stands_still_is_known_in_time(server: Any, redis: Any) -> None:
    server.pause()

    assert 0.09 < await refused(redis.store) < 0.1 + SLACK


async def test_a_server_that_stands_still_is_left_alone_and_found_again(server: Any, redis: Any) -> None:
    server.pause()
    took = await asyncio.gather(*(refused(redis.store) for _ in range(20)))
    assert max(took) < 0.1 + SLACK
    assert await refused(redis.store) < 0.01 + SLACK
    assert redis.told["connected"] == 2  # no other connection was made for it

    server.go_on()
    await redis.until_up()

    assert isinstance(await redis.store.run(COUNT, ["a"]), int)
    assert redis.view.events == ["store-down", "store-up"]


async def test_while_it_is_down_callers_wait_for_microseconds(server: Any, redis: Any) -> None:
    server.kill()
    await redis.until_down()
    began = time.process_time()
    for _ in range(1000):
        with pytest.raises(StoreDown):
            await redis.store.run(COUNT, ["a"])

    assert (time.process_time() - began) / 1000 < 200e-6


async def test_nothing_piles_up_while_it_is_down(server: Any, redis: Any) -> None:
    server.kill()
    await redis.until_down()
    before = tasks()

    for _ in range(3000):
        with pytest.raises(StoreDown):
            await redis.store.get("a")

    assert tasks() <= before
    assert redis.told["waiting"] == 0


async def test_a_server_that_dies_in_mid_use_and_comes_back(server: Any, redis: Any) -> None:
    answers: list[object] = []

    async def use() -> None:
        while True:
            try:
                answers.append(await redis.store.run(COUNT, ["a"]))
            except StoreDown as error:
                answers.append(error)
                await asyncio.sleep(0)

    users = [asyncio.ensure_future(use()) for _ in range(8)]
    await holds(lambda: len(answers) > 100)
    server.kill()
    await redis.until_down()
    answers.clear()
    server.start()
    await redis.until_up()
    answers.clear()
    await holds(lambda: any(isinstance(answer, int) for answer in answers))
    for user in users:
        user.cancel()
    await asyncio.gather(*users, return_exceptions=True)

    assert redis.view.events == ["store-down", "store-up"]


async def test_a_gateway_starts_without_its_store(server: Any, start: Any) -> None:
    server.kill()
    async with start(server.url) as redis:
        assert redis.view.events == ["store-down"]
        assert "the store does not answer" in redis.plugin.health(redis.view)
        await refused(redis.store)

        server.start()
        await redis.until_up()

        assert redis.plugin.health(redis.view) is None
        assert redis.view.events == ["store-down", "store-up"]


async def test_a_forgotten_script_is_sent_again(server: Any, redis: Any) -> None:
    await redis.store.run(COUNT, ["a"])
    server.ask("SCRIPT", "FLUSH")

    found = await asyncio.gather(*(redis.store.run(COUNT, ["a"]) for _ in range(50)))

    assert sorted(found) == list(range(2, 52))


async def test_late_replies_reach_nobody_else(server: Any, start: Any) -> None:
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        for at in range(10):
            await redis.store.set(f"k{at}", b"%d" % at)
        async with link.slowed(0.06):  # each way: every reply is late
            for at in range(3):
                with pytest.raises(StoreDown):
                    await redis.store.get(f"k{at}")
        found = await asyncio.gather(*(redis.store.get(f"k{at}") for at in range(10)))

        assert found == [b"%d" % at for at in range(10)]
        assert link.connections == 2


async def test_what_was_counted_is_not_counted_again(server: Any, start: Any) -> None:
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        await redis.store.run(COUNT, ["a"])
        link.down.change(stalled=True)  # the server does it; its answer never comes
        await refused(redis.store)
        link.reset()
        link.heal()
        await holds(lambda: redis.told["connected"] == 4)
        await redis.until_up()

        assert await redis.store.run(COUNT, ["a"]) == 3


@pytest.mark.parametrize("fault", ["refuse", "reset", "cut", "half_close", "stall"])
async def test_each_fault_of_a_network_is_over_when_it_is(server: Any, start: Any, fault: str) -> None:
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        getattr(link, fault)()
        failed = 0
        async with asyncio.timeout(5):
            while not failed:
                try:
                    await redis.store.run(COUNT, ["a"])
                except StoreDown:
                    failed += 1
        link.heal()
        await redis.until_up()

        assert await redis.store.run(COUNT, ["a"]) > 0


async def test_a_black_hole_is_left_for_a_new_connection(server: Any, start: Any) -> None:
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        link.stall()
        await asyncio.gather(*(refused(redis.store) for _ in range(6)))
        link.heal()
        link.up.change(stalled=True)  # what was on its way is lost for this connection
        await holds(lambda: link.connections > 2, "another connection")
        link.heal()
        await redis.until_up()


async def test_garbage_ends_the_connection_and_nobody_hears_it(server: Any, start: Any) -> None:
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        await redis.store.set("a", b"1")
        link.corrupt(first=3)
        with pytest.raises(StoreDown):
            await redis.store.get("a")
        link.heal()
        await redis.until_up()

        assert await redis.store.get("a") == b"1"


async def test_callers_past_the_bound_are_refused_at_once(server: Any, start: Any) -> None:
    async with start(server.url, max_waiting=10) as redis:
        server.pause()
        asked = [asyncio.ensure_future(redis.store.get("a")) for _ in range(30)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert sum(each.done() for each in asked) == 20
        server.go_on()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(answer is None for answer in answers) <= 10


async def test_bytes_that_nobody_reads_have_a_bound(server: Any, start: Any) -> None:
    async with start(server.url) as redis:
        server.pause()
        answers = await asyncio.gather(
            *(redis.store.set(f"k{at}", b"x" * (1 << 20)) for at in range(64)), return_exceptions=True
        )
        assert all(isinstance(answer, StoreDown) for answer in answers)
        server.go_on()
        await redis.until_up()


async def test_a_caller_that_leaves_disturbs_no_other(redis: Any) -> None:
    for at in range(10):
        await redis.store.set(f"k{at}", b"%d" % at)
    asked = [asyncio.ensure_future(redis.store.get(f"k{at}")) for at in range(10)]
    await asyncio.sleep(0)
    for each in asked[::2]:
        each.cancel()
    answers = await asyncio.gather(*asked, return_exceptions=True)

    assert [answer for answer in answers if isinstance(answer, bytes)] == [b"1", b"3", b"5", b"7", b"9"]
    assert await redis.store.get("k3") == b"3"


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_loop_that_was_held_up_finds_the_answer_there(server: Any, start: Any, loop: str) -> None:
    async def held_up() -> None:
        async with start(server.url) as redis:
            await redis.store.set("a", b"1")
            asking = asyncio.ensure_future(redis.store.get("a"))
            await asyncio.sleep(0)
            await asyncio.sleep(0)  # it is sent
            time.sleep(0.2)  # noqa: ASYNC251  as a plugin might
            assert await asking == b"1"
            assert redis.told["timeouts"] == 0

    if loop == "uvloop":
        pytest.importorskip("uvloop").run(held_up())
    else:
        asyncio.run(held_up())


async def test_a_script_that_fails_is_no_outage(redis: Any) -> None:
    broken = Script("broken", "return redis.call('LPUSH', KEYS[1], 1)", lambda *_: 0)
    await redis.store.set("a", b"1")

    with pytest.raises(Exception, match="WRONGTYPE") as caught:
        await redis.store.run(broken, ["a"])

    assert not isinstance(caught.value, StoreDown)
    assert redis.store.problem() is None


async def test_a_server_without_memory_is_an_outage(server: Any, redis: Any) -> None:
    server.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        with pytest.raises(StoreDown):
            await redis.store.set("a", b"1")
    finally:
        server.ask("CONFIG", "SET", "maxmemory", "0")


async def test_who_listens_is_told_of_a_gap(server: Any, redis: Any) -> None:
    heard: list[bytes] = []
    lost: list[str] = []
    redis.store.subscribe("news", heard.append, lambda: lost.append("lost"))
    await holds(lambda: server.ask("PUBSUB", "NUMSUB", "spork:news") == "['spork:news', 1]")
    assert lost == []

    server.kill()
    server.start()
    await holds(lambda: lost, "to be told")
    await redis.until_up()
    await holds(lambda: server.ask("PUBLISH", "spork:news", "1") == "1")
    await holds(lambda: heard, "to hear")

    assert lost == ["lost"]


async def test_a_silent_channel_is_given_up(server: Any, start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spork_redis.channels.HEARTBEAT", 0.02)
    monkeypatch.setattr("spork_redis.channels.SILENCE", 0.05)
    lost: list[str] = []
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        redis.store.subscribe("news", lambda _: None, lambda: lost.append("lost"))
        await holds(lambda: link.connections == 3)
        link.stall()
        await holds(lambda: redis.told["channels_problem"])
        link.heal()
        await holds(lambda: lost)
