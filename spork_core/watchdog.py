"""The watchdog: names the plugin, the file and the line that hold up the event loop.

A thread asks the loop for a sign of life and looks at what the loop's thread is doing when none comes.

Rules of this file
1. The pipeline knows exactly which hook took too long, but only afterwards, and not where in it. The thread sees where,
   while it lasts, and sees what is not a hook: a plugin's own tasks and callbacks. Each tells what it knows.
2. A block that both have seen is told of once, and each place at most once in ``QUIET`` seconds, with a count.
3. Nobody is accused on one glance: under load the loop is late although no single callback is slow. Whoever is told of
   was at the same call in two looks.
"""

import asyncio
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Final

from attrs import define

from spork_core.attribution import HookStats
from spork_core.events import Events

QUIET: Final = 10.0
"""Seconds between two warnings about the same place."""
_PLACES: Final = 256
"""Places of which it is known when they were last told of."""
_ENDLESS: Final = 2.0
"""Seconds after which a block is told of although it still lasts."""

_BOTTOM: Final = frozenset(
    function.__code__ for function in (asyncio.Handle._run, asyncio.BaseEventLoop.run_forever, asyncio.Runner.run)
)
"""Below these a stack is not that of one call any more, but of whoever runs the loop; uvloop's own have no frames."""

Homes = Callable[[], Mapping[Path, str]]
"""Where the code of plugins lies, and the names of their instances, with `` or `` between several."""


@define(eq=False)
class _Sighting:
    """Code of a plugin that the loop's thread was at. ``call``: its outermost frame, the same as long as the call
    lasts. ``since``, ``seen``: ``monotonic`` before the first look that met it, and at the last."""

    instance: str
    place: str
    call: FrameType
    since: float
    seen: float
    twice: bool = False


class Watchdog:
    """Watches one event loop. ``seconds``: how long it may be held up."""

    def __init__(self, seconds: float, events: Events, homes: Homes) -> None:
        self.seconds = seconds
        self.serving = False
        """False while a gateway only starts: nobody waits yet, and only what is ``_ENDLESS`` is told of."""
        self._third = seconds / 3
        """How often the thread looks: what lasts for ``seconds`` is always seen twice."""
        self._events = events
        self._homes = homes
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ident = 0
        self._alive = threading.Event()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._told: dict[str, tuple[float, int]] = {}
        self._sighting: _Sighting | None = None
        """What the thread met in a block that nobody has told of yet."""

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
        met, self._sighting = self._sighting, None
        if met is not None and stats.instance in met.instance.split(" or ") and monotonic() - met.seen < seconds:
            place = met.place
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
            if self._alive.wait(self._third):
                self._stop.wait(self._third)
            else:
                self._look(asked)

    def _look(self, asked: float) -> None:
        """The loop gives no sign of life: what is its thread at?"""
        limit = self.seconds if self.serving else _ENDLESS
        homes, files = self._homes(), dict[str, Path | None]()
        told = False
        before = asked
        while True:
            frame = sys._current_frames().get(self._ident)
            met = _whose(frame, homes, files, before)
            del frame
            before = monotonic()
            if met is not None:
                last = self._sighting
                if last is not None and last.call is met.call:
                    met.since, met.twice = last.since, True
                self._sighting = met
            if self._alive.wait(self._third) or self._stop.is_set():
                break
            if met is not None and met.twice and not told and monotonic() - met.since > _ENDLESS:
                told = True
                took = monotonic() - met.since
                self._tell(met.instance, met.place, f"{took:.0f} s, and still does,", took, "")
        # A hook that is over has told of it itself and taken the sighting away; what is left is not a hook's.
        met, self._sighting = self._sighting, None
        if met is not None and met.twice and not told:
            # Until the look after the last that met it, or the sign of life.
            took = (monotonic() if met.seen >= before - self._third else met.seen + self._third) - met.since
            if took > limit:
                self._tell(met.instance, met.place, f"{took * 1000:.0f} ms outside its exchange hooks", took, "")

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
        self._events.add("blocked", message, **facts)


def _whose(
    frame: FrameType | None, homes: Mapping[Path, str], files: dict[str, Path | None], before: float
) -> _Sighting | None:
    """The innermost code of a plugin at or above ``frame``; None without any. ``files``: what is known of source files,
    kept between looks."""
    met: _Sighting | None = None
    found: Path | None = None
    while frame is not None and frame.f_code not in _BOTTOM:
        file = frame.f_code.co_filename
        if file not in files:
            path = Path(file)
            files[file] = next((home for home in homes if path.is_relative_to(home)), None)
        home = files[file]
        if home is not None:
            if met is None:
                found = home
                met = _Sighting(homes[home], f"{file}:{frame.f_lineno}", frame, before, monotonic())
            elif home is found:
                met.call = frame
        frame = frame.f_back
    return met
