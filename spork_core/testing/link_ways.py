"""How the bytes of a flaky link pass: the terms of each way, and the flow of one connection by them."""

import asyncio
import socket
from collections.abc import Callable
from math import inf
from random import Random
from typing import Any, Final, Literal

import attrs

CHUNK: Final = 16384
"""Bytes read at a time."""
HELD: Final = 16
"""Chunks that a connection holds each way while they wait."""
_TICK: Final = 0.05
"""Seconds' worth of bytes that go at once over a way of limited rate."""

Ending = Literal["cut", "reset", "half-closed"]
"""How a connection ends: both sides with FIN, both with RST, or the receiver is told that nothing more will come."""
Tamper = Callable[[bytearray], None]
"""Changes bytes on their way, in place."""


@attrs.frozen(eq=False)
class End:
    """The end that a connection comes to ``after`` more bytes one way."""

    how: Ending
    after: int


@attrs.frozen
class Terms:
    """How one way carries bytes.

    ``latency``: seconds that each byte takes, and up to ``jitter`` more. ``rate``: bytes per second, None: no limit.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    stalled: bool = False
    tamper: Tamper | None = None
    end: End | None = None


GOOD: Final = Terms()
"""A way without faults."""


class Way:
    """One way of a link: ``up`` leads to the dependency, ``down`` comes from it.

    ``carried``: bytes that have passed, over all connections.
    """

    def __init__(self) -> None:
        self.terms = GOOD
        self.carried = 0
        self._changed = asyncio.Event()

    def change(self, **terms: Any) -> None:
        """Sets some of its terms, by the names of ``Terms``; whoever waits by the old ones looks again."""
        self.terms = attrs.evolve(self.terms, **terms)
        self._changed.set()
        self._changed = asyncio.Event()

    def heal(self) -> None:
        """No faults any more."""
        self.change(**attrs.asdict(GOOD))

    async def changed(self, seconds: float) -> None:
        """Until the terms change, ``seconds`` at most."""
        try:
            async with asyncio.timeout(None if seconds == inf else seconds):
                await self._changed.wait()
        except TimeoutError:
            pass


class Ended(Exception):
    """A connection has come to the end that was set for it."""


class Flow:
    """The bytes of one connection, one way. ``came``, ``went``: told when bytes, or their end, were read and sent."""

    def __init__(
        self,
        way: Way,
        source: socket.socket,
        target: socket.socket,
        chance: Random,
        *,
        came: Callable[[], object] = int,
        went: Callable[[], object] = int,
    ) -> None:
        self._came = came
        self._went = went
        self._way = way
        self._source = source
        self._target = target
        self._chance = chance
        self._held: asyncio.Queue[tuple[float, float, bytearray]] = asyncio.Queue(HELD)
        """Chunks with the time they came and their share of the jitter; an empty one says that it was the last."""
        self._free = 0.0
        """When a way of limited rate can carry more."""
        self._end: End | None = None
        self._left = 0
        self._over = False

    async def read(self) -> None:
        """Takes chunks in until there are no more."""
        loop, data = asyncio.get_running_loop(), b"-"
        while data:
            data = await loop.sock_recv(self._source, CHUNK)
            self._came()
            await self._held.put((loop.time(), self._chance.random(), bytearray(data)))

    async def write(self) -> None:
        """Passes them on by the terms of the way. Raises Ended."""
        loop = asyncio.get_running_loop()
        while True:
            came, share, data = await self._held.get()
            last = not data
            while data or last:
                terms = self._way.terms
                due = came + terms.latency + share * terms.jitter
                wait = inf if terms.stalled else max(due, self._free if terms.rate else 0.0) - loop.time()
                if wait > 0:
                    await self._way.changed(wait)
                elif last:
                    self._finish()
                    return
                else:
                    await self._pass(data, terms)

    async def _pass(self, data: bytearray, terms: Terms) -> None:
        """Takes off the front of ``data`` what may go now, and sends it."""
        if self._over:
            data.clear()  # what comes after a half-close has nowhere to go
            return
        size = len(data)
        if terms.rate:
            size = min(size, max(1, int(terms.rate * _TICK)))
        if terms.end is not self._end:
            self._end, self._left = terms.end, terms.end.after if terms.end else 0
        if self._end is not None:
            size = min(size, self._left)
        piece = data[:size]
        if terms.tamper is not None:
            terms.tamper(piece)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._target, piece)
        self._went()
        del data[:size]
        self._way.carried += size
        if terms.rate:
            self._free = loop.time() + size / terms.rate
        if self._end is not None:
            self._left -= size
            if self._left == 0:
                self._come_to(self._end.how)

    def _come_to(self, how: Ending) -> None:
        if how != "half-closed":
            raise Ended(how)
        self._finish()

    def _finish(self) -> None:
        if not self._over:
            self._over = True
            self._went()
            self._target.shutdown(socket.SHUT_WR)


def turn_first(count: int) -> Tamper:
    """Turns over every bit of the next ``count`` bytes."""
    left = count

    def tamper(data: bytearray) -> None:
        nonlocal left
        bad = min(left, len(data))
        left -= bad
        data[:bad] = bytes(byte ^ 0xFF for byte in data[:bad])

    return tamper


def turn_every(step: int) -> Tamper:
    """Turns over every bit of one byte of ``step``, the first of them to begin with."""
    skip = 0

    def tamper(data: bytearray) -> None:
        nonlocal skip
        for at in range(skip, len(data), step):
            data[at] ^= 0xFF
        skip = (skip - len(data)) % step

    return tamper
