"""Which line did it, and what it touched."""

import os
import sys
import threading
import time
from inspect import currentframe, getsourcelines
from pathlib import Path
from typing import Any

import pytest

from spork_core.testing.blame import first_change, first_crash
from spork_core.testing.limits import TakesTooLong, at_most
from spork_core.testing.outside import touched_by
from spork_core.testing.places import place_of, place_raised


def mine(file: str) -> bool:
    return file == __file__


def line_of(function: Any, text: str) -> str:
    lines, first = getsourcelines(function)
    return f"tests/testing/test_blame.py:{first + next(at for at, line in enumerate(lines) if text in line)}"


def harmless(state: list[int]) -> int:
    return len(state)


def guilty(state: list[int]) -> int:
    harmless(state)
    state.append(harmless(state))  # this one
    return harmless(state)


async def outer(state: list[int]) -> None:
    harmless(state)
    guilty(state)


async def test_the_line_that_changes_something_is_found() -> None:
    state: list[int] = []

    with first_change(mine, lambda: tuple(state)) as blame:
        await outer(state)

    assert blame.place == line_of(guilty, "this one")


def test_nothing_is_blamed_for_nothing() -> None:
    with first_change(mine, lambda: 1) as blame:
        guilty([])

    assert blame.place == ""


def crash() -> None:
    try:
        raise ValueError("a refusal")
    except ValueError:
        {}["missing"]  # the crash


def test_the_line_that_crashes_is_found() -> None:
    with first_crash(mine) as blame, pytest.raises(KeyError):
        crash()

    assert blame.place == line_of(crash, "the crash")


def test_tracing_goes_on_as_before() -> None:
    before = sys.gettrace()

    with first_change(mine, lambda: 1):
        pass

    assert sys.gettrace() is before


def test_what_is_touched_is_told_with_its_line() -> None:
    with touched_by(mine) as touched:
        os.scandir("/").close()  # here
        threading.Thread(target=int).start()
        import this as _this  # noqa: F401  an import reads files, too

    frame = currentframe()
    assert frame is not None
    assert [touch.event for touch in touched] == ["os.scandir", "threading.Thread.start"]
    assert touched[0].place == line_of(frame.f_code, "# here")


def test_what_others_touch_is_left_out() -> None:
    with touched_by(lambda _: False) as touched:
        os.scandir("/").close()

    assert touched == []


def test_a_loop_without_end_is_ended() -> None:
    def loop() -> None:
        while True:
            try:
                pass
            except Exception:
                continue

    with pytest.raises(TakesTooLong) as ended, at_most(0.05):
        loop()

    assert place_raised(ended.value, Path(__file__).parent).startswith("tests/testing/test_blame.py:")


def test_waiting_is_no_work() -> None:
    with at_most(0.05):
        time.sleep(0.1)


def test_the_place_of_a_function_is_its_def() -> None:
    @pytest.mark.slow
    def decorated() -> None:
        """Nothing."""

    assert place_of(decorated) == line_of(decorated, "def ")
    assert place_of(len) == ""
