"""A driven coroutine is, to itself and to the loop, as if nobody drove it; and its times are kept."""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import pytest

from spork_core.attribution import HookStats, Metering
from spork_core.driving import driven
from spork_core.exchange import Exchange, Request

VARIABLE: ContextVar[str] = ContextVar("variable")


async def driving(function: Callable[[], Awaitable[Any]]) -> tuple[Any, Exchange, HookStats]:
    exchange, stats = Exchange(Request()), HookStats("a", "pre_auth")
    drive = driven(function, stats, Metering(), marks=True)  # type: ignore[arg-type]  # an async def
    return await drive(exchange), exchange, stats


async def waits() -> str:
    await asyncio.sleep(0.005)
    return "waited"


async def needs_its_task() -> str:
    async with asyncio.timeout(1), asyncio.TaskGroup() as group:
        task = group.create_task(waits())
    return task.result()


async def handles() -> str:
    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_exception, ValueError("handled"))
    try:
        await future
    except ValueError as error:
        await asyncio.sleep(0)
        return str(error)
    return "nothing came"


async def sets() -> str:
    VARIABLE.set("set")
    await asyncio.sleep(0)
    return VARIABLE.get()


async def overdue() -> str:
    try:
        async with asyncio.timeout(0):
            await asyncio.get_running_loop().create_future()
    except TimeoutError:
        return "in its own time"
    return "never"


@pytest.mark.parametrize(
    ("function", "answer"),
    [
        (waits, "waited"),
        (needs_its_task, "waited"),
        (handles, "handled"),
        (sets, "set"),
        (overdue, "in its own time"),
    ],
)
async def test_it_does_what_it_would_do_alone(function: Callable[[], Awaitable[str]], answer: str) -> None:
    assert (await driving(function))[0] == answer


async def test_its_times_are_kept_also_when_it_raises() -> None:
    async def fails() -> None:
        await asyncio.sleep(0.005)
        raise ValueError("broken")

    exchange, stats = Exchange(Request()), HookStats("a", "pre_auth")
    with pytest.raises(ValueError, match="broken"):
        await driven(fails, stats, Metering(), marks=True)(exchange)

    (timing,) = exchange.timings
    assert (timing.instance, timing.hook, stats.calls) == ("a", "pre_auth", 1)
    assert 0 < timing.own < timing.waiting
    assert (stats.own, stats.waiting) == (timing.own, timing.waiting)


async def test_a_coroutine_that_is_closed_cleans_up() -> None:
    cleaned = []

    async def waits_for_ever() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.append(True)

    stats = HookStats("a", "pre_auth")
    steps = driven(waits_for_ever, stats, Metering(), marks=False)(Exchange(Request()))
    steps.send(None)
    steps.close()

    assert (cleaned, stats.calls) == ([True], 1)


async def test_a_cancelled_helper_is_a_failure_and_a_cancelled_task_is_not() -> None:
    async def helped() -> None:
        helper = asyncio.create_task(asyncio.sleep(60))
        asyncio.get_running_loop().call_soon(helper.cancel)
        await helper

    with pytest.raises(RuntimeError, match="something it awaited was cancelled"):
        await driving(helped)

    task = asyncio.create_task(driving(waits))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_without_attribution_no_times_are_kept() -> None:
    exchange, stats = Exchange(Request()), HookStats("a", "pre_auth")

    await driven(waits, stats, Metering(hooks=False), marks=False)(exchange)

    assert (stats.calls, stats.own, exchange.timings) == (0, 0.0, ())
