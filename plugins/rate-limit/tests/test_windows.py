"""The three ways to count, held against the plainest thing that is right: a list of everything that was let through."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spork_rate_limit.windows import PARTS, FixedWindow, Gcra, SlidingWindow, Window, decide, decide_one

from spork_core.api import Rate

SECOND = 1_000_000
Asked = list[tuple[int, int]]
"""Microseconds since the request before, and the cost."""

rates = st.builds(Rate, st.sampled_from([1, 2, 3, 7, 60, 64, 65, 100, 1000]), st.sampled_from([0.001, 0.7, 1.0, 10.0]))
asked = st.lists(
    st.tuples(st.one_of(st.just(0), st.integers(0, 30_000), st.integers(0, 3 * SECOND)), st.integers(1, 3)),
    max_size=150,
)
windows = st.one_of(
    rates.map(SlidingWindow.of), st.builds(Gcra.of, rates, st.sampled_from([3, 10, 64])), rates.map(FixedWindow.of)
)


def played(window: Window[Any], asked: Asked) -> list[tuple[int, int, bool]]:
    """When, how much, and whether it was let through."""
    now, state, outcome = 0, window.new(0), []
    for gap, cost in asked:
        now += gap
        if cost <= window.limit:
            outcome.append((now, cost, not decide_one(window, state, now, cost)[0]))
    return outcome


@given(rates, asked)
def test_a_sliding_window_never_lets_more_through_in_any_span(rate: Rate, asked: Asked) -> None:
    window = SlidingWindow.of(rate)

    passed = [(when, cost) for when, cost, let in played(window, asked) if let]

    for end, _ in passed:
        assert sum(cost for when, cost in passed if end - window.length < when <= end) <= rate.count


@given(rates, asked)
def test_a_sliding_window_refuses_only_what_is_too_much_in_a_span_a_64th_longer(rate: Rate, asked: Asked) -> None:
    window = SlidingWindow.of(rate)
    passed: list[tuple[int, int]] = []

    for now, cost, let in played(window, asked):
        used = sum(each for when, each in passed if when > now - window.length - window.gap)
        if used + cost <= rate.count:
            assert let
        if let:
            passed.append((now, cost))


@pytest.mark.parametrize(("count", "gap"), [(1, 0), (PARTS, 0), (PARTS + 1, -(-60 * SECOND // PARTS))])
def test_small_limits_are_remembered_request_by_request(count: int, gap: int) -> None:
    assert SlidingWindow.of(Rate(count, 60.0)).gap == gap


@given(rates, st.sampled_from([3, 10, 64]), asked)
def test_gcra_is_a_token_bucket_in_exact_fractions(rate: Rate, burst: int, asked: Asked) -> None:
    window = Gcra.of(rate, burst)
    tokens, before = Fraction(burst), 0

    for now, cost, let in played(window, asked):
        tokens = min(Fraction(burst), tokens + Fraction((now - before) * rate.count, round(rate.seconds * SECOND)))
        before = now
        assert let is (tokens >= cost)
        if let:
            tokens -= cost


@given(rates, asked)
def test_a_fixed_window_begins_with_the_first_request_that_it_lets_through(rate: Rate, asked: Asked) -> None:
    window = FixedWindow.of(rate)
    start, used = None, 0

    for now, cost, let in played(window, asked):
        if start is None or now - start >= window.length:
            start, used = None, 0
        assert let is (used + cost <= rate.count)
        if let:
            start, used = now if start is None else start, used + cost


@given(windows, asked, st.integers(1, 3))
def test_who_waits_as_told_is_let_through_and_not_a_microsecond_earlier(
    window: Window[Any], asked: Asked, cost: int
) -> None:
    now, state = 0, window.new(0)
    for gap, each in asked:
        now += gap
        decide_one(window, state, now, min(each, window.limit))
    cost = min(cost, window.limit)

    room = window.room(state, now)
    wait = window.wait(state, now, cost)

    if room < cost:
        assert wait > 0
        assert window.room(state, now + wait - 1) < cost
    assert window.room(state, now + wait) >= cost


@given(windows, asked)
def test_what_is_left_never_grows_before_it_was_said_to(window: Window[Any], asked: Asked) -> None:
    now, state, left, until = 0, window.new(0), window.limit, 0
    for gap, cost in asked:
        now += gap
        refused, _, room, grows = decide_one(window, state, now, min(cost, window.limit))
        if now < until:
            assert room <= left
        if not refused:
            assert grows > 0
        left, until = room, now + grows


@given(windows, asked)
def test_when_it_was_said_to_there_is_more_left(window: Window[Any], asked: Asked) -> None:
    now, state = 0, window.new(0)
    for gap, cost in asked:
        now += gap
        _, _, room, grows = decide_one(window, state, now, min(cost, window.limit))
    if asked:
        assert window.room(state, now + grows - 1) == room
        assert window.room(state, now + grows) > room


@given(st.lists(windows, min_size=1, max_size=3), asked)
def test_several_windows_count_all_or_none(several: list[Window[Any]], asked: Asked) -> None:
    now, states = 0, [window.new(0) for window in several]
    for gap, cost in asked:
        now += gap
        cost = min(cost, *(window.limit for window in several))
        rooms = [window.room(state, now) for window, state in zip(several, states, strict=True)]

        refused, wait, *told = decide(several, states, [now] * len(several), cost)

        assert bool(refused) is (min(rooms) < cost)
        assert told[::2] == [room if refused else room - cost for room in rooms]
        if refused:
            assert wait == max(window.wait(state, now, cost) for window, state in zip(several, states, strict=True))


@given(windows, asked)
def test_one_window_is_counted_as_several_are(window: Window[Any], asked: Asked) -> None:
    now, one, other = 0, window.new(0), window.new(0)
    for gap, cost in asked:
        now += gap
        cost = min(cost, window.limit)
        assert list(decide_one(window, one, now, cost)) == decide([window], [other], [now], cost)


@given(rates, asked)
def test_one_step_counts_as_two_do(rate: Rate, asked: Asked) -> None:
    window = SlidingWindow.of(rate)
    now, one, other = 0, window.new(0), window.new(0)
    for gap, cost in asked:
        now += gap
        cost = min(cost, window.limit)
        left = window.add(one, now, cost)
        if left < 0:
            left = decide_one(window, one, now, cost)[2]
        assert left == decide_one(window, other, now, cost)[2]
        assert (list(one.entries[one.head :]), one.total, one.oldest) == (
            list(other.entries[other.head :]),
            other.total,
            other.oldest,
        )


@settings(max_examples=15)
@given(st.lists(st.integers(0, SECOND), min_size=300, max_size=300), st.sampled_from([64, 10_000]))
def test_what_a_sliding_window_remembers_has_a_bound(gaps: list[int], count: int) -> None:
    window, now = SlidingWindow.of(Rate(count, 10.0)), 0
    log = window.new(0)
    for gap in gaps:
        now += gap
        decide_one(window, log, now, 1)

    assert (len(log.entries) - log.head) // 2 <= PARTS + 2
    assert len(log.entries) <= 6 * PARTS


@pytest.mark.parametrize(
    ("count", "seconds", "rational"),
    [
        (60, 60.0, (SECOND, 1)),
        (7, 60.0, (60 * SECOND, 7)),
        (9_999_991, 86400.0, (8641, 1)),
        (1, 100 * 365 * 86400.0, (100 * 365 * 86400 * SECOND, 1)),
    ],
)
def test_the_time_of_one_unit_is_a_fraction_that_doubles_hold(
    count: int, seconds: float, rational: tuple[int, int]
) -> None:
    bucket = Gcra.of(Rate(count, seconds), count)

    assert (bucket.unit, bucket.drain) == rational
    assert bucket.full < 2**53


@pytest.mark.parametrize("make", [SlidingWindow.of, FixedWindow.of, lambda rate: Gcra.of(rate, 2)])
def test_a_window_is_made_by_its_numbers(make: Callable[[Rate], Window[Any]]) -> None:
    window = make(Rate(100, 3.0))

    twin = type(window)(*window.numbers)

    assert (twin.numbers, twin.kind, twin.limit) == (window.numbers, window.kind, window.limit)


@given(windows)
def test_a_clock_that_goes_back_a_little_stands_still_and_one_that_goes_back_far_begins_anew(
    window: Window[Any],
) -> None:
    state, now = window.new(0), 10_000 * SECOND
    decide_one(window, state, now, 1)

    assert window.current(state, now + 1) == now + 1
    assert window.current(state, now - 1) == now
    assert window.current(state, 0) == -1


@given(windows, asked, asked)
def test_who_goes_on_from_what_was_told_never_gets_more(window: Window[Any], before: Asked, after: Asked) -> None:
    now, state = 0, window.new(0)
    room, grows = window.limit, 0
    for gap, cost in before:
        now += gap
        _, _, room, grows = decide_one(window, state, now, min(cost, window.limit))

    seen = window.seen(now, room, grows)

    assert window.room(seen, now) == room
    for gap, cost in after:
        now += gap
        assert window.room(seen, now) <= window.room(state, now)
        if window.room(seen, now) >= cost:
            window.take(seen, now, cost)
            window.take(state, now, cost)
