"""A route's chain compiled into flat loops: decided at load, nothing to decide in an exchange.

Rules of this file
1. pluggy has checked and found the implementations; nothing here is called through pluggy. One exchange of 10 plugins
   with 16 implementations costs 12 µs through ``pm.hook`` calls (CPython 3.11) and 1.3 µs so.
2. A phase is None when nobody implements its hook: the exchange does not even look. A phase of ``def`` hooks is a plain
   function; one that has an ``async def`` is a coroutine function, and then the exchange runs under a Task.
3. A Problem raised by a plugin is its answer. Anything else it raises is its failure, and the instance's policy
   decides. ``asyncio.CancelledError`` is neither and goes through.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final

from spork_core.errors import PluginFailed, Problem
from spork_core.exchange import Exchange, Response, StateKey
from spork_core.hookspecs import KINDS, HookKind, Kind
from spork_core.registry import Instance

log = logging.getLogger("spork_core.pipeline")

Phase = Callable[..., Any]
"""Called with the hook's arguments in the hookspec's order; its answer may be a coroutine (see ``Pipeline.tasked``)."""

_ARGUMENTS: Final = {
    "select_upstream": ("exchange", "attempt"),
    "before_attempt": ("exchange", "attempt"),
    "after_attempt": ("exchange", "attempt"),
    "should_retry": ("exchange", "attempt"),
    "on_error": ("exchange", "error"),
}
_FAILURES: Final = (Exception, SystemExit)
"""What counts as a failure: ``sys.exit`` in a hook must not end the process."""


class Pipeline:
    """The compiled chain of one route. Each hook's attribute is its Phase, or None when nobody implements it."""

    __slots__ = (*KINDS, "chain", "challenges", "tasked")

    pre_auth: Phase | None
    authenticate: Phase | None
    authorize: Phase | None
    on_request: Phase | None
    serve: Phase | None
    select_upstream: Phase | None
    before_attempt: Phase | None
    after_attempt: Phase | None
    should_retry: Phase | None
    on_upstream_response: Phase | None
    on_response: Phase | None
    on_error: Phase | None
    on_complete: Phase | None

    def __init__(self, chain: Sequence[Instance], hooks: Collection[str] = tuple(KINDS)) -> None:
        """``hooks``: the hooks to compile in, the others stay silent."""
        self.chain: tuple[Instance, ...] = tuple(chain)
        self.tasked = False
        """True when a hook is ``async def``: the exchange then runs under an asyncio Task."""
        for hook, kind in KINDS.items():
            calls = [_call(instance, hook, kind) for instance in self.chain if hook in hooks and hook in instance.impls]
            if kind.reverse:
                calls.reverse()
            setattr(self, hook, _PHASES[kind.kind](hook, calls) if calls else None)
            self.tasked |= any(call.is_async for call in calls)
        self.challenges: tuple[str, ...] = tuple(
            instance.challenge
            for instance in self.chain
            if "authenticate" in instance.impls and instance.challenge is not None
        )
        """The ``WWW-Authenticate`` challenges of the chain, in order."""

    def only(self, hooks: Collection[str]) -> "Pipeline":
        """The same chain with no other hooks than ``hooks``."""
        return Pipeline(self.chain, hooks)

    def __repr__(self) -> str:
        return f"<Pipeline {' → '.join(instance.name for instance in self.chain) or 'empty'}>"


EMPTY_PIPELINE: Final = Pipeline(())


class _Call:
    """One implementation, with its arguments adapted and its policy wrapped around it."""

    __slots__ = ("function", "instance", "is_async", "on_failed")

    def __init__(
        self,
        function: Callable[..., Any],
        is_async: bool,
        instance: Instance,
        on_failed: Callable[[BaseException | object], PluginFailed],
    ) -> None:
        self.function = function
        self.is_async = is_async
        self.instance = instance
        self.on_failed = on_failed


