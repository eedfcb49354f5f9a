"""The law about time: it comes from the gateway's clock, so that a test can stop it."""

import asyncio
import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from spork_core.clock import Clock
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place
from spork_core.testing.requests import ugly
from spork_core.testing.rig import Rig, alone, prepared, started
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_CLOCKS: Final = frozenset(
    ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "localtime")
)
_DATES: Final = frozenset(("now", "utcnow", "today"))
_SLEEP: Final = asyncio.sleep.__code__
_EACH: Final = 8
"""Every so many-th of the ugly requests is sent, too."""
_CLOCK: Final = Clock(time=lambda: 1.8e9, monotonic_ns=lambda: 10**15)
"""One that stands still."""


@law()
def takes_time_from_the_clock(subject: Subject) -> None:
    """Its hooks take the time from `gateway.clock`, and none of them sleeps.

    A limit per minute that reads `time.time` can be tested only by waiting for a minute, and jumps when somebody sets
    the machine's clock. With the gateway's clock a test moves an hour in no time. A hook that sleeps holds a client's
    exchange, its connection and its place in every limit; what must wait belongs in a task of its own.
    """
    watch = _Begun()
    rig = Rig(subject, watch)

    async def main() -> None:
        async with started(rig, *prepared(rig), _CLOCK):
            await _traffic(rig)

    with _looking(subject, watch) as found:
        alone(main, rig.wires)
    if found:
        where, what, remedy = found[0]
        raise Broken(f"{where}: it {what}", remedy)


class _Begun(Watch):
    """Knows whether a hook was called: before the first there is no clock to ask."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = False

    def before(self, call: Call) -> None:
        self.begun = True


async def _traffic(rig: Rig) -> None:
    async for _ in rig.drive(ugly()[::_EACH]):
        pass
    for hook in ("describe", "health"):
        impl = rig.instance.impls.get(hook)
        if impl is None:
            continue
        with suppress(Exception):  # what it answers is another law's
            answer = impl.function(*(rig.gateway.view() for _ in impl.argnames))
            if asyncio.iscoroutine(answer):
                await answer


@contextmanager
def _looking(subject: Subject, watch: _Begun) -> Iterator[list[tuple[str, str, str]]]:
    """Notes calls of the plugin's own code that ask for the time of the machine."""
    found: list[tuple[str, str, str]] = []
    owned: dict[str, bool] = {}

    def owns(frame: FrameType | None) -> bool:
        if frame is None:
            return False
        file = frame.f_code.co_filename
        known = owned.get(file)
        if known is None:
            known = owned[file] = subject.owns(file)
        return known

    def look(frame: FrameType, event: str, called: Any) -> None:
        if not watch.begun:
            return
        if event == "c_call":
            name = _clock_called(called)
            if name and owns(frame):
                where = place(frame.f_code.co_filename, frame.f_lineno)
                found.append((where, f"asks {name} for the time", _INSTEAD))
        elif event == "call" and frame.f_code is _SLEEP and owns(frame.f_back) and frame.f_locals["delay"] > 0:
            back = frame.f_back
            if back is not None and not found and _in_exchange():
                where = place(back.f_code.co_filename, back.f_lineno)
                found.append((where, f"sleeps for {frame.f_locals['delay']:g} s", _NO_SLEEP))

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield found
    finally:
        sys.setprofile(before)


_INSTEAD: Final = (
    "keep gateway.clock in startup and ask that: clock.time() is seconds since the epoch, clock.monotonic_ns() is for "
    "durations; exchange.elapsed_ns says how long an exchange has taken"
)
_NO_SLEEP: Final = (
    "refuse with Retry-After instead, give the delay in should_retry, or wait in a task that startup begins"
)


def _clock_called(called: Any) -> str:
    name = getattr(called, "__name__", "")
    if name in _CLOCKS and getattr(called, "__module__", None) == "time":
        return f"time.{name}"
    owner = getattr(called, "__self__", None)
    if name in _DATES and isinstance(owner, type) and issubclass(owner, dt.date):
        return f"{owner.__name__}.{name}"
    return ""


def _in_exchange() -> bool:
    """False in a task of the plugin's own: what that waits for is its own business."""
    task = asyncio.current_task()
    code = None if task is None else getattr(task.get_coro(), "cr_code", None)
    return code is None or "spork_core" in code.co_filename


LAWS: Final[tuple[Law, ...]] = (takes_time_from_the_clock,)
