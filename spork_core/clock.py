"""The clock and the source of chance, as seams: tests put their own in their place."""

import random
import time as _time
from collections.abc import Callable
from email.utils import formatdate
from typing import Final

from attrs import field, frozen


@frozen
class Clock:
    """Where time comes from.

    ``time``: seconds since the epoch. ``monotonic_ns``: nanoseconds that never go back, for durations.
    """

    time: Callable[[], float] = _time.time
    monotonic_ns: Callable[[], int] = _time.monotonic_ns


@frozen
class Chance:
    """Where chance comes from: ``random`` gives a float in [0, 1), ``hex`` a string of ``digits`` hex digits."""

    _random: random.Random = field(factory=random.SystemRandom)

    def random(self) -> float:
        """A float in [0, 1)."""
        return self._random.random()

    def hex(self, digits: int = 32) -> str:
        """A random string of lower-case hex digits."""
        return f"{self._random.getrandbits(4 * digits):0{digits}x}"


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