def _call(instance: Instance, hook: str, kind: HookKind) -> _Call:
    impl = instance.impls[hook]
    function: Callable[..., Any] = impl.function
    is_async = iscoroutinefunction(function)
    arguments = _ARGUMENTS.get(hook, ("exchange",))
    if tuple(impl.argnames) != arguments:
        function = _adapt(function, [arguments.index(name) for name in impl.argnames])

    def on_failed(what: BaseException | object) -> PluginFailed:
        """Counts, logs and names the failure. ``what``: the exception, or the answer of a wrong type."""
        instance.failures += 1
        if isinstance(what, BaseException):
            reason = f"{type(what).__name__}: {what}" if str(what) else type(what).__name__
        else:
            wanted = " or ".join(t.__name__ for t in (*kind.answer, type(None)))
            reason = f"answered with {type(what).__name__}, not {wanted}"
            if asyncio.iscoroutine(what):
                what.close()
        trace = what if isinstance(what, BaseException) else None
        log.error(
            "instance %s failed in %s (on_failure: %s): %s",
            instance.name,
            hook,
            instance.on_failure,
            reason,
            exc_info=trace,
        )
        failed = PluginFailed(instance.name, hook, reason)
        failed.__cause__ = trace
        return failed

    if is_async:
        function = _not_left(function)
    if is_async and instance.config.budget is not None:
        function = _budgeted(function, instance.config.budget, instance.spent)
    if is_async and instance.config.timeout is not None:
        function = _timed(function, instance.config.timeout)
    if instance.on_failure == "open" and kind.kind is not Kind.WATCH:
        function = (_open_async if is_async else _open)(function, kind.answer, on_failed)
    return _Call(function, is_async, instance, on_failed)


def _adapt(function: Callable[..., Any], positions: list[int]) -> Callable[..., Any]:
    """A hook may take any subset of its arguments, in any order."""
    if not positions:
        return lambda *_: function()
    if positions == [0]:
        return lambda first, *_: function(first)
    return lambda *given: function(*[given[at] for at in positions])


