"""A loop for real sockets on which nobody waits for time to pass: what would take an hour takes a moment.

The loop looks for a moment whether a socket or a thread has something to say. When none has, and a timer is next, its
time jumps there. Everything that reads time from the loop, or from ``clock``, sees the same jump.
"""

import asyncio
import selectors
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from spork_core.clock import Clock
from spork_core.testing.fakeloop import SkippingLoop

T = TypeVar("T")

MOMENT: Final = 0.002
"""Real seconds that sockets of this process get. What was written to a loopback socket can be read at once."""

_FAREWELL: Final = 10.0
"""Seconds that cancelled tasks get to end."""


class ImpatientLoop(SkippingLoop):
    """A selector loop whose time jumps to the next timer when nothing comes in for ``moment`` real seconds.

    ``moment`` may be changed: others' sockets need as long as they take to answer. ``expects``: gives the real seconds
    for which something from outside is expected, besides. Work in the loop's executor is waited for.
    """

    def __init__(self, moment: float = MOMENT) -> None:
        self.moment = moment
        self.expects: Callable[[], float] = float
        super().__init__()

    def patience(self, selector: selectors.BaseSelector, seconds: float) -> float:
        return seconds if self._jobs else min(seconds, max(self.moment, self.expects()))

    def clock(self) -> Clock:
        """A clock for a gateway, which jumps with the loop."""
        return Clock(
            time=lambda: time.time() + self.skipped,
            monotonic_ns=lambda: time.monotonic_ns() + round(self.skipped * 1e9),
        )


def run(main: Coroutine[Any, Any, T]) -> T:
    """As ``asyncio.run``, on an ImpatientLoop. A task that does not end when it is cancelled is left behind."""
    loop = ImpatientLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        left = asyncio.all_tasks(loop)
        for task in left:
            task.cancel()
        if left:
            loop.run_until_complete(asyncio.wait(left, timeout=_FAREWELL))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


def running_loop() -> ImpatientLoop:
    """The running loop, which must be an ImpatientLoop."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, ImpatientLoop), f"{loop} is not impatient"
    return loop


__all__ = ["MOMENT", "ImpatientLoop", "run", "running_loop"]
