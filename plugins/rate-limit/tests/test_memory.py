"""Counting in this process: exact however many there are, in a memory with a bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_rate_limit.memory import Counters
from spork_rate_limit.policies import plan

from spork_core.api import Rate

SECOND = 1_000_000
ALGORITHMS = ("sliding-window", "gcra", "fixed-window")
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


def counters(*rates: Rate, algorithm: str = "sliding-window", most: int = 1000) -> Counters:
    return Counters(plan("", "limit", rates or [Rate(5, 60.0)], algorithm, None), most)


def flood(counters: Counters, number: int, now: int = 0) -> None:
    for each in range(number):
        counters.take(f"flood-{each}", 1, now)


@algorithms
def test_callers_are_counted_apart(algorithm: str) -> None:
    mine = counters(Rate(1, 60.0), algorithm=algorithm)

    assert [mine.take(who, 1, 0)[0] for who in ("ann", "bob", "ann", "bob")] == [0, 0, 1, 1]


@algorithms
@pytest.mark.parametrize("rates", [[Rate(5, 60.0)], [Rate(5, 60.0), Rate(50, 3600.0)]])
def test_the_memory_has_a_bound(algorithm: str, rates: list[Rate]) -> None:
    mine = counters(*rates, algorithm=algorithm, most=100)

    flood(mine, 1000)

    assert 90 <= len(mine) <= 100
    assert mine.evicted >= 900


@algorithms
def test_a_flood_of_new_callers_does_not_reset_one_that_is_at_its_limit(algorithm: str) -> None:
    mine = counters(algorithm=algorithm, most=100)
    for _ in range(5):
        mine.take("ann", 1, 0)

    flood(mine, 10_000)

    assert mine.take("ann", 1, 0)[0]


@algorithms
def test_who_may_begin_anew_anyway_goes_first_and_is_not_missed(algorithm: str) -> None:
    mine = counters(algorithm=algorithm, most=100)
    flood(mine, 100)

    mine.take("ann", 1, 61 * SECOND)

    assert len(mine) <= 100 - 64 + 1
    assert mine.evicted == 0


@algorithms
def test_new_callers_push_out_those_whose_windows_have_ended_while_there_is_room(algorithm: str) -> None:
    mine = counters(algorithm=algorithm, most=1000)
    flood(mine, 500)
    mine.take("ann", 1, 50 * SECOND)

    for each in range(300):
        mine.take(f"later-{each}", 1, 61 * SECOND + each)

    assert len(mine) < 320
    assert mine.evicted == 0


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 20 * SECOND)), max_size=300), st.sampled_from(ALGORITHMS))
def test_while_there_is_room_nobody_gets_more_than_the_limit(asked: list[tuple[int, int]], algorithm: str) -> None:
    mine, now = counters(Rate(3, 60.0), algorithm=algorithm, most=100), 0
    passed: dict[int, list[int]] = {}
    for who, gap in asked:
        now += gap
        if not mine.take(who, 1, now)[0]:
            passed.setdefault(who, []).append(now)

    once_more = 1 if algorithm == "sliding-window" else 2
    for times in passed.values():
        assert all(sum(end - 60 * SECOND < when <= end for when in times) <= 3 * once_more for end in times)


def test_counts_go_on_where_the_windows_are_of_the_same_kind() -> None:
    old, new, other = counters(Rate(5, 60.0)), counters(Rate(2, 60.0)), counters(Rate(5, 61.0))
    for _ in range(3):
        old.take("ann", 1, 0)

    new.adopt(old.states())
    other.adopt(old.states())

    assert list(new.take("ann", 1, SECOND)) == [1, 59 * SECOND, 0, 59 * SECOND]
    assert other.take("ann", 1, SECOND)[0] == 0
