"""The three ways to count: what is remembered of a caller, and how much of a limit is left of it.

Rules of this file
1. Times are whole microseconds, amounts whole units: no rounding ever lets one request more through.
2. A Window says how to count, a state is what it remembers of one caller. ``room`` brings the state up to ``now`` and
   comes first; ``take``, ``grows`` and ``wait`` rely on it.
3. ``now`` never goes back. Who reads a clock that may (``current``) mends that.
4. ``scripts.py`` has the same in Lua. What is changed here is changed there; a test holds them equal.
"""

from abc import ABC, abstractmethod
from array import array
from collections.abc import Sequence
from math import gcd
from typing import Any, Final, Generic, TypeVar

from spork_core.api import Rate

S = TypeVar("S")

PARTS: Final = 64
"""A sliding window remembers so many moments at most, give or take two: a busy caller's state takes 1 KiB."""

EXACT: Final = 2**53
"""Whole numbers up to here are exact in Lua, whose numbers are doubles."""

_NEVER: Final = 1 << 62


def microseconds(rate: Rate) -> int:
    """The length of the window of ``rate``."""
    return round(rate.seconds * 1_000_000)


class Window(ABC, Generic[S]):
    """How one limit is counted. ``limit``: the most units at once."""

    limit: int
    kind: str
    """States of windows of one kind mean the same, whatever the limit; it stands in keys of the store."""

    @property
    @abstractmethod
    def numbers(self) -> tuple[int, ...]:
        """What makes an equal Window: ``type(window)(*window.numbers)``. The script counts by them, too."""

    @abstractmethod
    def new(self, now: int) -> S:
        """The state of a caller that nobody has seen."""

    @abstractmethod
    def seen(self, now: int, room: int, grows: int) -> S:
        """A state that has no more room, now and later, than another one that told ``room`` and ``grows`` just now."""

    @abstractmethod
    def current(self, state: S, now: int) -> int:
        """The time to go on with when the clock says ``now``: that of the state where the clock went back a little, -1
        where it went back by a whole window, and the state says nothing any more."""

    @abstractmethod
    def room(self, state: S, now: int) -> int:
        """Units that may be taken now; negative when a reload made the limit smaller."""

    @abstractmethod
    def take(self, state: S, now: int, cost: int) -> None:
        """Takes ``cost`` units, for which there is room."""

    @abstractmethod
    def grows(self, state: S, now: int) -> int:
        """Microseconds until there is more room, if nobody asks meanwhile; 0 when there is all."""

    @abstractmethod
    def wait(self, state: S, now: int, cost: int) -> int:
        """Microseconds until there is room for ``cost``, if nobody asks meanwhile."""

    @abstractmethod
    def ends(self, state: S) -> int:
        """When the state will be like new, if nobody asks meanwhile."""


class Log:
    """What a sliding window remembers: moments, the oldest first, and how many units each took."""

    __slots__ = ("entries", "first", "head", "oldest", "total")

    def __init__(self) -> None:
        self.entries = array("q")
        """When, how many, when, how many, …"""
        self.head = 0
        """Where in ``entries`` the oldest stands; what is before it is gone."""
        self.oldest = _NEVER
        """When the oldest was; far away when there is none."""
        self.first = 0
        """When the youngest moment began: what follows soon enough belongs to it."""
        self.total = 0
        """Units of all moments."""


