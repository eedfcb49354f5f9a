"""The memory that plugins keep state in where nobody gives them another: bounds, ends, and what goes first."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import sha1
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from spork_core.api import Clock, MemoryStore, Script, Table
from spork_core.store import _LOOKED_AT

keys = st.sampled_from("abcdefghijklmnopqrst")
values = st.binary(max_size=12)
ttls = st.none() | st.integers(-1, 10)
ENTRIES = 12
SIZE = 60


class Memory(RuleBasedStateMachine):
    """A memory beside a plain model of one: the same values, the same that had to go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.store = MemoryStore(Clock(time=lambda: self.now), entries=ENTRIES, size=SIZE)
        self.model: OrderedDict[str, tuple[bytes, float]] = OrderedDict()
        self.evicted = 0

    @rule(seconds=st.integers(0, 4))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert self.store.get_now(key) == self.seen(key)

    @rule(key=keys, value=values, ttl=ttls)
    def set(self, key: str, value: bytes, ttl: int | None) -> None:
        self.store.set_now(key, value, ttl)
        self.model.pop(key, None)
        if ttl is None or ttl > 0:
            self.model[key] = (value, float("inf") if ttl is None else self.now + ttl)
            self.make_room()

    @rule(key=keys)
    def delete(self, key: str) -> None:
        assert self.store.delete_now(key) is (self.seen(key) is not None)
        self.model.pop(key, None)

    @rule(key=keys)
    def ttl(self, key: str) -> None:
        ends = self.model.get(key, (b"", 0.0))[1]
        left = ends - self.now
        assert self.store.ttl_now(key) == (left if 0 < left < float("inf") else None)

    def seen(self, key: str) -> bytes | None:
        found = self.model.get(key)
        if found is None:
            return None
        if found[1] <= self.now:
            del self.model[key]
            return None
        self.model.move_to_end(key)
        return found[0]

    def make_room(self) -> None:
        def over() -> bool:
            return len(self.model) > ENTRIES or sum(len(value) for value, _ in self.model.values()) > SIZE

        if over():
            for key in list(self.model)[:_LOOKED_AT]:
                if self.model[key][1] <= self.now:
                    del self.model[key]
        while over():
            self.model.popitem(last=False)
            self.evicted += 1

    @invariant()
    def the_bounds_hold(self) -> None:
        assert len(self.store) == len(self.model) <= ENTRIES
        assert self.store.size == sum(len(value) for value, _ in self.model.values()) <= SIZE
        assert self.store.evicted == self.evicted


TestMemory = Memory.TestCase


def memory(**bounds: int) -> MemoryStore:
    return MemoryStore(Clock(time=lambda: 0.0), **bounds)


def test_what_was_not_used_for_longest_goes_first() -> None:
    store = memory(entries=3)
    for key in "abc":
        store.set_now(key, b"1")
    store.get_now("a")
    store.set_now("d", b"1")

    assert [store.get_now(key) for key in "abcd"] == [b"1", None, b"1", b"1"]
    assert store.evicted == 1


async def test_a_value_larger_than_the_memory_is_not_kept_and_nothing_goes_for_it() -> None:
    store = memory(size=10)
    await store.set("a", b"1")
    await store.set("b", b"2")

    assert not await store.set("a", b"x" * 11)
    assert await store.get_many(["a", "b"]) == [None, b"2"]
    assert store.evicted == 1


async def test_only_new_and_what_ended() -> None:
    now = [0.0]
    store = MemoryStore(Clock(time=lambda: now[0]))
    assert await store.set("a", b"1", 5, only_new=True)
    assert not await store.set("a", b"2", only_new=True)
    now[0] = 5.0

    assert await store.set("a", b"2", only_new=True)


@given(st.lists(st.tuples(st.integers(-5, 5), st.none() | st.integers(1, 5)), min_size=1, max_size=9))
async def test_a_counter_keeps_the_end_of_its_beginning(steps: list[tuple[int, int | None]]) -> None:
    store = memory()
    for at, (amount, ttl) in enumerate(steps):
        assert await store.add("n", amount, ttl) == sum(amount for amount, _ in steps[: at + 1])

    assert store.ttl_now("n") == steps[0][1]


def test_a_script_is_given_the_table_and_the_time() -> None:
    def python(table: Table, keys: Sequence[str], arguments: Sequence[Any], now: int) -> list[Any]:
        table.set(keys[0], arguments[0], 2)
        return [table.get(keys[0]), table.ttl(keys[0]), table.delete(keys[0]), table.get(keys[0]), now]

    store = MemoryStore(Clock(time=lambda: 1.5))

    assert store.run_now(Script("all", "", python), ["k"], [7]) == [7, 2.0, True, None, 1_500_000]


def test_the_source_of_a_script_begins_with_the_time_in_its_first_line() -> None:
    script = Script("one", "\nreturn now", lambda *_: None)

    assert script.source.startswith("local now = ")
    assert script.source.endswith("\nreturn now")
    assert script.sha == sha1(script.source.encode()).hexdigest()
    assert script != Script("one", "\nreturn now", lambda *_: None)


@pytest.mark.parametrize("count", [20_000])
def test_a_full_memory_is_as_quick_as_an_empty_one(count: int) -> None:
    store = memory(entries=count)
    for at in range(count * 3):
        store.set_now(f"{at}", 1)

    assert len(store) == count
    assert store.evicted == 2 * count
