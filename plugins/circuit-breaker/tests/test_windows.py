"""The windows, held against lists of all calls."""

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_circuit_breaker.windows import PARTS, CountWindow, TimeWindow, Totals, Window

SECOND = 1_000_000_000
What = Literal["good", "failed", "slow", "both", "spoilt"]
CALLS = st.lists(
    st.tuples(st.sampled_from(["good", "good", "failed", "slow", "both"]), st.integers(0, 4 * SECOND)), max_size=80
)


def play(window: Window, what: str, now: int) -> None:
    if what == "good":
        window.succeed(now)
    else:
        window.add(now, failed=what != "slow", slow=what != "failed")


def summed(calls: list[str]) -> Totals:
    return Totals(len(calls), sum(c in ("failed", "both") for c in calls), sum(c in ("slow", "both") for c in calls))


def streak(calls: list[str]) -> int:
    row = 0
    for call in calls:
        row = row + 1 if call in ("failed", "both") else 0
    return row


@given(calls=CALLS)
def test_a_time_window_holds_its_part_and_the_nine_before(calls: list[tuple[str, int]]) -> None:
    window, now = TimeWindow(10), 7 * SECOND
    seen: list[tuple[str, int]] = []
    for what, later in calls:
        now += later
        play(window, what, now)
        seen.append((what, now))

        inside = [call for call, when in seen if now // SECOND - when // SECOND < PARTS]
        assert window.totals(now) == summed(inside)
        assert window.streak == streak([call for call, _ in seen])


@given(calls=CALLS, size=st.integers(1, 20))
def test_a_count_window_holds_the_last_so_many(calls: list[tuple[str, int]], size: int) -> None:
    window = CountWindow(size)
    seen: list[str] = []
    for what, _ in calls:
        play(window, what, 0)
        seen.append(what)

        assert window.totals(0) == summed(seen[-size:])
        assert window.streak == streak(seen)


@given(calls=CALLS, size=st.integers(1, 20))
def test_what_is_kept_goes_on_in_another_window(calls: list[tuple[str, int]], size: int) -> None:
    for one, other in ((TimeWindow(10), TimeWindow(10)), (CountWindow(size), CountWindow(size))):
        now = SECOND
        for what, later in calls:
            now += later
            play(one, what, now)
        other.resume(one.keep())

        assert other.keep() == one.keep()
        for window in (one, other):
            play(window, "failed", now)
        assert (other.totals(now), other.streak) == (one.totals(now), one.streak)


@pytest.mark.parametrize("window", [TimeWindow(10), CountWindow(10)], ids=["time", "count"])
def test_a_call_that_breaks_off_later_turns_from_good_to_failed(window: Window) -> None:
    for _ in range(3):
        window.succeed(0)
        window.spoil(0)

    assert window.totals(0) == Totals(3, 3, 0)
    assert window.streak == 3
    window.succeed(0)
    window.succeed(0)
    window.spoil(0)
    assert window.streak == 1
