"""A route's chain compiled into flat phases: decided at load, nothing to decide in an exchange.

Rules of this file
1. pluggy has checked and found the implementations; nothing here is called through pluggy. One exchange of 10 plugins
   with 16 implementations costs 13 µs through ``pm.hook`` calls (CPython 3.11), 2.8 µs so, and 1.0 µs when the time
   of each call is not taken.
2. A phase is None when nobody implements its hook: the exchange does not even look. A phase of ``def`` hooks is a plain
   function; one that has an ``async def`` is a coroutine function, and then the exchange runs under a Task.
3. A Problem raised by a plugin is its answer. Anything else it raises is its failure, and the instance's policy
   decides: an Exception, ``sys.exit``, KeyboardInterrupt, any BaseException. Only the cancellation of an ``async def``
   hook is neither, and goes through.
4. While an instance is isolated its hooks are compiled in as a door that is shut; when it is well there is no door.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any, Final

from attrs import evolve

from spork_core import flat
from spork_core.attribution import UNMETERED, Called, Calling, Metering, Observer, place_in, place_of, words_of
from spork_core.driving import driven, under_task
from spork_core.errors import PluginFailed, PluginIsolated, Problem
from spork_core.exchange import Exchange
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
_ALL: Final = tuple(KINDS)


class Pipeline:
    """The compiled chain of one route. Each hook's attribute is its Phase, or None when nobody implements it."""

    __slots__ = (*KINDS, "__weakref__", "_hooks", "_marks", "_metering", "chain", "challenges", "exchanges", "tasked")

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

    def __init__(
        self,
        chain: Sequence[Instance],
        hooks: Collection[str] = _ALL,
        metering: Metering = UNMETERED,
        *,
        marks: bool = False,
    ) -> None:
        """``hooks``: the hooks to compile in, the others stay silent. ``metering``: how they are measured. ``marks``:
        keep times in the exchange also when no plugin of the chain says that it reads them."""
        self.chain: tuple[Instance, ...] = tuple(chain)
        self.exchanges = 0
        """How many exchanges have begun on it."""
        self._hooks = tuple(hook for hook in KINDS if hook in hooks)
        self._metering = metering
        self._marks = metering.hooks and (
            marks
            or metering.observer is not None
            or any(one.plugin.reads_timings or one.config.budget is not None for one in self.chain)
        )
        self.tasked = any(
            iscoroutinefunction(one.impls[hook].function)
            for one in self.chain
            for hook in self._hooks
            if hook in one.impls
        )
        """True when a hook is ``async def``: the exchange then runs under an asyncio Task."""
        self.challenges: tuple[str, ...] = tuple(
            one.challenge for one in self.chain if "authenticate" in one.impls and one.challenge is not None
        )
        """The ``WWW-Authenticate`` challenges of the chain, in order."""
        for one in self.chain:  # first: an instance that is isolated meanwhile, on another thread, finds it
            one.joined(self)
        self.compile()

    def compile(self, hooks: Collection[str] = _ALL) -> None:
        """Writes the phases of ``hooks`` for the state that the instances are in now."""
        for hook in hooks:
            chain = self.chain if hook in self._hooks else ()
            setattr(self, hook, self._phase(hook, KINDS[hook], [one for one in chain if hook in one.impls]))

    def _phase(self, hook: str, kind: HookKind, chain: list[Instance]) -> Phase | None:
        after = self._after() if hook == "on_complete" else []
        if not chain and not after:
            return None
        if kind.reverse:
            chain.reverse()
        metering = self._metering
        calls = [_Call(one, hook, kind, metering, self._marks) for one in chain]
        shape = flat.PhaseShape(
            kind.kind,
            ", ".join(_ARGUMENTS.get(hook, ("exchange",))),
            tuple(call.shape for call in calls),
            self._marks,
            metering.blocking if metering.blocked is not None else None,
            len(after),
            float in kind.answer,
        )
        parts: list[tuple[Any, ...]] = [call.parts for call in calls]
        for at, call in reversed(tuple(enumerate(calls))):  # what stands behind is part of the rest
            if call.shape.defers:
                parts[at] = (*call.parts, call.deferred, _rest(shape, kind, parts, at, call.deferred))
        return _written(shape, kind, parts, after)

    def _after(self) -> list[Callable[[Exchange], object]]:
        """What the kernel itself does when an exchange is over: looks at budgets, and at what became of probes."""
        after: list[Callable[[Exchange], object]] = []
        if "on_complete" in self._hooks:
            budgets = {one.name: one for one in self.chain if one.config.budget is not None}
            if budgets and self._marks:
                after.append(_budgets(budgets))
            after += [one.isolation.ended for one in self.chain if one.isolation.effect is not None]
        return after

    def only(self, hooks: Collection[str]) -> "Pipeline":
        """The same chain with no other hooks than ``hooks``."""
        return Pipeline(self.chain, hooks, self._metering, marks=self._marks)

    def observed(self, observer: Observer, calling: Calling | None = None) -> "Pipeline":
        """The same chain with times kept in the exchange, ``observer`` told of every call and ``calling`` before it.
        Who was told before still is."""
        mine = self._metering
        told = mine.observer

        def both(called: Called) -> None:
            assert told is not None
            told(called)
            observer(called)

        metering = evolve(mine, hooks=True, observer=observer if told is None else both, calling=calling)
        return Pipeline(self.chain, self._hooks, metering, marks=True)

    def __repr__(self) -> str:
        return f"<Pipeline {' → '.join(instance.name for instance in self.chain) or 'empty'}>"


