"""Small writes of one turn of the loop, made together at its end.

Writing to a socket wakes the process at its other end. When each write stands alone between two reads, that process
has gone back to sleep each time and each write pays for waking it; back to back, the first write pays for all. Measured
with 64 connections on loopback: 12.8 µs of system time per exchange instead of 17.3 µs.
"""

import asyncio
import logging
from collections.abc import Callable

log = logging.getLogger("spork_core.outbox")


class Outbox:
    """Keeps the order of what is written through it; whoever writes to a transport directly calls ``flush`` before."""

    __slots__ = ("_call_soon", "queue")

    def __init__(self) -> None:
        self.queue: list[tuple[Callable[[bytes], object], bytes]] = []
        """Waiting writes; empty between two turns of the loop."""
        self._call_soon: Callable[..., object] | None = None

    def write(self, write: Callable[[bytes], object], data: bytes) -> None:
        """Calls ``write(data)`` at the end of this turn. ``write``: a transport's method."""
        queue = self.queue
        if not queue:
            call_soon = self._call_soon
            if call_soon is None:
                call_soon = self._call_soon = asyncio.get_running_loop().call_soon
            call_soon(self.flush)
        queue.append((write, data))

    def flush(self) -> None:
        """Makes the waiting writes now."""
        queue, self.queue = self.queue, []
        for write, data in queue:
            try:
                write(data)
            except RuntimeError as error:  # uvloop, when the transport has closed since; the others must still go out
                log.debug("not written: %s", error)
