"""Drives the coroutine of an ``async def`` hook step by step, so that its own time and its waiting are told apart.

Rules of this file
1. Whatever the coroutine yields goes to the event loop as it is, and whatever the loop throws goes in: to both sides
   there is nothing in between.
2. A cancellation that comes from outside leaves here as one, even when the hook swallows it, goes on, or raises
   something else in its place. A CancelledError that comes from inside, because something the hook awaited was
   cancelled, is the hook's failure: nobody has left. So is a GeneratorExit that it raises.
3. From outside is what the running task was asked for since the hook first waited: one that runs after its client left,
   as ``on_complete`` does, is under a task that has been cancelled all along.
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
    function: Callable[..., Coroutine[Any, Any, Any]],
    stats: HookStats,
    metering: Metering,
    *,
    marks: bool,
    origin: Callable[..., Any] | None = None,
) -> Callable[..., Any]:
    """``function`` with its times kept, called with the exchange before its own arguments.

    ``marks``: keep them in the exchange, too. ``origin``: whose coroutine it is, where it only hands one on.
    """
    origin = origin or function
    blocking = metering.blocking if metering.blocked is not None else None
    kept, weight = metering.hooks, metering.weight

    @coroutine
    def drive(exchange: Exchange, *given: Any) -> Generator[Any, None, Any]:
        steps = function(*given)
        own = waiting = 0.0
        thrown: BaseException | None = None
        left: asyncio.CancelledError | None = None
        """The last cancellation that was thrown in, from wherever it came."""
        task: asyncio.Task[Any] | None = None
        before = -1  # until it waits: most never do, and asking costs 0.25 µs
        since = perf_counter()
        try:
            while True:
                try:
                    waited_for = steps.send(None) if thrown is None else steps.throw(thrown)
                except StopIteration as done:
                    if left is not None and _asked(task, before):
                        _swallowed(stats, origin)
                        raise left from None
                    return done.value
                except asyncio.CancelledError as error:
                    if before < 0:
                        task = asyncio.current_task()
                    if left is not None if task is None else task.cancelling() > max(before, 0):
                        raise
                    raise RuntimeError("something it awaited was cancelled") from error
                except BaseException as error:
                    if left is not None and _asked(task, before):
                        _swallowed(stats, origin, error)
                        raise left from error
                    if isinstance(error, GeneratorExit):
                        raise RuntimeError("it raised GeneratorExit") from error
                    raise
                finally:
                    took = perf_counter() - since
                    own += took
                    if blocking is not None and took > blocking and metering.blocked is not None:
                        metering.blocked(stats, took, place_of(origin))
                if before < 0:
                    task = asyncio.current_task()
                    before = 0 if task is None else task.cancelling()
                since = perf_counter()
                try:
                    yield waited_for
                    thrown = None
                except GeneratorExit:
                    steps.close()
                    raise
                except BaseException as error:  # a cancellation, mostly: the hook's to handle
                    thrown = error
                    if isinstance(error, asyncio.CancelledError):
                        left = error
                now = perf_counter()
                waiting += now - since
                since = now
        finally:
            thrown = left = None  # the trace of what leaves here holds this frame: no ring of the two
            if kept:
                stats.calls += weight
                stats.own += own * weight
                stats.waiting += waiting * weight
            if marks:
                if exchange.marks is None:
                    exchange.marks = []
                exchange.marks += (stats, own, waiting)

    return drive


def under_task(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, called with the exchange and a coroutine, awaited ``in_task``."""

    async def awaited(exchange: Exchange, coroutine: Any) -> Any:
        return await in_task(function(exchange, coroutine))

    return awaited


def handled(handler: Callable[[Exchange], Any]) -> Callable[[Exchange], Any]:
    """``handler`` of a local path; what it has to wait for is awaited ``in_task``."""

    def run(exchange: Exchange) -> Any:
        answer = handler(exchange)
        return in_task(answer) if asyncio.iscoroutine(answer) else answer

    return run


async def in_task(coroutine: Any) -> Any:
    """Awaits under the running task, or under one of its own where there is none: what a plugin awaits may need
    ``asyncio.current_task()``, as ``asyncio.timeout`` does."""
    if asyncio.current_task() is not None:
        return await coroutine
    task = asyncio.get_running_loop().create_task(_caught(coroutine))
    try:
        answer, error = await task
    except asyncio.CancelledError:
        if not task.done():  # what it cleans up belongs to the exchange
            await asyncio.wait((task,))
        raise
    if error is not None:
        raise error
    return answer


async def _caught(awaitable: Any) -> tuple[Any, BaseException | None]:
    """What it gives, and what it raises but would end the loop's run, in place of its task's."""
    try:
        return await awaitable, None
    except (SystemExit, KeyboardInterrupt) as error:
        return None, error


def _asked(task: "asyncio.Task[Any] | None", before: int) -> bool:
    """True when ``task`` is asked to end, by a client that left or a time limit around it, more often than ``before``.
    Without a task it was a Fiber's cancellation, which nothing else throws in."""
    return task is None or task.cancelling() > before


def _swallowed(stats: HookStats, function: Callable[..., Any], error: BaseException | None = None) -> None:
    log.error(
        "instance %s swallowed a cancellation in %s (%s): let CancelledError through",
        stats.instance,
        stats.hook,
        place_of(function),
        exc_info=error,
    )