class SlidingWindow(Window[Log]):
    """Never more than ``limit`` units in any span as long as the window.

    It remembers each request. Where the limit is above 64, requests closer together than a 64th of the window are
    remembered as one, at the time of the last of them: one may count a 64th of a window too long, never too short.
    """

    def __init__(self, limit: int, length: int, gap: int) -> None:
        """``length``: of the window. ``gap``: moments closer together than that become one. Both in microseconds."""
        self.limit = limit
        self.length = length
        self.gap = gap
        self.kind = f"s{length}"

    @classmethod
    def of(cls, rate: Rate) -> "SlidingWindow":
        """The window of ``rate``."""
        length = microseconds(rate)
        return cls(rate.count, length, 0 if rate.count <= PARTS else -(-length // PARTS))

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.limit, self.length, self.gap)

    def new(self, now: int) -> Log:
        return Log()

    def seen(self, now: int, room: int, grows: int) -> Log:
        log = Log()
        if room < self.limit:
            self.take(log, now, self.limit - room)  # as if all of it had been taken just now
        return log

    def current(self, state: Log, now: int) -> int:
        if state.head == len(state.entries) or now >= (last := state.entries[-2]):
            return now
        return last if last - now <= self.length else -1

    def room(self, state: Log, now: int) -> int:
        edge = now - self.length
        if state.oldest <= edge:
            self._forget(state, edge)
        return self.limit - state.total

    def _forget(self, log: Log, edge: int) -> None:
        entries, head = log.entries, log.head
        end = len(entries)
        while head < end and entries[head] <= edge:
            log.total -= entries[head + 1]
            head += 2
        log.oldest = entries[head] if head < end else _NEVER
        if head >= 2 * PARTS or head == end:  # now and then: what is gone is moved out of the way
            del entries[:head]
            head = 0
        log.head = head

    def take(self, state: Log, now: int, cost: int) -> None:
        entries = state.entries
        if now - state.first < self.gap and state.total:
            entries[-2] = now
            entries[-1] += cost
            if len(entries) - state.head == 2:
                state.oldest = now
        else:
            if not state.total:
                state.oldest = now
            state.first = now
            entries.append(now)
            entries.append(cost)
        state.total += cost

    def add(self, log: Log, now: int, cost: int) -> int:
        """``room`` and ``take`` in one, for what happens most: nothing has ended and there is room. The units that are
        left; -1 when it is something else, and nothing was done."""
        total = log.total + cost
        left = self.limit - total
        if left < 0 or log.oldest <= now - self.length or total == cost:
            return -1
        entries = log.entries
        if now - log.first < self.gap:
            entries[-2] = now
            entries[-1] += cost
            if len(entries) - log.head == 2:
                log.oldest = now
        else:
            log.first = now
            entries.append(now)
            entries.append(cost)
        log.total = total
        return left

    def grows(self, state: Log, now: int) -> int:
        return state.oldest + self.length - now if state.total else 0

    def wait(self, state: Log, now: int, cost: int) -> int:
        entries, at = state.entries, state.head
        over, free = state.total + cost - self.limit, now
        while over > 0 and at < len(entries):
            over -= entries[at + 1]
            free = entries[at] + self.length
            at += 2
        return free - now

    def ends(self, state: Log) -> int:
        return state.entries[-2] + self.length if state.total else 0


class Bucket:
    """What a token bucket remembers: how much of it is drunk, in units of ``Gcra.unit``, and when that was so."""

    __slots__ = ("debt", "last")

    def __init__(self, last: int, debt: int) -> None:
        self.last = last
        self.debt = debt


class Gcra(Window[Bucket]):
    """A token bucket, as the generic cell rate algorithm keeps it: ``burst`` units at once, refilled at ``rate``.

    In any span of ``t`` seconds it lets through ``burst + rate × t`` units at most.
    """

    def __init__(self, limit: int, unit: int, drain: int) -> None:
        """``limit``: the burst. ``unit``: the debt of one unit, of which a microsecond pays back ``drain``."""
        self.limit = limit
        self.unit = unit
        self.drain = drain
        self.full = limit * unit
        self.kind = f"g{unit}-{drain}"

    @classmethod
    def of(cls, rate: Rate, burst: int) -> "Gcra":
        """The bucket that ``rate`` refills. The time of one unit, a fraction, is kept as one: nothing is rounded."""
        length = microseconds(rate)
        divisor = gcd(length, rate.count)
        unit, drain = length // divisor, rate.count // divisor
        if burst * unit >= EXACT:  # only such as 9999991/day, which is refilled less than a hundredth slower
            unit, drain = -(-length // rate.count), 1
        return cls(burst, unit, drain)

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.limit, self.unit, self.drain)

    def new(self, now: int) -> Bucket:
        return Bucket(now, 0)

    def seen(self, now: int, room: int, grows: int) -> Bucket:
        return Bucket(now, (self.limit - room) * self.unit)

    def current(self, state: Bucket, now: int) -> int:
        if now >= state.last:
            return now
        return state.last if (state.last - now) * self.drain <= self.full else -1

    def room(self, state: Bucket, now: int) -> int:
        paid = (now - state.last) * self.drain
        debt = state.debt - paid if paid < state.debt else 0
        state.debt = debt
        state.last = now
        return (self.full - debt) // self.unit

    def take(self, state: Bucket, now: int, cost: int) -> None:
        state.debt += cost * self.unit

    def grows(self, state: Bucket, now: int) -> int:
        missing = -(-state.debt // self.unit) - 1  # whole units that are missing once there is one more
        return self._paid(state.debt - missing * self.unit) if state.debt else 0

    def wait(self, state: Bucket, now: int, cost: int) -> int:
        return self._paid(state.debt + cost * self.unit - self.full)

    def _paid(self, debt: int) -> int:
        return -(-debt // self.drain) if debt > 0 else 0

    def ends(self, state: Bucket) -> int:
        return state.last + self._paid(state.debt)


class Count:
    """What a fixed window remembers: when it began, and how many units it took."""

    __slots__ = ("count", "start")

    def __init__(self, start: int, count: int) -> None:
        self.start = start
        self.count = count


class FixedWindow(Window[Count]):
    """``limit`` units in a window that begins with its caller's first request: around its end twice as many.

    Windows of different callers begin at different times, so that they do not all come back at once.
    """

    def __init__(self, limit: int, length: int) -> None:
        """``length``: of the window, in microseconds."""
        self.limit = limit
        self.length = length
        self.kind = f"f{length}"

    @classmethod
    def of(cls, rate: Rate) -> "FixedWindow":
        """The window of ``rate``."""
        return cls(rate.count, microseconds(rate))

    @property
    def numbers(self) -> tuple[int, ...]:
        return (self.limit, self.length)

    def new(self, now: int) -> Count:
        return Count(now, 0)

    def seen(self, now: int, room: int, grows: int) -> Count:
        return Count(now + grows - self.length, self.limit - room)

    def current(self, state: Count, now: int) -> int:
        if now >= state.start:
            return now
        return state.start if state.start - now <= self.length else -1

    def room(self, state: Count, now: int) -> int:
        if now - state.start >= self.length:
            state.count = 0
        return self.limit - state.count

    def take(self, state: Count, now: int, cost: int) -> None:
        if not state.count:
            state.start = now
        state.count += cost

    def grows(self, state: Count, now: int) -> int:
        return state.start + self.length - now if state.count else 0

    def wait(self, state: Count, now: int, cost: int) -> int:
        return self.grows(state, now) if state.count + cost > self.limit else 0

    def ends(self, state: Count) -> int:
        return state.start + self.length if state.count else 0


def decide(windows: Sequence[Window[Any]], states: Sequence[Any], times: Sequence[int], cost: int) -> list[int]:
    """Counts ``cost`` in all windows, or in none when one refuses. ``times``: now, for each window.

    Gives ``[refused, wait, room, grows, room, grows, …]``: the number of the window that refuses, from 1, the one to
    wait for longest where several do (0: none does); microseconds until it would not; and of each window the units
    that are left and the microseconds until there are more.
    """
    answer, rooms = [0, 0], []
    for window, state, now in zip(windows, states, times, strict=True):
        room = window.room(state, now)
        rooms.append(room)
        if room < cost and (wait := window.wait(state, now, cost)) >= answer[1]:
            answer = [len(rooms), wait]
    passed = not answer[0]
    for window, state, now, room in zip(windows, states, times, rooms, strict=True):
        if passed:
            window.take(state, now, cost)
            room -= cost
        answer.append(room if room > 0 else 0)  # noqa: FURB136  0.1 µs less than max()
        answer.append(window.grows(state, now))
    return answer


def decide_one(window: Window[S], state: S, now: int, cost: int) -> tuple[int, int, int, int]:
    """What ``decide`` does for one window, in a third of its time."""
    room = window.room(state, now)
    if room < cost:
        return 1, window.wait(state, now, cost), max(0, room), window.grows(state, now)
    window.take(state, now, cost)
    return 0, 0, room - cost, window.grows(state, now)
