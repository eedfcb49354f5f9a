"""What a Store does, in memory and on a server: one suite for both."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_redis.store import ADD

from spork_core.api import Clock, MemoryStore, Script, Store, Table
from spork_core.testing import Both, both_forms


@pytest.fixture(params=["memory", "valkey"])
async def store(request: pytest.FixtureRequest, server: Any, start: Any) -> AsyncIterator[Store]:
    if request.param == "memory":
        yield MemoryStore(Clock())
    else:
        async with start(server.url) as running:
            yield running.store


def push(table: Table, keys: Sequence[str], arguments: Sequence[Any], now: int) -> list[Any]:
    kept = (table.get(keys[0]) or b"") + arguments[0]
    table.set(keys[0], kept)
    return [len(kept), kept, None, "text"]


PUSH = Script(
    "push",
    "local kept = (redis.call('GET', KEYS[1]) or '') .. ARGV[1] redis.call('SET', KEYS[1], kept) "
    "return {#kept, kept, false, 'text'}",
    push,
)
NOW = Script("now", "return string.format('%.0f', now)", lambda table, keys, arguments, now: str(now))


async def test_nothing_is_there_at_first(store: Store) -> None:
    assert await store.get("a") is None
    assert await store.get_many(["a", "b"]) == [None, None]
    assert await store.get_many([]) == []
    assert await store.delete("a") == 0
    assert await store.delete() == 0


@pytest.mark.parametrize("value", [b"", b"1", b"\r\n$-1\r\n", bytes(range(256)), b"x" * 300_000])
async def test_a_value_comes_back_as_it_was(store: Store, value: bytes) -> None:
    assert await store.set("a", value)

    assert await store.get("a") == value


async def test_many_come_in_the_order_asked_for(store: Store) -> None:
    for key in "abc":
        await store.set(key, key.encode())

    assert await store.get_many(["c", "no", "a"]) == [b"c", None, b"a"]
    assert await store.delete("a", "no", "c") == 2
    assert await store.get_many(["a", "b", "c"]) == [None, b"b", None]


async def test_only_new_keeps_what_is_there(store: Store) -> None:
    assert await store.set("a", b"1", only_new=True)
    assert not await store.set("a", b"2", only_new=True)

    assert await store.get("a") == b"1"


@pytest.mark.parametrize("ttl", [0, -1, 0.0001])
async def test_a_value_whose_time_is_up_at_once_takes_the_old_one_with_it(store: Store, ttl: float) -> None:
    await store.set("a", b"1")

    assert await store.set("a", b"2", ttl)
    assert await store.get("a") in (None, b"2" if ttl > 0 else None)


async def test_values_end(store: Store) -> None:
    await store.set("short", b"1", 0.02)
    await store.set("long", b"1", 60)
    await store.add("counter", 2, 0.02)
    async with asyncio.timeout(5):
        while await store.get("short") or await store.get("counter"):
            pass

    assert await store.get("long") == b"1"
    assert await store.add("counter", 2, 60) == 2


async def test_counters(store: Store) -> None:
    assert [await store.add("a"), await store.add("a", 5), await store.add("a", -7)] == [1, 6, -1]
    assert await store.get("a") == b"-1"


async def test_a_counter_keeps_the_time_of_its_beginning(store: Store) -> None:
    assert await store.add("a", 1, 60) == 1
    assert await store.add("a", 1, 0.001) == 2
    await asyncio.sleep(0.003)

    assert await store.add("a") == 3


async def test_concurrent_counting_loses_nothing(store: Store) -> None:
    found = await asyncio.gather(*(store.add("a", 1, 60) for _ in range(300)))

    assert sorted(found) == list(range(1, 301))


async def test_a_script_reads_and_writes_in_one_step(store: Store) -> None:
    answers = await asyncio.gather(*(store.run(PUSH, ["a"], [b"%d" % at]) for at in range(9)))

    assert [answer[0] for answer in sorted(answers)] == list(range(1, 10))
    assert [answer[2] for answer in answers] == [None] * 9
    assert len(await store.get("a") or b"") == 9


async def test_scripts_are_told_the_time(store: Store) -> None:
    before = Clock().time()
    now = int(await store.run(NOW, [])) / 1e6

    assert before - 1 < now < Clock().time() + 1


@pytest.mark.parametrize("key", ["a", "ä", "{tag}:b", "\udcff", "x" * 2000])
async def test_keys_are_text(store: Store, key: str) -> None:
    await store.set(key, b"1")
    await store.run(PUSH, [key], [b"2"])

    assert await store.get(key) == b"12"


async def said_until(store: Store, heard: Callable[[], object]) -> None:
    """Subscribing takes a moment on a server: says it until somebody hears."""
    async with asyncio.timeout(5):
        while not heard():
            await store.publish("news", b"\x00 1")
            await asyncio.sleep(0)


async def test_messages_reach_all_who_listen(store: Store) -> None:
    heard: list[tuple[str, bytes]] = []
    for name in ("one", "two"):
        store.subscribe("news", lambda message, name=name: heard.append((name, message)))
    other = store.subscribe("other", lambda message: heard.append(("other", message)))
    await said_until(store, lambda: len(heard) > 1)

    assert {("one", b"\x00 1"), ("two", b"\x00 1")} == set(heard)
    other.close()
    other.close()


async def test_who_is_closed_hears_no_more(store: Store) -> None:
    closed: list[bytes] = []
    still: list[bytes] = []
    subscription = store.subscribe("news", closed.append)
    store.subscribe("news", still.append)
    subscription.close()
    await said_until(store, lambda: still)

    assert closed == []


async def test_a_listener_that_fails_stops_no_other(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    heard: list[bytes] = []
    store.subscribe("news", lambda message: 1 / 0)
    store.subscribe("news", heard.append)
    await said_until(store, lambda: heard)

    assert "ZeroDivisionError" in caplog.text


# -- the two forms of a script ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def both(_shared: Any) -> Iterator[Both]:
    with both_forms(_shared.path) as both:
        yield both


@given(calls=st.lists(st.tuples(st.floats(0, 1.2), st.integers(-3, 3), st.integers(1, 1500)), max_size=10))
def test_add_is_the_same_in_both(both: Both, calls: list[tuple[float, int, int]]) -> None:
    both.clear()
    for seconds, amount, ttl in calls:
        both.elapse(seconds)
        both.run(ADD, ["counter"], [amount, ttl])
        both.get("counter")


@given(parts=st.lists(st.binary(max_size=20), max_size=6))
def test_push_is_the_same_in_both(both: Both, parts: list[bytes]) -> None:
    both.clear()
    for part in parts:
        both.run(PUSH, ["{a}:list"], [part])
