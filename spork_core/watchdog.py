"""The watchdog: names the plugin, the file and the line that hold up the event loop.

A thread asks the loop for a sign of life and looks at what the loop's thread is doing when none comes.

Rules of this file
1. The pipeline knows exactly which hook took too long, but only afterwards, and not where in it. The thread sees where,
   while it lasts, and sees what is not a hook: a plugin's own tasks and callbacks. Each tells what it knows.
2. A block that both have seen is told of once, and each place at most once in ``QUIET`` seconds, with a count.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final

from spork_core.attribution import HookStats, innermost
from spork_core.events import Events

log = logging.getLogger("spork_core.watchdog")

QUIET: Final = 10.0
"""Seconds between two warnings about the same place."""
_PLACES: Final = 256
"""Places of which it is known when they were last told of."""
_ENDLESS: Final = 2.0
"""Seconds after which a block is told of although it still lasts."""

Homes = Callable[[], Mapping[Path, str]]
"""Where the code of plugins lies, and the names of their instances, with `` or `` between several."""


class Watchdog:
    """Watches one event loop. ``seconds``: how long it may be held up."""

    def __init__(self, seconds: float, events: Events, homes: Homes) -> None:
        self.seconds = seconds
        self._half = seconds / 2
        """How often the thread looks: what lasts for ``seconds`` is always seen."""
        self._events = events
        self._homes = homes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0
        self._alive = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: dict[str, tuple[float, int]] = {}
        self._seen: tuple[float, str, str] | None = None
        """When the thread last looked at a block, and whose code it was, where; not told of yet."""

    async def start(self) -> None:
        """Watches the running loop."""
        self._loop = asyncio.get_running_loop()
        self._ident = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="spork-watchdog", daemon=True)
        await asyncio.to_thread(self._thread.start)  # it waits until the thread runs

    async def stop(self) -> None:
        """Watches no more."""
        self._stop.set()
        self._alive.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def hook_blocked(self, stats: HookStats, seconds: float, place: str) -> None:
        """A hook has run for ``seconds`` without giving way; called in the loop. ``place``: of its definition."""
        seen, self._seen = self._seen, None
        if seen is not None and stats.instance in seen[1].split(" or ") and monotonic() - seen[0] < seconds:
            place = seen[2]
        self._tell(stats.instance, place, f"{seconds * 1000:.0f} ms in {stats.hook}", seconds, stats.hook)

    # -- the thread ---------------------------------------------------------------------------------

    def _watch(self) -> None:
        loop = self._loop
        assert loop is not None
        while not self._stop.is_set():
            self._alive.clear()
            asked = monotonic()
            try:
                loop.call_soon_threadsafe(self._alive.set)
            except RuntimeError:  # the loop is closed
                return
            if self._alive.wait(self._half):
                self._stop.wait(self._half)
            else:
                self._look(asked)

    def _look(self, asked: float) -> None:
        """The loop gives no sign of life: what is its thread at?"""
        found: tuple[str, str] | None = None
        told = False
        while True:
            found = self._whose(sys._current_frames().get(self._ident)) or found
            if found is not None:
                self._seen = (monotonic(), *found)
            if self._alive.wait(self._half) or self._stop.is_set():
                break
            took = monotonic() - asked
            if found is not None and not told and took > _ENDLESS:
                told = True
                self._tell(*found, f"{took:.0f} s, and still does,", took, "")
        # A hook that is over has told of it itself and taken ``_seen`` away; what is left is not a hook's.
        seen, self._seen = self._seen, None
        took = monotonic() - asked
        if seen is not None and not told and took > self.seconds:
            self._tell(seen[1], seen[2], f"{took * 1000:.0f} ms outside its hooks", took, "")

    def _whose(self, frame: FrameType | None) -> tuple[str, str] | None:
        for home, name in self._homes().items():
            place = innermost(frame, home)
            if place is not None:
                return name, place
        return None

    def _tell(self, instance: str, place: str, took: str, seconds: float, hook: str) -> None:
        now = monotonic()
        last, more = self._told.get(place, (float("-inf"), 0))
        if now - last < QUIET:
            self._told[place] = (last, more + 1)
            return
        if len(self._told) >= _PLACES:
            self._told.clear()
        self._told[place] = (now, 0)
        again = f" ({more} times more since the last word of it)" if more else ""
        message = f"instance {instance} blocked the event loop for {took} at {place}{again}"
        facts = {"instance": instance, "hook": hook, "seconds": round(seconds, 3), "place": place}
        loop = self._loop
        if loop is None or threading.get_ident() == self._ident:
            self._events.add("blocked", message, **facts)
        else:
            try:
                loop.call_soon_threadsafe(lambda: self._events.add("blocked", message, **facts))
            except RuntimeError:
                log.warning("%s", message)
            if "still does" in took:
                log.warning("%s", message)  # at once: the loop may never come to it
