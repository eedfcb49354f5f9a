"""How long it waits: back-off with full jitter, and what a ``Retry-After`` means."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_retry.waiting import asked_for, jittered

NOW = 784111777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@given(chance=st.floats(0, 1), number=st.integers(1, 9))
def test_back_off_is_a_part_of_what_doubles_up_to_the_most(chance: float, number: int) -> None:
    assert 0 <= jittered(chance, number, 0.025, 0.25) <= min(0.25, 0.025 * 2 ** (number - 1))


def test_full_jitter_uses_the_whole_range() -> None:
    assert [jittered(1, number, 0.025, 0.25) for number in (1, 2, 3, 4, 5)] == [0.025, 0.05, 0.1, 0.2, 0.25]
    assert jittered(0, 3, 0.025, 0.25) == 0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        (" 7 ", 7),
        ("Sun, 06 Nov 1994 08:49:39 GMT", 2),
        ("Sunday, 06-Nov-94 08:49:39 GMT", 2),
        ("Sun Nov  6 08:49:39 1994", 2),
        ("Sun, 06 Nov 1994 08:49:30 GMT", 0),
    ],
)
def test_what_retry_after_says(text: str, seconds: float) -> None:
    assert asked_for(text, NOW) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1.5", "٣", "99999999999", "Sun, 99 Nov 1994 08:49:37 GMT", "\x00"])
def test_what_it_does_not_say(text: str) -> None:
    assert asked_for(text, NOW) is None


@given(text=st.text(st.characters(max_codepoint=255), max_size=40))
def test_nothing_that_a_service_sends_breaks_it(text: str) -> None:
    seconds = asked_for(text, NOW)
    assert seconds is None or seconds >= 0
