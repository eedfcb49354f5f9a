"""Which line did it: the plugin's own code is followed line by line until something has changed, or was raised.

Slow, so a law looks first whether there is anything to find.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from spork_core.testing.places import place


class Blame:
    """What was found."""

    def __init__(self, owns: Callable[[str], bool], state: Callable[[], object] | None) -> None:
        self._found: tuple[str, int] | None = None
        self._owns = owns
        self._owned: dict[str, bool] = {}
        self._state = state
        self._last = None if state is None else state()
        self._line: tuple[str, int] | None = None

    @property
    def place(self) -> str:
        """The line; "" while nothing was found. Asked for when no loop runs: it looks at the working directory."""
        return "" if self._found is None else place(*self._found)

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        file = frame.f_code.co_filename
        owned = self._owned.get(file)
        if owned is None:
            owned = self._owned[file] = self._owns(file)
        if not owned or self._found is not None:
            return None
        if self._state is None:
            if event == "exception" and _crash(argument[1]):
                self._found = (file, frame.f_lineno)
            return self
        if self._line is not None and self._state() != self._last:
            self._found = self._line
            return None
        self._line = (file, frame.f_lineno)
        caller = frame.f_back
        if event == "return" and caller is not None and self._owned.get(caller.f_code.co_filename):
            # What changes from here to its next line is the work of the line that called.
            self._line = (caller.f_code.co_filename, caller.f_lineno)
        return self

    def end(self) -> None:
        """The last line has no other behind it that would notice."""
        if self._found is None and self._state is not None and self._state() != self._last:
            self._found = self._line


def _crash(error: object) -> bool:
    from spork_core.errors import SporkError

    return isinstance(error, BaseException) and not isinstance(error, (ValueError, SporkError, StopIteration))


@contextmanager
def first_change(owns: Callable[[str], bool], state: Callable[[], object]) -> Iterator[Blame]:
    """Finds the first line of a file that ``owns`` is true for, after which ``state()`` is another."""
    yield from _following(Blame(owns, state))


@contextmanager
def first_crash(owns: Callable[[str], bool]) -> Iterator[Blame]:
    """Finds the first such line that raises what is no refusal: neither a ValueError nor one of Spork's errors."""
    yield from _following(Blame(owns, None))


def _following(blame: Blame) -> Iterator[Blame]:
    before = sys.gettrace()
    sys.settrace(blame)
    threading.settrace(blame)
    try:
        yield blame
    finally:
        sys.settrace(before)
        threading.settrace(before)
        blame.end()


__all__ = ["Blame", "first_change", "first_crash"]