def _written(
    shape: flat.PhaseShape, kind: HookKind, parts: Sequence[tuple[Any, ...]], after: Sequence[Any] = ()
) -> Phase:
    filled = [part for each in parts for part in (*each, None, None)[: len(flat.PARTS)]]
    phase: Phase = flat.phase(shape, kind.answer, filled, after)
    return phase


def _rest(
    shape: flat.PhaseShape, kind: HookKind, parts: Sequence[tuple[Any, ...]], at: int, deferred: Callable[..., Any]
) -> Phase:
    """The phase from call ``at`` on, whose answer is the coroutine that it is given."""
    first = evolve(shape.calls[at], arguments="exchange, coroutine", awaited=True, measured=False, defers=False)
    rest = evolve(shape, takes=f"{shape.takes}, coroutine", calls=(first, *shape.calls[at + 1 :]))
    later = parts[at + 1 :]
    return _written(rest, kind, [(deferred, *parts[at][1:]), *later])


def _budgets(instances: dict[str, Instance]) -> Callable[[Exchange], object]:
    """Looks at what each of ``instances`` has taken in an exchange."""

    def look(exchange: Exchange) -> None:
        marks = exchange.marks or ()
        spent = dict.fromkeys(instances, 0.0)
        for stats, own, waiting in zip(marks[::3], marks[1::3], marks[2::3], strict=True):
            if stats.instance in spent:
                spent[stats.instance] += own + waiting
        for name, seconds in spent.items():
            budget = instances[name].config.budget
            if budget is not None and seconds > budget.time:
                instances[name].isolation.overrun(exchange, seconds)

    return look


