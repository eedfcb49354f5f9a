"""Time and chance in a test's hands."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from random import Random
from typing import Any, Final

from spork_core.clock import Chance, Clock
from spork_core.testing.patience import settle

NEW_YEAR: Final = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
"""Where a test's clock stands at first: a Tuesday, midnight."""


class _LoopTime:
    """The ``time`` of a loop that can be moved forwards. It goes on by itself, too, so that nothing waits for ever."""

    def __init__(self, real: Callable[[], float]) -> None:
        self._real = real
        self.ahead = 0.0

    def __call__(self) -> float:
        return self._real() + self.ahead


class StillClock:
    """A clock that stands still until a test moves it.

    ``gateway.clock`` reads it. The timers of the running loop (``asyncio.sleep``, ``asyncio.timeout``, the kernel's
    own time limits) go on with real time, and are moved by the same leaps. ``now``: seconds since the epoch at which it
    begins.
    """

    def __init__(self, now: float = NEW_YEAR) -> None:
        self._began = now
        self._passed_ns = 0
        self.clock: Final = Clock(time=lambda: self.now, monotonic_ns=lambda: self._passed_ns)
        """What a Gateway takes."""

    def __repr__(self) -> str:
        return f"<StillClock {datetime.fromtimestamp(self.now, UTC).isoformat(' ')}>"

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        return self._began + self._passed_ns / 1e9

    def advance(self, seconds: float) -> None:
        """Moves on by ``seconds`` in one leap: every timer that falls due in them fires once, at the next ``await``.

        Raises RuntimeError on a loop whose timers cannot be moved, which is uvloop's.
        """
        loop_time(asyncio.get_running_loop()).ahead += seconds
        self._passed_ns += round(seconds * 1e9)

    async def elapse(self, seconds: float) -> None:
        """Lets ``seconds`` pass from one timer to the next, and all that can be done in between be done: what runs
        every ten seconds runs six times in a minute. Raises as ``advance``."""
        loop = asyncio.get_running_loop()
        left = seconds
        await settle()
        while (due := _next_timer(loop)) is not None and due <= left:
            step = max(0.0, due)
            left -= step
            self.advance(step)
            await settle()
        self.advance(left)
        await settle()


def loop_time(loop: asyncio.AbstractEventLoop) -> _LoopTime:
    """The movable time of ``loop``, put in on first use; it stays, because a loop's time never goes back."""
    time: Any = loop.time
    if isinstance(time, _LoopTime):
        return time
    if not isinstance(loop, asyncio.BaseEventLoop):  # only that one asks its own ``time`` when a timer is due
        kind = type(loop)
        raise RuntimeError(
            f"the timers of {kind.__module__}.{kind.__qualname__} cannot be moved; run this test on asyncio's loop"
        )
    made = _LoopTime(time)
    loop.time = made  # type: ignore[method-assign]
    return made


def _next_timer(loop: asyncio.AbstractEventLoop) -> float | None:
    """Seconds until the loop's next timer; None when it has none."""
    scheduled: list[asyncio.TimerHandle] = getattr(loop, "_scheduled", [])
    pending = [handle.when() for handle in scheduled if not handle.cancelled()]
    return min(pending) - loop.time() if pending else None


def seeded(seed: int) -> Chance:
    """A source of chance that is the same in every run."""
    return Chance(Random(seed).randbytes)  # noqa: S311  a test's
