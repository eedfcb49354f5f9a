"""Drives the coroutine of an ``async def`` hook step by step, so that its own time and its waiting are told apart.

Rules of this file
1. Whatever the coroutine yields goes to the event loop as it is, and whatever the loop throws goes in: to both sides
   there is nothing in between.
2. A cancellation that comes from outside leaves here as one, even when the hook swallows it. A CancelledError that
   comes from inside, because something the hook awaited was cancelled, is the hook's failure: nobody has left.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from time import perf_counter
from types import coroutine
from typing import Any

from spork_core.attribution import HookStats, Metering, place_of
from spork_core.exchange import Exchange

log = logging.getLogger("spork_core.pipeline")


def driven(
    function: Callable[..., Coroutine[Any, Any, Any]], stats: HookStats, metering: Metering, *, marks: bool
) -> Callable[..., Any]:
    """``function`` with its times kept, called with the exchange before its own arguments.

    ``marks``: keep them in the exchange, too.
    """
    blocking = metering.blocking if metering.blocked is not None else None

    @coroutine
    def drive(exchange: Exchange, *given: Any) -> Generator[Any, None, Any]:
        steps = function(*given)
        own = waiting = 0.0
        thrown: BaseException | None = None
        since = perf_counter()
        try:
            while True:
                try:
                    waited_for = steps.send(None) if thrown is None else steps.throw(thrown)
                except StopIteration as done:
                    if isinstance(thrown, asyncio.CancelledError) and _cancelled():
                        log.error(
                            "instance %s swallowed a cancellation in %s (%s): let CancelledError through",
                            stats.instance,
                            stats.hook,
                            place_of(function),
                        )
                        raise thrown from None
                    return done.value
                except asyncio.CancelledError as error:
                    if _cancelled():
                        raise
                    raise RuntimeError("something it awaited was cancelled") from error
                finally:
                    took = perf_counter() - since
                    own += took
                    if blocking is not None and took > blocking and metering.blocked is not None:
                        metering.blocked(stats, took, place_of(function))
                since = perf_counter()
                try:
                    yield waited_for
                    thrown = None
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # a cancellation, mostly: the hook's to handle
                    thrown = error
                now = perf_counter()
                waiting += now - since
                since = now
        finally:
            stats.calls += 1
            stats.own += own
            stats.waiting += waiting
            if marks:
                if exchange.marks is None:
                    exchange.marks = []
                exchange.marks += (stats, own, waiting)

    return drive


def _cancelled() -> bool:
    """True when the running task is asked to end: by a client that left, or by a time limit around it."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0