class _Call:
    """One implementation as a phase calls it: with its arguments, its policy, and who measures it."""

    def __init__(self, instance: Instance, hook: str, kind: HookKind, metering: Metering, marks: bool) -> None:
        impl = instance.impls[hook]
        self._instance, self._hook, self._kind = instance, hook, kind
        self._plain: Callable[..., Any] = impl.function
        self._stats = instance.stats[hook]
        self._marks = marks
        self._metering = metering
        function: Callable[..., Any] = impl.function
        given = ", ".join(impl.argnames)
        is_async = iscoroutinefunction(function)
        wrapped = False
        self._defers = hook in instance.plugin.defers and not is_async
        if is_async:  # what wraps a hook gets the exchange before the hook's own arguments
            function, wrapped = driven(function, self._stats, metering, marks=marks), True
            if instance.config.timeout is not None:
                function = _timed(function, instance.config.timeout)
        if metering.observer is not None:
            function, wrapped = self._observed(function, wrapped, is_async, metering.observer, metering.calling), True
        isolated = instance.isolation.effect is not None
        if isolated:
            function, wrapped = self._held(function, wrapped, is_async), True
        self.shape = flat.Shape(
            arguments=f"exchange, {given}" if wrapped and given else "exchange" if wrapped else given,
            awaited=is_async,
            forgiven=instance.on_failure == "open" and kind.kind is not Kind.WATCH,
            measured=metering.hooks and not is_async and not isolated,
            defers=self._defers,
        )
        self.parts = (function, self.failed, self._stats, self._measured, self._blocked)

    @property
    def deferred(self) -> Callable[..., Any]:
        """What awaits the coroutine that the call has answered with."""
        function: Callable[..., Any] = driven(
            _itself, self._stats, self._metering, marks=self._marks, origin=self._plain
        )
        if self._instance.config.timeout is not None:
            function = _timed(function, self._instance.config.timeout)
        if self._metering.observer is not None:
            function = self._observed(function, True, True, self._metering.observer, None)
        return under_task(function)

    def failed(self, exchange: Exchange, what: BaseException | object) -> PluginFailed:
        """Counts, logs and names a failure. ``what``: the exception, or the answer of a wrong type."""
        instance, hook = self._instance, self._hook
        if isinstance(what, BaseException):
            reason = words_of(what)
            place = place_in(what, self._plain)
        else:
            wanted = " or ".join(t.__name__ for t in (*self._kind.answer, type(None)))
            reason = f"answered with {type(what).__name__}, not {wanted}"
            place = place_of(self._plain)
            if asyncio.iscoroutine(what):
                reason += "; write async def, or await it"
                what.close()
        trace = what if isinstance(what, BaseException) else None
        log.error(
            "instance %s (plugin %s) failed in %s at %s (on_failure: %s): %s",
            instance.name,
            instance.config.use,
            hook,
            place,
            instance.on_failure,
            reason,
            exc_info=trace,
        )
        instance.failures += 1
        instance.last_failure = f"{hook} at {place}: {reason}"
        instance.isolation.failed(exchange, hook)
        failed = PluginFailed(instance.name, hook, reason)
        failed.__cause__ = trace
        return failed

    def _measured(self, exchange: Exchange, took: float) -> None:
        """A call took so long that raised, or that was let through a door."""
        stats = self._stats
        stats.calls += 1
        stats.own += took
        if self._marks:
            if exchange.marks is None:
                exchange.marks = []
            exchange.marks += (stats, took, 0.0)
        blocking = self._metering.blocking
        if blocking is not None and took > blocking:
            self._blocked(took)

    def _blocked(self, took: float) -> None:
        if self._metering.blocked is not None:
            self._metering.blocked(self._stats, took, place_of(self._plain))

    def _observed(
        self,
        function: Callable[..., Any],
        wrapped: bool,
        is_async: bool,
        observer: Callable[[Called], object],
        calling: Calling | None,
    ) -> Callable[..., Any]:
        stats, defers = self._stats, self._defers

        def tell(exchange: Exchange, since: float, answer: object, error: BaseException | None) -> None:
            own, waiting = perf_counter() - since, 0.0
            if is_async and exchange.marks:
                own, waiting = exchange.marks[-2:]
            observer(Called(stats.instance, stats.hook, exchange, answer, error, own, waiting))

        def observed(exchange: Exchange, *given: Any) -> Any:
            if calling is not None:
                calling(stats.instance, stats.hook, exchange)
            since = perf_counter()
            try:
                answer = function(exchange, *given) if wrapped else function(*given)
            except BaseException as error:
                tell(exchange, since, None, error)
                raise
            if not (defers and asyncio.iscoroutine(answer)):  # that is told when it has ended
                tell(exchange, since, answer, None)
            return answer

        async def observed_async(exchange: Exchange, *given: Any) -> Any:
            if calling is not None:
                calling(stats.instance, stats.hook, exchange)
            since = perf_counter()
            try:
                answer = await function(exchange, *given)
            except BaseException as error:
                tell(exchange, since, None, error)
                raise
            tell(exchange, since, answer, None)
            return answer

        return observed_async if is_async else observed

    def _held(self, function: Callable[..., Any], wrapped: bool, is_async: bool) -> Callable[..., Any]:
        """The door of an isolated instance: one exchange tries it, the others pass by or are refused."""
        isolation, instance, hook = self._instance.isolation, self._instance, self._hook
        watches = self._kind.kind is Kind.WATCH
        denies = isolation.effect == "deny" and not watches
        observer, measured, defers = self._metering.observer, self._metering.hooks, self._defers

        def hold(exchange: Exchange) -> None:
            if observer is not None:
                observer(Called(instance.name, hook, exchange, held=True))
            if denies and not isinstance(exchange.error, PluginIsolated):
                raise PluginIsolated(instance.name, hook, isolation.why, isolation.retry_after)

        def held(exchange: Exchange, *given: Any) -> Any:
            if not isolation.admits(exchange) and not (watches and isolation.owes(exchange)):
                return hold(exchange)
            since = perf_counter()
            try:
                answer = function(exchange, *given) if wrapped else function(*given)
            except Problem:
                isolation.went_well(exchange, hook)
                raise
            finally:
                if measured:  # here, for a call that is held is none
                    self._measured(exchange, perf_counter() - since)
            if defers and asyncio.iscoroutine(answer):
                return settled(exchange, answer)
            isolation.went_well(exchange, hook)
            return answer

        async def settled(exchange: Exchange, awaitable: Any) -> Any:
            try:
                answer = await awaitable
            except Problem:
                isolation.went_well(exchange, hook)
                raise
            except (asyncio.CancelledError, GeneratorExit):
                isolation.broke_off(exchange)
                raise
            isolation.went_well(exchange, hook)
            return answer

        async def held_async(exchange: Exchange, *given: Any) -> Any:
            if not isolation.admits(exchange) and not (watches and isolation.owes(exchange)):
                return hold(exchange)
            return await settled(exchange, function(exchange, *given))

        return held_async if is_async else held


def _timed(function: Callable[..., Any], seconds: float) -> Callable[..., Any]:
    async def timed(*given: Any) -> Any:
        async with asyncio.timeout(seconds):
            return await function(*given)

    return timed


EMPTY_PIPELINE: Final = Pipeline(())


def _itself(coroutine: Any) -> Any:
    return coroutine
