"""A hook of one instance as a phase calls it: with its arguments, its instance's policy, and who measures it."""

import asyncio
import logging
from collections.abc import Callable
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any

from spork_core import flat
from spork_core.attribution import Called, Calling, Metering, place_in, place_of, words_of
from spork_core.driving import driven, under_task
from spork_core.errors import PluginFailed, PluginIsolated, Problem
from spork_core.exchange import Exchange
from spork_core.hookspecs import HookKind, Kind
from spork_core.registry import Instance

log = logging.getLogger("spork_core.pipeline")


class Call:
    """One implementation as a phase calls it. ``shape`` and ``parts``: as ``flat`` wants them."""

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
        weight = self._metering.weight
        stats.calls += weight
        stats.own += took * weight
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


def _itself(coroutine: Any) -> Any:
    return coroutine
