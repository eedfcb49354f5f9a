"""The clock and the source of chance, as seams: tests put their own in their place."""

import os
import time as _time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from attrs import frozen


@frozen
class Clock:
    """Where time comes from.

    ``time``: seconds since the epoch. ``monotonic_ns``: nanoseconds that never go back, for durations.
    """

    time: Callable[[], float] = _time.time
    monotonic_ns: Callable[[], int] = _time.monotonic_ns


class Chance:
    """Where chance comes from; the operating system's, unless ``source`` stands in for it.

    ``source``: gives that many random bytes.
    """

    __slots__ = ("_at", "_block", "_source")

    def __init__(self, source: Callable[[int], bytes] = os.urandom) -> None:
        self._source = source
        self._block = ""
        self._at = 0

    def random(self) -> float:
        """A float in [0, 1)."""
        return int.from_bytes(self._source(7)) % (1 << 53) / (1 << 53)

    def hex(self, digits: int = 32) -> str:
        """A random string of lower-case hex digits, at most 8192."""
        at, end = self._at, self._at + digits
        if end > len(self._block):
            # In blocks: SystemRandom, with a system call for each, took 3 µs. The first is read on first use, not
            # before a fork.
            self._block, at, end = self._source(4096).hex(), 0, digits
        self._at = end
        return self._block[at:end]


class HttpDate:
    """The Date field's value (RFC 9110 section 5.6.7), made anew at most once a second."""

    __slots__ = ("_clock", "_second", "_text")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._text = ""

    def __call__(self) -> str:
        second = int(self._clock.time())
        if second != self._second:
            self._second = second
            self._text = formatdate(second, usegmt=True)
        return self._text


SYSTEM_CLOCK: Final = Clock()
SYSTEM_CHANCE: Final = Chance()
