"""What the last calls came to: over the last seconds, or over the last so many calls.

Rules of this file
1. ``succeed`` is the common path, called for every good answer: it compares and adds, and looks at nothing else.
2. A time window has ``PARTS`` parts, and the oldest falls out as a whole: it holds between nine tenths of its time and
   all of it. Nothing runs when nothing is called: parts are turned by the next call.
3. A row of failures is one of calls, whatever the time between them.
"""

from abc import ABC, abstractmethod
from collections import deque
from typing import Final

from attrs import frozen

PARTS: Final = 10


@frozen
class Totals:
    """Calls of a window, and how many of them failed and were slow."""

    calls: int
    failures: int
    slow: int


@frozen
class Kept:
    """A window's content, to be handed over. ``shape``: of which window; another one cannot take it over."""

    shape: tuple[str, int]
    streak: int
    parts: tuple[tuple[int, int, int], ...]
    until: int


class Window(ABC):
    """What the last calls came to. Times are ``Clock.monotonic_ns``."""

    __slots__ = ("_before", "shape", "streak")

    def __init__(self, shape: tuple[str, int]) -> None:
        self.shape = shape
        """The kind of window, and how large it is."""
        self.streak = 0
        """Calls that failed since the last one that did not."""
        self._before = 0
        """What ``streak`` was before the last good call ended it."""

    @abstractmethod
    def succeed(self, now: int) -> None:
        """A call was good, and quick."""

    @abstractmethod
    def add(self, now: int, *, failed: bool, slow: bool) -> None:
        """A call failed, was slow, or both."""

    def spoil(self, now: int) -> None:
        """A call that had been good turns out to have failed: the content of its answer broke off."""
        self._spoil(now)
        self.streak = (self.streak or self._before) + 1

    @abstractmethod
    def _spoil(self, now: int) -> None: ...

    @abstractmethod
    def totals(self, now: int) -> Totals:
        """What is in the window."""

    @abstractmethod
    def clear(self) -> None:
        """Forgets all calls."""

    @abstractmethod
    def keep(self) -> Kept:
        """The content, to be handed over."""

    @abstractmethod
    def resume(self, kept: Kept) -> None:
        """Goes on with what a window of the same shape has kept."""


class TimeWindow(Window):
    """The calls of the last ``seconds``."""

    __slots__ = ("_calls", "_failures", "_parts", "_slow", "_until", "_width")

    def __init__(self, seconds: float) -> None:
        self._width = max(1, round(seconds * 1e9 / PARTS))
        super().__init__(("time", self._width))
        self._parts: deque[tuple[int, int, int]] = deque(maxlen=PARTS - 1)
        self._calls = self._failures = self._slow = 0
        self._until = 0

    def succeed(self, now: int) -> None:
        if now >= self._until:
            self._turn(now)
        self._calls += 1
        self._before, self.streak = self.streak, 0

    def _spoil(self, now: int) -> None:
        if now >= self._until:
            self._turn(now)
        self._failures += 1

    def add(self, now: int, *, failed: bool, slow: bool) -> None:
        if now >= self._until:
            self._turn(now)
        self._calls += 1
        self._failures += failed
        self._slow += slow
        self.streak = self.streak + 1 if failed else 0

    def totals(self, now: int) -> Totals:
        if now >= self._until:
            self._turn(now)
        parts = (*self._parts, (self._calls, self._failures, self._slow))
        return Totals(*(sum(part[at] for part in parts) for at in range(3)))

    def clear(self) -> None:
        self._parts.clear()
        self._calls = self._failures = self._slow = self.streak = self._before = 0

    def keep(self) -> Kept:
        parts = (*self._parts, (self._calls, self._failures, self._slow))
        return Kept(self.shape, self.streak, parts, self._until)

    def resume(self, kept: Kept) -> None:
        self._parts.extend(kept.parts[:-1])
        self._calls, self._failures, self._slow = kept.parts[-1]
        self._until, self.streak = kept.until, kept.streak

    def _turn(self, now: int) -> None:
        """Begins the part that ``now`` lies in."""
        missed = (now - self._until) // self._width
        self._parts.append((self._calls, self._failures, self._slow))
        for _ in range(min(missed, PARTS - 1)):
            self._parts.append((0, 0, 0))
        self._calls = self._failures = self._slow = 0
        self._until = now - now % self._width + self._width


_GOOD: Final = 0
_FAILED: Final = 1
_SLOW: Final = 2


class CountWindow(Window):
    """The last ``size`` calls."""

    __slots__ = ("_at", "_calls", "_failures", "_ring", "_size", "_slow")

    def __init__(self, size: int) -> None:
        super().__init__(("calls", size))
        self._ring = bytearray(size)
        self._size = size
        self._at = 0
        self._calls = self._failures = self._slow = 0

    def succeed(self, now: int) -> None:
        at = self._at
        if self._ring[at]:
            self._forget(at)
        self._at = at + 1 if at + 1 < self._size else 0
        if self._calls < self._size:
            self._calls += 1
        self._before, self.streak = self.streak, 0

    def _spoil(self, now: int) -> None:
        for back in range(1, self._calls + 1):
            at = self._at - back
            if not self._ring[at] & _FAILED:
                self._ring[at] |= _FAILED
                self._failures += 1
                break

    def add(self, now: int, *, failed: bool, slow: bool) -> None:
        streak = self.streak
        at = self._at
        self.succeed(now)
        self._ring[at] = (_FAILED if failed else _GOOD) | (_SLOW if slow else _GOOD)
        self._failures += failed
        self._slow += slow
        self.streak = streak + 1 if failed else 0

    def totals(self, now: int) -> Totals:
        return Totals(self._calls, self._failures, self._slow)

    def clear(self) -> None:
        self._ring = bytearray(self._size)
        self._at = self._calls = self._failures = self._slow = self.streak = self._before = 0

    def keep(self) -> Kept:
        at = self._at
        ring = self._ring[at:] + self._ring[:at]  # the oldest first
        parts = tuple((1, call & _FAILED, (call & _SLOW) >> 1) for call in ring[self._size - self._calls :])
        return Kept(self.shape, self.streak, parts, 0)

    def resume(self, kept: Kept) -> None:
        for _, failed, slow in kept.parts:
            self.add(0, failed=bool(failed), slow=bool(slow))
        self.streak = kept.streak

    def _forget(self, at: int) -> None:
        call = self._ring[at]
        self._failures -= call & _FAILED
        self._slow -= (call & _SLOW) >> 1
        self._ring[at] = _GOOD
