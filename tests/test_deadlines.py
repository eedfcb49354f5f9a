"""Deadlines against a loop whose clock the test turns."""

from collections.abc import Callable
from typing import Any

import pytest

from spork_core import deadlines
from spork_core.deadlines import Deadlines


class FakeTimer:
    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self.callback: Callable[[], object] | None = callback

    def cancel(self) -> None:
        self.callback = None


class FakeLoop:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.timers: list[FakeTimer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, due: float, callback: Callable[[], object]) -> FakeTimer:
        self.timers.append(FakeTimer(due, callback))
        return self.timers[-1]

    @property
    def armed(self) -> int:
        return sum(timer.callback is not None for timer in self.timers)

    def go(self, seconds: float) -> None:
        """Passes time, tenth by tenth of a second."""
        for _ in range(round(seconds * 10)):
            self.now = round(self.now + 0.1, 3)
            for timer in [timer for timer in self.timers if timer.due <= self.now]:
                self.timers.remove(timer)
                if timer.callback is not None:
                    timer.callback()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> FakeLoop:
    fake = FakeLoop()
    monkeypatch.setattr(deadlines, "get_running_loop", lambda: fake)
    return fake


@pytest.fixture
def gone(loop: FakeLoop) -> list[tuple[str, float]]:
    """What expired, and when, in seconds from the beginning."""
    return []


@pytest.fixture
def due(loop: FakeLoop, gone: list[Any]) -> Deadlines[str]:
    return Deadlines(10, lambda item: gone.append((item, round(loop.now - 100, 1))))


def test_an_item_expires_once_and_on_time(loop: FakeLoop, due: Deadlines[str], gone: list[Any]) -> None:
    due.start("a")
    loop.go(3)
    due.start("b")
    loop.go(30)

    assert (gone, len(due), loop.armed) == ([("a", 10), ("b", 13)], 0, 0)


def test_a_restart_begins_anew(loop: FakeLoop, due: Deadlines[str], gone: list[Any]) -> None:
    due.start("a")
    due.start("b")
    loop.go(6)
    due.start("a")
    loop.go(20)

    assert gone == [("b", 10), ("a", 16)]


def test_what_is_stopped_does_not_expire(loop: FakeLoop, due: Deadlines[str], gone: list[Any]) -> None:
    due.start("a")
    due.stop("a")
    due.stop("never in")
    loop.go(20)

    assert (gone, len(due), loop.armed) == ([], 0, 0)


def test_one_timer_serves_all(loop: FakeLoop, due: Deadlines[str]) -> None:
    for number in range(1000):
        due.start(str(number))
        due.start("a")

    assert (len(due), loop.armed) == (1001, 1)


def test_an_expiry_may_stop_those_behind_it(loop: FakeLoop) -> None:
    gone: list[str] = []
    due: Deadlines[str] = Deadlines(10, lambda item: (gone.append(item), due.stop("b")))
    for item in "abc":
        due.start(item)
    loop.go(20)

    assert gone == ["a", "c"]


def test_an_expiry_may_start_again_without_holding_up_the_others(loop: FakeLoop) -> None:
    gone: list[tuple[str, float]] = []

    def expire(item: str) -> None:
        gone.append((item, round(loop.now - 100, 1)))
        if len(gone) == 1:
            due.start(item)

    due: Deadlines[str] = Deadlines(10, expire)
    due.start("a")
    loop.go(2)
    due.start("b")
    loop.go(30)

    assert (gone, loop.armed) == ([("a", 10), ("b", 12), ("a", 20)], 0)


def test_an_expiry_may_restart_those_behind_it(loop: FakeLoop, gone: list[Any]) -> None:
    def expire(item: str) -> None:
        gone.append((item, round(loop.now - 100, 1)))
        if item == "a":
            due.start("b")

    due: Deadlines[str] = Deadlines(10, expire)
    due.start("a")
    due.start("b")
    loop.go(30)

    assert gone == [("a", 10), ("b", 20)]


def test_a_failing_expiry_does_not_stop_the_others(loop: FakeLoop, gone: list[Any]) -> None:
    def expire(item: str) -> None:
        gone.append((item, round(loop.now - 100, 1)))
        if item == "a":
            raise ValueError(item)

    due: Deadlines[str] = Deadlines(10, expire)
    for item in "abc":
        due.start(item)
    with pytest.raises(ValueError, match="a"):
        loop.go(10)
    loop.go(1)

    assert [item for item, _ in gone] == ["a", "b", "c"]


@pytest.mark.parametrize(("seconds", "expected"), [(2, [("a", 3), ("b", 3)]), (20, [("a", 10), ("b", 21)])])
def test_new_seconds_hold_for_all_that_would_stay_longer(
    loop: FakeLoop, due: Deadlines[str], gone: list[Any], seconds: float, expected: list[Any]
) -> None:
    due.start("a")
    loop.go(1)
    due.seconds = seconds
    due.start("b")
    loop.go(30)

    assert (gone, due.seconds) == (expected, seconds)


def test_close_forgets_all(loop: FakeLoop, due: Deadlines[str], gone: list[Any]) -> None:
    due.start("a")
    due.close()
    loop.go(20)

    assert (gone, len(due), loop.armed) == ([], 0, 0)


def test_close_and_start_within_an_expiry_leave_one_timer(loop: FakeLoop) -> None:
    due: Deadlines[str] = Deadlines(10, lambda _: (due.close(), due.start("b")))
    due.start("a")
    loop.go(10)

    assert (len(due), loop.armed) == (1, 1)
