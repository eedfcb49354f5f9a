"""Events are kept within a bound, told, and harmed by no listener."""

import logging
from collections.abc import Iterator

import pytest

from spork_core.clock import Clock
from spork_core.events import KEPT, Event, Events


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.CRITICAL, "spork_core.events"):
        yield


def test_the_last_ones_are_kept_and_all_are_counted() -> None:
    events = Events(Clock(time=lambda: 7.0))
    for number in range(KEPT + 5):
        events.add("noticed", f"number {number}", number=number)

    kept = list(events)

    assert (len(kept), events.count) == (KEPT, KEPT + 5)
    assert kept[0] == Event("noticed", "number 5", 7.0, {"number": 5})


def test_a_listener_that_fails_stops_nobody() -> None:
    events, heard = Events(), list[str]()
    events.listen(lambda _: 1 / 0)
    events.listen(lambda event: heard.append(event.kind))

    events.add("noticed", "something")

    assert heard == ["noticed"]


def test_an_event_about_an_event_is_kept_and_told_to_nobody() -> None:
    events, heard = Events(), list[str]()
    events.listen(lambda event: heard.append(event.kind))
    events.listen(lambda _: events.add("echo", "again"))

    events.add("noticed", "something")

    assert heard == ["noticed"]
    assert [event.kind for event in events] == ["noticed", "echo"]
