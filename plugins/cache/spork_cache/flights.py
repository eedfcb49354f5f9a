"""Coalescing: of those who ask for the same thing at the same time one asks the upstream, and the others wait for it.

Rules of this file
1. A flight has one leader and ends once: it is settled, streams, is refused, or is dropped. Nobody waits for a flight
   that has ended, and whoever waits has a time at which it goes on by itself.
2. What turned out not to be for everybody is remembered for a while: requests for it wait for nobody.
"""

import asyncio
from enum import Enum
from typing import Final

from spork_cache.entry import Entry
from spork_cache.purges import Purge
from spork_cache.rules import Stored
from spork_cache.stream import Stream


class State(Enum):
    """How far a flight is."""

    OPEN = "open"
    """The leader waits for the upstream's head."""
    STREAMS = "streams"
    """The head is there and for everybody; the content is coming."""
    SETTLED = "settled"
    """The answer is all there."""
    REFUSED = "refused"
    """The answer is not for everybody: each asks for itself."""
    DROPPED = "dropped"
    """The leader has gone or failed: another takes its place."""


class Flight:
    """One request upstream that others wait for."""

    __slots__ = ("_waiting", "entry", "flights", "key", "state", "stored", "stream", "uri")

    def __init__(self, flights: "Flights", key: str, uri: str) -> None:
        self.flights = flights
        self.key = key
        self.uri = uri
        self.state = State.OPEN
        self.entry: Entry | None = None
        """What it was settled with."""
        self.stored: Stored | None = None
        self.stream: Stream | None = None
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    async def wait(self, until: float) -> bool:
        """Waits for its end, or for the loop's time ``until``; False when that came first."""
        loop = asyncio.get_running_loop()
        if self.state is not State.OPEN:
            return True
        if loop.time() >= until:
            return False
        future: asyncio.Future[None] = loop.create_future()
        self._waiting.add(future)
        timer = loop.call_at(until, _late, future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)
        return self.state is not State.OPEN

    def settle(self, entry: Entry) -> None:
        """``entry`` is the answer."""
        self.entry = entry
        self._end(State.SETTLED)

    def streams(self, stored: Stored, stream: Stream) -> None:
        """The answer is for everybody, and is coming; ``over`` says when it is there."""
        self.stored, self.stream = stored, stream
        self._tell(State.STREAMS)

    def refuse(self) -> None:
        """The answer is for the leader alone."""
        self._end(State.REFUSED)

    def drop(self) -> None:
        """There will be no answer."""
        self._end(State.DROPPED)

    def over(self) -> None:
        """Nobody may join any more."""
        if self.flights.get(self.key) is self:
            del self.flights.current[self.key]

    def _end(self, state: State) -> None:
        self.over()
        self._tell(state)

    def _tell(self, state: State) -> None:
        if self.state is not State.OPEN:
            return
        self.state = state
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    def __repr__(self) -> str:
        return f"<Flight {self.uri} {self.state.value}, {len(self._waiting)} waiting>"


class Flights:
    """The flights that are under way, by key, and what is not worth waiting for."""

    def __init__(self, most: int) -> None:
        """``most``: keys that are remembered as not for everybody."""
        self.current: dict[str, Flight] = {}
        self.get: Final = self.current.get
        self._alone: dict[str, float] = {}
        self._most = most

    def __len__(self) -> int:
        return len(self.current)

    def lead(self, key: str, uri: str) -> Flight:
        """A new flight, whose leader the caller is."""
        flight = self.current[key] = Flight(self, key, uri)
        return flight

    def close(self, purge: Purge) -> None:
        """Lets nobody join what was asked for before ``purge``."""
        for flight in tuple(self.current.values()):
            if purge.kind == "tag" or purge.takes(flight.uri, ()):  # which tags it will have nobody knows
                flight.over()

    def alone(self, key: str, now: float) -> bool:
        """True when the answers for ``key`` were for nobody else a short time ago."""
        until = self._alone.get(key)
        if until is None:
            return False
        if until <= now:
            del self._alone[key]
            return False
        return True

    def leave_alone(self, key: str, until: float) -> None:
        """Lets nobody wait for ``key`` until then."""
        self._alone.pop(key, None)
        self._alone[key] = until
        if len(self._alone) > self._most:
            del self._alone[next(iter(self._alone))]

    def together(self, key: str) -> None:
        """An answer for ``key`` was for everybody."""
        if self._alone:
            self._alone.pop(key, None)

    def __repr__(self) -> str:
        return f"<Flights {len(self.current)} under way>"


def _late(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)
