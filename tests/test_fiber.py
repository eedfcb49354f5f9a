"""A fiber drives a coroutine as a Task would, only sooner."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import ContextVar, copy_context
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.fiber import Fiber, Wait

Log = list[Any]
VAR: ContextVar[str] = ContextVar("VAR", default="outside")


def run(coro: Coroutine[Any, None, object], log: Log | None = None) -> Fiber:
    """A fiber that writes how it ended to ``log``."""
    return Fiber(coro, (lambda error: None) if log is None else log.append, copy_context())


@pytest.fixture(params=["fiber", "task"])
def start(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, None, object]], Any]:
    """Starts a coroutine either way; what it gives can be cancelled."""
    return run if request.param == "fiber" else lambda coro: asyncio.get_running_loop().create_task(coro)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def test_a_wake_resumes_on_the_spot() -> None:
    wait, log = Wait(), Log()

    async def wakes() -> None:
        await wait
        log.append("awake")

    fiber = run(wakes(), log)
    assert (log, fiber.done) == ([], False)
    wait.wake()

    assert (log, fiber.done) == (["awake", None], True)


async def test_a_wait_that_is_over_is_not_waited_for() -> None:
    wait, log = Wait(), Log()
    wait.wake()
    wait.wake(ValueError("late"))

    async def passes() -> None:
        await wait

    run(passes(), log)
    assert log == [None]


async def test_an_error_is_raised_where_it_waits(start: Any) -> None:
    wait, log = Wait(), Log()

    async def fails() -> None:
        try:
            await wait
        except ValueError as error:
            log.append(str(error))

    start(fails())
    await turns()
    wait.wake(ValueError("broken"))
    await turns()

    assert (log, wait.done(), wait.cancelled()) == (["broken"], True, False)


async def test_what_leaves_the_coroutine_is_told() -> None:
    log = Log()

    async def fails() -> None:
        raise SystemExit(3)

    run(fails(), log)
    assert isinstance(log[0], SystemExit)


@pytest.mark.parametrize("make", [asyncio.Future, Wait], ids=["future", "wait"])
async def test_a_cancel_arrives_at_each_await(start: Any, make: Callable[[], Any]) -> None:
    waits, log = [make(), make(), make()], Log()

    async def stubborn() -> None:
        for number, wait in enumerate(waits):
            try:
                await wait
            except asyncio.CancelledError:
                log.append(number)

    fiber = start(stubborn())
    for _ in waits:
        await turns()
        fiber.cancel()
    await turns()
    assert log == [0, 1, 2]


async def test_a_cancelled_fiber_ends_with_cancelled_error() -> None:
    log = Log()
    fiber = run(asyncio.sleep(3600), log)

    assert (fiber.cancel(), fiber.cancel(), fiber.done) == (True, False, True)
    assert isinstance(log[0], asyncio.CancelledError)


async def test_a_cancel_of_the_one_that_runs_does_nothing() -> None:
    log, wait = Log(), Wait()

    async def cancels_itself() -> None:
        await wait
        log.append(fiber.cancel())

    fiber = run(cancels_itself(), log)
    wait.wake()
    assert log == [False, None]


async def test_a_cancel_at_a_bare_yield_leaves_nothing_scheduled() -> None:
    log = Log()

    async def yields() -> None:
        try:
            await asyncio.sleep(0)
        finally:
            log.append("cleaned")

    run(yields(), log).cancel()
    await turns()
    assert [log[0], type(log[1]), len(log)] == ["cleaned", asyncio.CancelledError, 2]


async def cleans_up(first: Awaitable[object], second: Wait, log: Log) -> None:
    try:
        await first
    finally:
        log.append("cleaning")
        await second
        log.append("cleaned")


async def test_a_wake_behind_a_cancel_does_not_resume_the_next_wait(start: Any) -> None:
    first, second, log = asyncio.get_running_loop().create_future(), Wait(), Log()
    fiber = start(cleans_up(first, second, log))
    await turns()
    first.set_result(None)  # its callback is on the loop already …
    fiber.cancel()  # … when the cancel comes
    await turns()
    assert log == ["cleaning"]
    second.wake()
    await turns()
    assert log == ["cleaning", "cleaned"]


async def test_a_cancel_reaches_what_is_awaited(start: Any) -> None:
    log = Log()

    async def child(number: int) -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            log.append(number)

    async def parent() -> None:
        await asyncio.gather(child(1), child(2))

    fiber = start(parent())
    await turns()
    fiber.cancel()
    await turns()
    assert log == [1, 2]


async def fails() -> None:
    await asyncio.sleep(0)
    raise ValueError("child")


async def test_futures_tasks_and_their_errors_are_awaited(start: Any) -> None:
    log, future = Log(), asyncio.get_running_loop().create_future()

    async def awaits() -> None:
        log.append(await future)
        try:
            await asyncio.get_running_loop().create_task(fails())
        except ValueError as error:
            log.append(str(error))

    start(awaits())
    future.set_result("result")
    await turns(10)
    assert log == ["result", "child"]


async def test_context_variables_stay_in_their_fiber() -> None:
    log, waits = Log(), {"a": Wait(), "b": Wait()}

    async def sets(name: str) -> None:
        VAR.set(name)
        await waits[name]
        await asyncio.sleep(0)
        log.append(VAR.get())

    for name in waits:
        run(sets(name))
    waits["b"].wake()
    waits["a"].wake()
    await turns()
    assert (log, VAR.get()) == (["b", "a"], "outside")


async def test_one_fiber_may_wake_another() -> None:
    one, other, log = Wait(), Wait(), Log()

    async def waits(name: str, wait: Wait, wakes: Wait) -> None:
        VAR.set(name)
        await wait
        wakes.wake()
        log.append(VAR.get())

    run(waits("second", other, Wait()))
    run(waits("first", one, other))
    one.wake()
    assert log == ["second", "first"]


# -- one coroutine, two drivers -------------------------------------------------------------------------

STEPS = ["wait", "future", "task", "yield", "fails", "gather", "shielded", "raise"]
scripts = st.lists(st.sampled_from(STEPS), max_size=6)


def step(name: str) -> Awaitable[object]:
    loop = asyncio.get_running_loop()
    error = ValueError(name)
    if name == "wait":
        wait = Wait()
        loop.call_soon(wait.wake)
        return wait
    future = loop.create_future()
    loop.call_soon(
        lambda: future.done() or (future.set_exception(error) if name == "fails" else future.set_result(name))
    )
    if name == "task":
        return loop.create_task(asyncio.wait_for(future, None))
    if name == "gather":
        return asyncio.gather(future, asyncio.sleep(0))
    return asyncio.shield(future) if name == "shielded" else future


async def acts(script: list[str], log: Log) -> None:
    for name in script:
        try:
            if name == "raise":
                raise KeyError(name)
            log.append(await (asyncio.sleep(0) if name == "yield" else step(name)))
        except (ValueError, asyncio.CancelledError) as error:
            log.append(repr(error))
        finally:
            log.append(f"{name} over")


async def transcript(script: list[str], cancels: set[int], fiber: bool) -> Log:
    log, ends = Log(), Log()
    if fiber:
        driven: Any = Fiber(acts(script, log), lambda error: ends.append(repr(error)), copy_context())
    else:
        driven = asyncio.get_running_loop().create_task(acts(script, log))
        driven.add_done_callback(lambda task: ends.append(repr(task.exception())))
    while not ends:
        while driven is not None and len(log) // 2 in cancels and not ends:
            cancels = cancels - {len(log) // 2}
            await asyncio.sleep(0) if not fiber and not log else None
            driven.cancel()
        await asyncio.sleep(0)
    return log + ends


@given(scripts)
def test_a_fiber_does_what_a_task_does(script: list[str]) -> None:
    assert asyncio.run(transcript(script, set(), True)) == asyncio.run(transcript(script, set(), False))


@pytest.mark.parametrize("name", [name for name in STEPS if name not in ("raise", "task", "gather")])
def test_a_cancelled_fiber_does_what_a_task_does(name: str) -> None:
    assert asyncio.run(transcript([name, "wait"], {0}, True)) == asyncio.run(transcript([name, "wait"], {0}, False))
