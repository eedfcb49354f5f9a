"""The retry budget of one service: what keeps retries from finishing off a service that is overloaded.

Rules of this file
1. A retry is let go when fewer than ``minimum`` retries of the service run, or when the retries of the last ``window``,
   this one included, are at most ``ratio`` of the requests of that time.
2. A request counts when its first attempt has ended, unless the gateway itself refused that; a retry counts when it is
   let go, and runs until its own attempt has ended, or its exchange.
3. Time is kept in ``PARTS`` parts, and the oldest falls out as a whole: the last ``window`` is between nine tenths of
   it and all of it.
"""

from collections import deque
from typing import Final

PARTS: Final = 10


class Budget:
    """Counts the requests and the retries of one service. Times are ``Clock.monotonic_ns``."""

    __slots__ = ("_minimum", "_parts", "_ratio", "_width", "exhausted", "requests", "retries", "running", "until")

    def __init__(self, ratio: float, minimum: int, window: float) -> None:
        """``window``: seconds."""
        self._ratio = ratio
        self._minimum = minimum
        self._width = max(1, round(window * 1e9 / PARTS))
        self._parts: deque[tuple[int, int]] = deque(((0, 0),) * (PARTS - 1), PARTS - 1)
        self.requests = 0
        """Requests of the running part."""
        self.retries = 0
        """Retries of the running part."""
        self.running = 0
        """Retries that run now."""
        self.exhausted = 0
        """How often a retry was not let go."""
        self.until = 0
        """When the running part ends; from then on call ``turn`` first."""

    def turn(self, now: int) -> None:
        """Begins the part that ``now`` lies in."""
        missed = (now - self.until) // self._width
        self._parts.append((self.requests, self.retries))
        for _ in range(min(missed, PARTS - 1)):
            self._parts.append((0, 0))
        self.requests = self.retries = 0
        self.until = now - now % self._width + self._width

    def counts(self, now: int) -> tuple[int, int]:
        """Requests and retries of the last ``window``."""
        if now >= self.until:
            self.turn(now)
        requests = self.requests + sum(part[0] for part in self._parts)
        return requests, self.retries + sum(part[1] for part in self._parts)

    def take(self, now: int) -> bool:
        """True when a retry may go; it then runs until ``give_back``."""
        requests, retries = self.counts(now)
        if self.running >= self._minimum and retries + 1 > self._ratio * requests:
            self.exhausted += 1
            return False
        self.retries += 1
        self.running += 1
        return True

    def give_back(self) -> None:
        """A retry that ``take`` let go has ended."""
        self.running -= 1
