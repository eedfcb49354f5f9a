"""What leaves a pipeline: cancellations whole, failures by name, and nothing that only the garbage collector frees."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import Callable, Iterator
from typing import Any
from weakref import ref

import pytest

from spork_core.errors import Forbidden, PluginFailed
from spork_core.exchange import Exchange, Request
from spork_core.hookspecs import KINDS, Kind
from spork_core.pipeline import Pipeline
from tests.reference import instance_of, plugin_of

WATCHES = [hook for hook, kind in KINDS.items() if kind.kind is Kind.WATCH]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.ERROR, "spork_core.pipeline"):
        yield


async def never(*_: Any) -> None:
    await asyncio.get_running_loop().create_future()


async def helped(*_: Any) -> None:
    helper = asyncio.create_task(asyncio.sleep(60))
    asyncio.get_running_loop().call_soon(helper.cancel)
    await helper


async def goes_on(*_: Any) -> None:
    try:
        await never()
    except asyncio.CancelledError:
        await asyncio.sleep(0)


async def breaks(*_: Any) -> None:
    try:
        await never()
    finally:
        raise ValueError("while it cleaned up")


async def refuses(*_: Any) -> None:
    try:
        await never()
    except asyncio.CancelledError:
        raise Forbidden("too late") from None


async def begun(phase: Callable[..., Any]) -> "asyncio.Task[Any]":
    """A phase that waits."""
    task = asyncio.ensure_future(phase(Exchange(Request())))
    await asyncio.sleep(0.001)
    return task


@pytest.mark.parametrize("act", [goes_on, breaks, refuses], ids=lambda act: act.__name__)
async def test_a_client_that_left_has_left_whatever_a_hook_makes_of_it(act: Any) -> None:
    instance = instance_of(plugin_of(pre_auth=act), on_failure="open")
    phase = Pipeline([instance]).pre_auth
    assert phase is not None
    task = await begun(phase)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("hook", WATCHES)
async def test_a_client_that_leaves_does_not_skip_those_who_must_be_told(hook: str) -> None:
    told = []

    async def plain(self: Any) -> None:
        told.append(True)
        await asyncio.sleep(0)
        told.append(True)

    chain = [instance_of(plugin_of(**{hook: plain}), "frees"), instance_of(plugin_of(**{hook: never}), "slow")]
    pipeline = Pipeline(chain)
    phase = pipeline.on_complete or (lambda exchange: pipeline.after_attempt(exchange, None))  # type: ignore[misc]
    task = await begun(phase)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert told == [True, True]


async def test_after_a_client_has_left_a_cancelled_helper_is_a_failure_as_ever() -> None:
    instance = instance_of(plugin_of(on_complete=helped))
    phase = Pipeline([instance]).on_complete
    assert phase is not None

    async def left() -> None:
        try:
            await never()
        finally:
            await phase(Exchange(Request()))

    task = asyncio.create_task(left())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert instance.failures == 1
    assert "something it awaited was cancelled" in str(instance.last_failure)


async def test_a_generator_exit_that_an_async_def_raises_is_a_failure() -> None:
    async def exits(self: Any) -> None:
        raise GeneratorExit

    phase = Pipeline([instance_of(plugin_of(pre_auth=exits))]).pre_auth
    assert phase is not None

    with pytest.raises(PluginFailed) as refused:
        await phase(Exchange(Request()))
    assert "it raised GeneratorExit" in str(refused.value.reason)


async def test_a_time_limit_names_the_line_that_waits() -> None:
    instance = instance_of(plugin_of(pre_auth=never), on_failure="open", timeout=0.001)
    phase = Pipeline([instance]).pre_auth
    assert phase is not None

    await phase(Exchange(Request()))

    line = never.__code__.co_firstlineno + 1
    assert instance.last_failure == f"pre_auth at {__file__}:{line}: TimeoutError"


async def test_an_error_whose_words_cannot_be_had_is_a_failure_like_any_other() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    def fails(self: Any) -> None:
        raise Mute

    instance = instance_of(plugin_of(pre_auth=fails), on_failure="open")
    phase = Pipeline([instance]).pre_auth
    assert phase is not None

    assert phase(Exchange(Request())) is None
    assert "Mute: its text cannot be had (ValueError)" in str(instance.last_failure)


class Kept(Exchange):
    """An exchange of which can be told when it is gone."""

    __slots__ = ("__weakref__",)


def forbids(self: Any) -> None:
    raise Forbidden("no")


@pytest.mark.parametrize(
    ("hook", "act"), [("pre_auth", never), ("on_complete", never), ("on_response", forbids)], ids=str
)
async def test_what_a_phase_raises_keeps_no_exchange_alive(hook: str, act: Any) -> None:
    phase = getattr(Pipeline([instance_of(plugin_of(**{hook: act}))]), hook)

    async def run(exchange: Exchange) -> None:
        answer = phase(exchange)
        if answer is not None:
            await answer

    exchange = Kept(Request())
    gone = ref(exchange)
    gc.disable()
    try:
        task = asyncio.create_task(run(exchange))
        del exchange
        await asyncio.sleep(0.001)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, Forbidden):
            await task
        del task
        await asyncio.sleep(0)  # the loop lets go of its last call
        assert gone() is None
    finally:
        gc.enable()
