"""Two forms of a script are held equal, and each way to be unequal is told."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.api import Script, Table
from spork_core.testing import Both, both_forms
from tests.services import valkey


def take(table: Table, keys: Sequence[str], arguments: Sequence[Any], now: int) -> list[Any]:
    """A fixed window from the first call on: [how many, whose turn, when in µs]."""
    count, since = int(table.get(keys[0]) or 0), int(table.get(keys[1]) or now)
    ttl = int(arguments[0]) / 1000
    if count == 0:
        table.set(keys[1], str(now), ttl)
    left = ttl if count == 0 else table.ttl(keys[0])
    table.set(keys[0], str(count + int(arguments[1])), left)
    return [count + int(arguments[1]), arguments[2], str(since)]


TAKE = Script(
    "take",
    """
    local since = redis.call('GET', KEYS[2]) or string.format('%.0f', now)
    local count = redis.call('INCRBY', KEYS[1], ARGV[2])
    if count == tonumber(ARGV[2]) then
      redis.call('PEXPIRE', KEYS[1], ARGV[1])
      redis.call('SET', KEYS[2], since, 'PX', ARGV[1])
    end
    return {count, ARGV[3], since}
    """,
    take,
)


def answers(value: Any) -> Script:
    return Script("one", "return 1", lambda *_: value)


def keeps(ttl: float | None, lua: str = "redis.call('SET', KEYS[1], '1', 'PX', 1500)") -> Script:
    return Script("keeper", lua, lambda table, keys, *_: table.set(keys[0], "1", ttl))


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with valkey() as server, both_forms(server.path) as both:
        yield both


@pytest.fixture(autouse=True)
def _empty(both: Both) -> None:
    both.clear()


@given(calls=st.lists(st.tuples(st.floats(0, 2), st.integers(1, 5)), max_size=12))
def test_a_script_whose_forms_agree(both: Both, calls: list[tuple[float, int]]) -> None:
    both.clear()
    for seconds, amount in calls:
        both.elapse(seconds)
        both.run(TAKE, ["{a}:count", "{a}:since"], [2500, amount, "ann"])


def test_time_is_what_the_test_says(both: Both) -> None:
    asked = (TAKE, ["{a}:count", "{a}:since"], [2500, 1, b"ann"])
    first = both.run(*asked)
    both.elapse(2.499)

    assert both.run(*asked) == [2, b"ann", first[2]]

    both.elapse(0.001)
    assert both.run(*asked) == [1, b"ann", b"%d" % (int(first[2]) + 2_500_000)]


def test_what_the_forms_kept_is_what_the_store_gives(both: Both) -> None:
    both.set("a", b"1", 2)
    both.run(keeps(1.5), ["b"])
    both.elapse(1.5)

    assert [both.get("a"), both.get("b"), both.get("c")] == [b"1", None, None]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (answers(2), "Python answers 2, Lua 1"),
        (answers(None), "Python answers None, Lua 1"),
        (answers(True), "True is no answer"),
        (answers(1.5), "1.5 is no answer"),
        (keeps(1.4), "1400.000 ms in memory, and 1500 ms on the server"),
        (keeps(None), "no end in memory"),
        (keeps(1.5, "redis.call('SET', KEYS[1], '1')"), "-1 ms on the server"),
        (keeps(1.5, "return nil"), "only Python keeps k"),
        (Script("other", "redis.call('SET', KEYS[1], '1')", lambda *_: None), "only Lua keeps k"),
        (Script("broken", "return nothing.here", lambda *_: None), "the Lua form failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_way_to_be_unequal_is_told(both: Both, script: Script, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        both.run(script, ["k"])
