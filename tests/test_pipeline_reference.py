"""The compiled pipeline does what pluggy's own calls would do, for any set of plugins."""

import asyncio
import logging
import sys
from collections.abc import Callable, Iterator
from inspect import isawaitable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.errors import Forbidden, NotFound, Problem
from spork_core.exchange import Attempt, Endpoint, Exchange, Identity, Request, Response
from spork_core.hookspecs import KINDS, Kind
from spork_core.isolation import Effect
from spork_core.pipeline import Pipeline
from spork_core.registry import Instance
from tests.reference import ARGUMENTS, Reference, instance_of, plugin_of


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


ACTS = ["none", "answer", "wrong", "bool", "problem", "raise", "exit", "interrupt", "cancelled", "coroutine"]
WAYS = ["def", "async", "defers"]
acting = st.tuples(st.sampled_from(ACTS), st.sampled_from(WAYS))
links = st.tuples(
    st.dictionaries(st.sampled_from(list(KINDS)), acting, max_size=6),
    st.sampled_from(["open", "closed"]),
    st.sampled_from([None, None, "skip", "deny"]),
)
DEFERRABLE = [hook for hook, kind in KINDS.items() if kind.kind in (Kind.GATE, Kind.FIRST)]
Scripts = list[tuple[dict[str, tuple[str, str]], str, Effect | None]]


def act(hook: str, what: str, name: str) -> Any:
    if what == "problem":
        raise Forbidden(name)
    if what == "raise":
        raise ValueError(name)
    if what == "exit":
        sys.exit(name)
    if what == "interrupt":
        raise KeyboardInterrupt(name)
    if what == "cancelled":
        raise asyncio.CancelledError(name)
    if what == "answer" and KINDS[hook].answer:
        answer = answer_of(hook)
        return Response(reason=name) if isinstance(answer, Response) else answer
    return {"wrong": object(), "bool": False}.get(what)


async def never() -> None:
    await asyncio.get_running_loop().create_future()


def built(
    number: int, hooks: dict[str, tuple[str, str]], policy: str, isolated: Effect | None, log: list[Any]
) -> Instance:
    def make(hook: str, what: str, way: str) -> Callable[..., Any]:
        def plain(self: Any, exchange: Exchange) -> Any:
            log.append((hook, number, exchange.response.reason if exchange.response else None))
            return never() if what == "coroutine" else act(hook, what, f"{number}")

        async def coroutine(self: Any, exchange: Exchange) -> Any:
            await asyncio.sleep(0)
            answer = plain(self, exchange)
            return await asyncio.sleep(0, answer)

        def deferring(self: Any, exchange: Exchange) -> Any:
            return coroutine(self, exchange)

        if way == "def" or what == "coroutine":
            return plain
        return deferring if way == "defers" and hook in DEFERRABLE else coroutine

    made = {hook: make(hook, what, way) for hook, (what, way) in hooks.items()}
    defers = tuple(hook for hook, made_hook in made.items() if made_hook.__name__ == "deferring")
    instance = instance_of(plugin_of({"defers": defers}, **made), f"p{number}", on_failure=policy)
    instance.isolation.effect, instance.isolation._until = isolated, 1e12
    return instance


async def transcript(scripts: Scripts, compiled: bool) -> list[Any]:
    """All hooks fired once, in the order of an exchange's life: who was asked and saw what, and what came of it."""
    log: list[Any] = []
    chain = [built(number, *script, log) for number, script in enumerate(scripts)]
    exchange, pipeline, reference = Exchange(Request()), Pipeline(chain), Reference(chain)
    for hook in KINDS:
        given, phase = given_to(hook, exchange), getattr(pipeline, hook)
        try:
            if compiled:
                answer = phase(*given) if phase is not None else None
                answer = await answer if isawaitable(answer) else answer
            else:
                answer = await reference.run(hook, *given)
            log.append((hook, repr(answer), getattr(answer, "reason", None)))
        except Problem as problem:
            log.append((hook, type(problem), problem.detail, getattr(problem, "instance", None)))
        log.append(exchange.response.reason if exchange.response else None)
    return [*log, [instance.failures for instance in chain]]


@given(st.lists(links, max_size=4))
def test_the_compiled_pipeline_does_what_the_reference_does(scripts: Any) -> None:
    logging.disable(logging.CRITICAL)
    try:
        assert asyncio.run(transcript(scripts, True)) == asyncio.run(transcript(scripts, False))
    finally:
        logging.disable(logging.NOTSET)
