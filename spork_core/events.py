"""Events: what an operator would want to know of, kept for whoever looks and told to whoever listens."""

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from attrs import field, frozen

from spork_core.clock import SYSTEM_CLOCK, Clock

log = logging.getLogger("spork_core.events")

KEPT: Final = 100
"""The last so many are kept."""


@frozen
class Event:
    """Something that happened in a gateway.

    ``kind``: what, in a word (``quarantined``, ``restored``, ``over_budget``, ``blocked``, or a plugin's own).
    ``message``: a sentence for people. ``time``: seconds since the epoch. ``facts``: the same for machines.
    """

    kind: str
    message: str
    time: float
    facts: Mapping[str, Any] = field(factory=dict)


class Events:
    """The events of one gateway. A listener that raises is logged, and stops nothing; an event that a listener adds is
    kept, and told to nobody. Threads may add events, too: they are logged at once, and kept and told in the loop."""

    def __init__(self, clock: Clock = SYSTEM_CLOCK) -> None:
        self._clock = clock
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: list[Callable[[Event], object]] = []
        self._telling = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        """The thread of the loop; 0 before there is one."""
        self.count = 0
        """How many there were since the start."""

    def __iter__(self) -> Iterator[Event]:
        """Those that are kept, the oldest first."""
        return iter(tuple(self._kept))

    def listen(self, listener: Callable[[Event], object]) -> None:
        """``listener`` is called with each event from now on."""
        self._listeners.append(listener)

    def settle(self) -> None:
        """Listeners are called in the running loop from now on."""
        self._loop, self._thread = asyncio.get_running_loop(), threading.get_ident()

    def add(self, kind: str, message: str, **facts: Any) -> None:
        """Logs, keeps and tells."""
        event = Event(kind, message, self._clock.time(), facts)
        log.warning("%s: %s", kind, message)
        if self._loop is None or threading.get_ident() == self._thread:
            self._keep(event)
            return
        try:
            self._loop.call_soon_threadsafe(self._keep, event)
        except RuntimeError:  # the loop is closed: nobody is left to be told
            self._keep(event)

    def _keep(self, event: Event) -> None:
        self.count += 1
        self._kept.append(event)
        if self._telling:
            return
        self._telling = True
        try:
            for listener in self._listeners:
                try:
                    listener(event)
                except (Exception, SystemExit):
                    log.exception("a listener failed on the event %s", event.kind)
        finally:
            self._telling = False