def _not_left(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A hook that awaits something of its own that was cancelled has failed; that is not a client that left."""

    async def guarded(*given: Any) -> Any:
        try:
            return await function(*given)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise RuntimeError("something it awaited was cancelled") from error

    return guarded


def _timed(function: Callable[..., Awaitable[Any]], seconds: float) -> Callable[..., Awaitable[Any]]:
    async def timed(*given: Any) -> Any:
        async with asyncio.timeout(seconds):
            return await function(*given)

    return timed


def _budgeted(
    function: Callable[..., Awaitable[Any]], seconds: float, key: StateKey[float]
) -> Callable[..., Awaitable[Any]]:
    """``seconds`` for all hooks of one instance in one exchange; ``key``: what they have used up."""

    async def budgeted(exchange: Exchange, *more: Any) -> Any:
        loop = asyncio.get_running_loop()
        spent, begun = exchange.get(key, 0.0), loop.time()
        try:
            async with asyncio.timeout(seconds - spent):
                return await function(exchange, *more)
        finally:
            exchange[key] = spent + loop.time() - begun

    return budgeted


def _open(
    function: Callable[..., Any], answers: tuple[type, ...], on_failed: Callable[[object], object]
) -> Callable[..., Any]:
    def guarded(*given: Any) -> Any:
        try:
            answer = function(*given)
        except Problem:
            raise
        except _FAILURES as error:
            on_failed(error)
            return None
        if answer is not None and not (isinstance(answer, answers) and type(answer) is not bool):
            on_failed(answer)
            return None
        return answer

    return guarded


def _open_async(
    function: Callable[..., Awaitable[Any]], answers: tuple[type, ...], on_failed: Callable[[object], object]
) -> Callable[..., Awaitable[Any]]:
    async def guarded(*given: Any) -> Any:
        try:
            answer = await function(*given)
        except Problem:
            raise
        except _FAILURES as error:
            on_failed(error)
            return None
        if answer is not None and not (isinstance(answer, answers) and type(answer) is not bool):
            on_failed(answer)
            return None
        return answer

    return guarded


# -- the three loops, each as a function and as a coroutine function ------------------------------------


def _until(hook: str, calls: list[_Call]) -> Phase:
    """Gate and first: stop at the first answer."""
    answers = KINDS[hook].answer
    if not any(call.is_async for call in calls):
        functions = tuple((call.function, call) for call in calls)
        if hook not in _ARGUMENTS:

            def until_one(exchange: Exchange) -> Any:  # the same without packing arguments
                for function, call in functions:
                    try:
                        answer = function(exchange)
                    except Problem:
                        raise
                    except _FAILURES as error:
                        raise call.on_failed(error) from error
                    if answer is not None:
                        if isinstance(answer, answers):
                            return answer
                        raise call.on_failed(answer)
                return None

            return until_one

        def until(*given: Any) -> Any:
            for function, call in functions:
                try:
                    answer = function(*given)
                except Problem:
                    raise
                except _FAILURES as error:
                    raise call.on_failed(error) from error
                if answer is not None:
                    if isinstance(answer, answers) and type(answer) is not bool:  # no number of seconds to wait
                        return answer
                    raise call.on_failed(answer)
            return None

        return until

    async def until_async(*given: Any) -> Any:
        for call in calls:
            try:
                answer = call.function(*given)
                if call.is_async:
                    answer = await answer
            except Problem:
                raise
            except _FAILURES as error:
                raise call.on_failed(error) from error
            if answer is not None:
                if isinstance(answer, answers) and type(answer) is not bool:
                    return answer
                raise call.on_failed(answer)
        return None

    return until_async


def _replace(_: str, calls: list[_Call]) -> Phase:
    """Map: each may replace ``exchange.response``; the next sees the replaced one.

    A failure does not skip the ones behind it: with ``on_response`` those add what every answer must carry. The last
    failure is raised at the end.
    """
    if not any(call.is_async for call in calls):
        functions = tuple((call.function, call) for call in calls)

        def replace(exchange: Exchange) -> None:
            failed: Problem | None = None
            for function, call in functions:
                try:
                    answer = function(exchange)
                except Problem as problem:
                    failed = problem
                except _FAILURES as error:
                    failed = call.on_failed(error)
                else:
                    if answer is not None:
                        if isinstance(answer, Response):
                            exchange.response = answer
                        else:
                            failed = call.on_failed(answer)
            if failed is not None:
                raise failed

        return replace

    async def replace_async(exchange: Exchange) -> None:
        failed: Problem | None = None
        for call in calls:
            try:
                answer = call.function(exchange)
                if call.is_async:
                    answer = await answer
            except Problem as problem:
                failed = problem
            except _FAILURES as error:
                failed = call.on_failed(error)
            else:
                if answer is not None:
                    if isinstance(answer, Response):
                        exchange.response = answer
                    else:
                        failed = call.on_failed(answer)
        if failed is not None:
            raise failed

    return replace_async


def _watch(_: str, calls: list[_Call]) -> Phase:
    """Watch: failures are logged and counted, and change nothing. Answers are ignored, but a coroutine from a ``def``
    is work that would not be done."""
    if not any(call.is_async for call in calls):
        functions = tuple((call.function, call) for call in calls)

        def watch(*given: Any) -> None:
            for function, call in functions:
                try:
                    answer = function(*given)
                except _FAILURES as error:
                    call.on_failed(error)
                else:
                    if answer is not None and asyncio.iscoroutine(answer):
                        call.on_failed(answer)

        return watch

    async def watch_async(*given: Any) -> None:
        for call in calls:
            try:
                answer = call.function(*given)
                if call.is_async:
                    answer = await answer
            except _FAILURES as error:
                call.on_failed(error)
            else:
                if answer is not None and asyncio.iscoroutine(answer):
                    call.on_failed(answer)

    return watch_async


_PHASES: Final = {Kind.GATE: _until, Kind.FIRST: _until, Kind.MAP: _replace, Kind.WATCH: _watch}
