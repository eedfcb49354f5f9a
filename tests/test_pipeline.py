"""A chain compiled: kinds, order, policies."""

import asyncio
import contextlib
import logging
import re
import sys
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import Any

import pytest

from spork_core.errors import Forbidden, NotFound, PluginFailed
from spork_core.exchange import Attempt, Endpoint, Exchange, Identity, Request, Response
from spork_core.hookspecs import KINDS, Kind
from spork_core.pipeline import EMPTY_PIPELINE, Pipeline
from spork_core.registry import Instance
from tests.reference import ARGUMENTS, instance_of, plugin_of

GATES = [hook for hook, kind in KINDS.items() if kind.kind is Kind.GATE]
FIRSTS = [hook for hook, kind in KINDS.items() if kind.kind is Kind.FIRST]
MAPS = [hook for hook, kind in KINDS.items() if kind.kind is Kind.MAP]
WATCHES = [hook for hook, kind in KINDS.items() if kind.kind is Kind.WATCH]
STOPPING = [*GATES, *FIRSTS]


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The failures of hooks are logged with their traces; the handlers of pytest keep the records."""
    with caplog.at_level(logging.ERROR, "spork_core.pipeline"):
        yield


def answer_of(hook: str) -> Any:
    answers: dict[type, Any] = {Response: Response(), Identity: Identity("ann"), Endpoint: Endpoint("s", "http://e")}
    return answers.get(KINDS[hook].answer[0], 1.5)


def given_to(hook: str, exchange: Exchange) -> tuple[Any, ...]:
    second = {"attempt": Attempt(1, 0), "error": NotFound()}.get(ARGUMENTS.get(hook, ""))
    return (exchange,) if second is None else (exchange, second)


def link(
    name: str, log: list[str], hook: str, act: Callable[[], Any], is_async: bool = False, **envelope: Any
) -> Instance:
    """An instance whose hook writes its name down and then acts."""

    def plain(self: Any, exchange: Exchange) -> Any:
        log.append(name)
        return act()

    async def coroutine(self: Any, exchange: Exchange) -> Any:
        log.append(name)
        answer = act()
        return await answer if isawaitable(answer) else answer

    return instance_of(plugin_of(**{hook: coroutine if is_async else plain}), name, **envelope)


async def fire(hook: str, *chain: Instance, exchange: Exchange | None = None) -> Any:
    phase = getattr(Pipeline(chain), hook)
    answer = phase(*given_to(hook, exchange or Exchange(Request())))
    return await answer if isawaitable(answer) else answer


def nothing() -> None:
    return None


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


async def never() -> None:
    await asyncio.get_running_loop().create_future()


# -- kinds and order ------------------------------------------------------------------------------------


def test_a_hook_that_nobody_has_is_none() -> None:
    assert [getattr(EMPTY_PIPELINE, hook) for hook in KINDS] == [None] * 13
    assert (EMPTY_PIPELINE.tasked, EMPTY_PIPELINE.challenges, repr(EMPTY_PIPELINE)) == (False, (), "<Pipeline empty>")


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("hook", KINDS)
async def test_the_chain_is_asked_in_order_and_back_on_the_way_out(hook: str, is_async: bool) -> None:
    log: list[str] = []
    chain = [link(name, log, hook, nothing, is_async) for name in "abc"]

    assert await fire(hook, *chain) is None
    assert log == (["c", "b", "a"] if KINDS[hook].reverse else ["a", "b", "c"])
    assert Pipeline(chain).tasked is is_async


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("hook", STOPPING)
async def test_the_first_answer_ends_it(hook: str, is_async: bool) -> None:
    log: list[str] = []
    answer = answer_of(hook)
    chain = [
        link("a", log, hook, nothing),
        link("b", log, hook, lambda: answer, is_async),
        link("c", log, hook, nothing),
    ]

    assert await fire(hook, *chain) is answer
    assert log == ["a", "b"]


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("hook", MAPS)
async def test_each_may_replace_the_response_and_the_next_sees_it(hook: str, is_async: bool) -> None:
    exchange, seen = Exchange(Request()), []
    exchange.response = Response(200)

    def replace() -> Response:
        seen.append(exchange.response.status if exchange.response else None)
        return Response(200 + len(seen))

    chain = [link(name, [], hook, replace, is_async) for name in "ab"]
    await fire(hook, *chain, exchange=exchange)

    assert (seen, exchange.response.status) == ([200, 201], 202)


async def test_first_takes_the_first_answer_not_the_first_coroutine() -> None:
    ann, log = Identity("ann"), []
    chain = [link("a", log, "authenticate", nothing, True), link("b", log, "authenticate", lambda: ann, True)]

    assert await fire("authenticate", *chain) is ann


async def test_def_and_async_def_stand_in_one_chain() -> None:
    log: list[str] = []
    chain = [link(name, log, "pre_auth", nothing, name in "bd") for name in "abcd"]

    await fire("pre_auth", *chain)

    assert log == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda self: "none", []),
        (lambda self, exchange: None, ["exchange"]),
        (lambda self, attempt: None, ["attempt"]),
        (lambda self, attempt, exchange: None, ["attempt", "exchange"]),
        (lambda self, exchange, attempt: None, ["exchange", "attempt"]),
    ],
)
def test_a_hook_takes_any_of_its_arguments_in_any_order(function: Any, got: list[str]) -> None:
    seen: list[Any] = []
    source = f"def after_attempt(self{''.join(f', {name}' for name in got)}): seen.extend([{', '.join(got)}])"
    exec(source, scope := {"seen": seen})  # as an author writes it: pluggy reads the names
    exchange, attempt = Exchange(Request()), Attempt(1, 0)

    Pipeline([instance_of(plugin_of(after_attempt=scope["after_attempt"]))]).after_attempt(exchange, attempt)  # type: ignore[misc]

    assert seen == [{"exchange": exchange, "attempt": attempt}[name] for name in got]


def test_only_keeps_the_chain_and_drops_hooks() -> None:
    log: list[str] = []
    chain = [link("a", log, "pre_auth", nothing, True), link("b", log, "on_error", nothing)]

    less = Pipeline(chain).only(["on_error"])

    assert (less.pre_auth, less.on_error is None, less.tasked, repr(less)) == (None, False, False, "<Pipeline a → b>")


def test_challenges_are_those_of_authenticating_instances_in_order() -> None:
    def challenging(name: str, challenge: str | None, hook: str) -> Instance:
        made = {"challenge": lambda self: challenge}
        return instance_of(plugin_of(made, **{hook: lambda self: None}), name)

    chain = [
        challenging(*it) for it in [("a", "Bearer", "authenticate"), ("b", None, "authenticate"), ("c", "No", "serve")]
    ]

    assert Pipeline([*chain, challenging("d", "Basic", "authenticate")]).challenges == ("Bearer", "Basic")


# -- failures -------------------------------------------------------------------------------------------

FAILURES = {
    "raise": raising(ValueError("s3cret")),
    "wrong type": lambda: object(),
    "bool": lambda: True,
    "coroutine": never,
    "exit": lambda: sys.exit(3),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("what", [name for name in FAILURES if name != "coroutine"])
@pytest.mark.parametrize("hook", STOPPING)
async def test_a_failure_of_a_closed_instance_refuses(hook: str, what: str, is_async: bool) -> None:
    log: list[str] = []
    failing = link("a", log, hook, FAILURES[what], is_async)

    with pytest.raises(PluginFailed) as refused:
        await fire(hook, failing, link("b", log, hook, nothing))

    assert (refused.value.instance, refused.value.hook, failing.failures, log) == ("a", hook, 1, ["a"])
    assert "s3cret" not in refused.value.detail


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("what", [name for name in FAILURES if name != "coroutine"])
@pytest.mark.parametrize("hook", [*STOPPING, *MAPS])
async def test_a_failure_of_an_open_instance_is_skipped_and_counted(hook: str, what: str, is_async: bool) -> None:
    log: list[str] = []
    failing = link("a", log, hook, FAILURES[what], is_async, on_failure="open")
    answer = answer_of(hook)

    found = await fire(hook, failing, link("b", log, hook, lambda: answer))

    assert (sorted(log), failing.failures) == (["a", "b"], 1)
    assert found is (None if hook in MAPS else answer)


@pytest.mark.parametrize("policy", ["open", "closed"])
@pytest.mark.parametrize("hook", KINDS)
async def test_a_coroutine_from_a_def_is_a_failure_and_never_runs(
    hook: str, policy: str, caplog: pytest.LogCaptureFixture
) -> None:
    failing = link("a", [], hook, never, on_failure=policy)

    with contextlib.suppress(PluginFailed):
        await fire(hook, failing)

    assert failing.failures == 1
    assert "answered with coroutine" in caplog.text


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("policy", ["open", "closed"])
@pytest.mark.parametrize("hook", [*STOPPING, *MAPS])
async def test_a_problem_is_an_answer_not_a_failure(hook: str, policy: str, is_async: bool) -> None:
    problem = Forbidden("No.")
    refusing = link("a", [], hook, raising(problem), is_async, on_failure=policy)

    with pytest.raises(Forbidden) as refused:
        await fire(hook, refusing)

    assert (refused.value is problem, refusing.failures) == (True, 0)


@pytest.mark.parametrize("policy", ["open", "closed"])
@pytest.mark.parametrize("hook", KINDS)
async def test_a_client_that_leaves_goes_through(hook: str, policy: str) -> None:
    def leave(*_: Any) -> None:
        task.cancel()
        raise asyncio.CancelledError

    cancelled = link("a", [], hook, leave, True, on_failure=policy)
    task = asyncio.create_task(fire(hook, cancelled))

    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled.failures == 0


class Odd(BaseException):
    """Neither an Exception nor anything that Python knows."""


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), Odd("odd")], ids=lambda error: type(error).__name__
)
@pytest.mark.parametrize("hook", KINDS)
async def test_a_base_exception_is_a_failure_like_any_other(hook: str, error: BaseException, is_async: bool) -> None:
    failing = link("a", [], hook, raising(error), is_async, on_failure="open")

    assert await fire(hook, failing) is None
    assert failing.failures == 1


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit()], ids=lambda error: type(error).__name__)
async def test_a_def_cannot_be_cancelled_so_what_it_raises_is_a_failure(error: BaseException) -> None:
    failing = link("a", [], "pre_auth", raising(error), on_failure="open")

    assert await fire("pre_auth", failing) is None
    assert failing.failures == 1


async def test_a_swallowed_cancellation_is_told_of_and_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    started = asyncio.Event()

    async def swallow(*_: Any) -> None:
        started.set()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.get_running_loop().create_future()

    deaf = link("a", [], "pre_auth", swallow, True)
    task = asyncio.create_task(fire("pre_auth", deaf))
    await started.wait()
    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert "instance a swallowed a cancellation in pre_auth (" in caplog.text
    assert "test_pipeline.py:" in caplog.text


@pytest.mark.parametrize("hook", KINDS)
async def test_a_cancelled_helper_of_a_hook_is_a_failure(hook: str) -> None:
    failing = link("a", [], hook, raising(asyncio.CancelledError()), True, on_failure="open")

    assert await fire(hook, failing) is None
    assert failing.failures == 1


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("act", [raising(ValueError()), raising(Forbidden()), FAILURES["exit"], Response], ids=str)
@pytest.mark.parametrize("hook", WATCHES)
async def test_a_watch_changes_nothing(hook: str, act: Any, is_async: bool) -> None:
    log: list[str] = []
    exchange = Exchange(Request())
    chain = [link("a", log, hook, nothing), link("b", log, hook, act, is_async)]

    assert await fire(hook, *chain, exchange=exchange) is None
    assert (log, exchange.response, chain[1].failures) == (["b", "a"], None, int(act is not Response))


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("hook", MAPS)
async def test_a_failure_does_not_skip_those_behind_it(hook: str, is_async: bool) -> None:
    log: list[str] = []
    acts = {"a": nothing, "b": raising(Forbidden()), "c": object, "d": nothing}
    chain = [link(name, log, hook, act, is_async) for name, act in acts.items()]

    with pytest.raises(Forbidden):
        await fire(hook, *chain)

    assert log == ["d", "c", "b", "a"]


async def test_a_timeout_of_a_closed_instance_refuses() -> None:
    slow = link("a", [], "on_request", never, True, timeout=0.001)

    with pytest.raises(PluginFailed) as refused:
        await fire("on_request", slow)

    assert (refused.value.reason, slow.failures) == ("a.on_request: TimeoutError", 1)


async def test_a_timeout_of_an_open_instance_is_skipped() -> None:
    slow = link("a", [], "on_request", never, True, on_failure="open", timeout=0.001)

    assert (await fire("on_request", slow), slow.failures) == (None, 1)


async def test_a_failure_is_logged_with_instance_hook_and_policy(caplog: pytest.LogCaptureFixture) -> None:
    await fire("on_request", link("limit-60", [], "on_request", raising(ValueError("broken")), on_failure="open"))

    said = caplog.messages[0].replace(__file__, "FILE")
    assert re.sub(r":\d+ ", ":N ", said) == (
        "instance limit-60 (plugin limit-60) failed in on_request at FILE:N (on_failure: open): ValueError: broken"
    )
    assert caplog.records[0].exc_info is not None
