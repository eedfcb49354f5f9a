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

from collections.abc import Callable, Collection, Sequence
from inspect import iscoroutinefunction
from typing import Any, Final

from attrs import evolve

from spork_core import flat
from spork_core.attribution import UNMETERED, Called, Calling, Metering, Observer
from spork_core.calling import Call
from spork_core.exchange import Exchange
from spork_core.hookspecs import KINDS, HookKind
from spork_core.registry import Instance

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

SAMPLED: Final = 8
"""While there is much to do, one exchange of so many is measured, and stands for all of them."""


class Pipeline:
    """The compiled chain of one route. Each hook's attribute is its Phase, or None when nobody implements it."""

    __slots__ = (
        *KINDS,
        "__weakref__",
        "_hooks",
        "_light",
        "_marks",
        "_metering",
        "chain",
        "challenges",
        "exchanges",
        "tasked",
    )

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
        self._light: tuple[Pipeline, Pipeline] | None = None
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
        calls = [Call(one, hook, kind, metering, self._marks) for one in chain]
        shape = flat.PhaseShape(
            kind.kind,
            ", ".join(_ARGUMENTS.get(hook, ("exchange",))),
            tuple(call.shape for call in calls),
            self._marks,
            metering.blocking if metering.blocked is not None else None,
            len(after),
            float in kind.answer,
            metering.weight,
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

    def light(self) -> "tuple[Pipeline, Pipeline] | None":
        """Two that do the same for less: measured for ``SAMPLED`` exchanges at once, and not measured. None where every
        call must be, or none is."""
        metering = self._metering
        if not self.chain or not metering.hooks or self._marks:
            return None
        if self._light is None:
            weighty, unmeasured = evolve(metering, weight=SAMPLED), evolve(metering, hooks=False)
            self._light = (Pipeline(self.chain, self._hooks, weighty), Pipeline(self.chain, self._hooks, unmeasured))
        return self._light

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


EMPTY_PIPELINE: Final = Pipeline(())
