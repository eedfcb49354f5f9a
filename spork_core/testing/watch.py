"""Around the hooks of a plugin: a subclass that tells a law of each call, and does in a hook what the law wants.

The plugin's own code runs as it is, in the real pipeline; the subclass only stands before it.
"""

import asyncio
from collections.abc import Callable, Generator
from functools import wraps
from inspect import iscoroutine, iscoroutinefunction, signature
from types import CoroutineType
from typing import Any, Final

from spork_core.exchange import Exchange
from spork_core.hookspecs import GATEWAY_HOOKS, ExchangeHooks, GatewayHooks, hookimpl
from spork_core.plugin import Plugin

_LOOPS_OWN: Final = (KeyboardInterrupt, SystemExit, GeneratorExit)
"""What would end the loop that the gateway runs on."""


class Call:
    """One call of one of the plugin's hooks.

    ``given``: the hook's arguments, all of the hookspec's. ``function``: the plugin's own, unbound. ``answer`` and
    ``error``: what came of it; both None before its end. ``over``: True once it has ended. ``cancelled``: True when it
    ended because the exchange was cancelled.
    """

    __slots__ = ("answer", "cancelled", "error", "function", "given", "hook", "notes", "over")

    def __init__(self, hook: str, given: tuple[Any, ...], function: Callable[..., Any]) -> None:
        self.hook = hook
        self.given = given
        self.function = function
        self.answer: Any = None
        self.error: BaseException | None = None
        self.over = False
        self.cancelled = False
        self.notes: Any = None
        """What a watch keeps from ``before`` to ``after``."""

    @property
    def exchange(self) -> Exchange:
        """The exchange; not for gateway hooks."""
        exchange: Exchange = self.given[0]
        return exchange

    def __repr__(self) -> str:
        return f"<Call {self.hook} {self.error or self.answer}>"


class Watch:
    """What a law does around calls. By default it keeps them.

    ``instead``: hook → a function (of the call) that runs in place of the plugin's own; async for an async hook.
    """

    def __init__(self, instead: "dict[str, Callable[[Call], Any]] | None" = None) -> None:
        self.calls: list[Call] = []
        self.instead = instead or {}

    def before(self, call: Call) -> None:
        """The hook is about to be called."""
        self.calls.append(call)

    def after(self, call: Call) -> None:
        """It has ended."""

    def suspended(self, call: Call, coroutine: "CoroutineType[Any, Any, Any]") -> BaseException | None:
        """It waits for something. An exception: raised where it waits, when that is over."""
        return None


def watched(cls: type[Plugin[Any]], watch: Watch) -> type[Plugin[Any]]:
    """The plugin class ``cls`` with ``watch`` around each of its hooks."""
    made: dict[str, Any] = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    for attribute, hook, function in hooks_of(cls):
        around = _async if iscoroutinefunction(function) else _deferring if hook in cls.defers else _plain
        marked = hookimpl(specname=hook) if hook != attribute else hookimpl
        made[attribute] = marked(around(hook, function, watch))
    return type(cls.__name__, (cls,), made)


def hooks_of(cls: type[Plugin[Any]]) -> list[tuple[str, str, Callable[..., Any]]]:
    """The attributes of a plugin class that are hooks: each with the hook's name and the function."""
    found = []
    for attribute in dir(cls):
        function = getattr(cls, attribute, None)
        options = getattr(function, "spork_impl", None)
        if options is not None and callable(function):
            found.append((attribute, options.get("specname") or attribute, function))
    return found


def _plain(hook: str, function: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    own = _own(function)

    @wraps(_spec(hook))  # pluggy reads the names of the arguments from it
    def run(self: Any, *given: Any) -> Any:
        call = Call(hook, given, function)
        watch.before(call)
        try:
            instead = watch.instead.get(hook)
            call.answer = own(self, given) if instead is None else instead(call)
        except BaseException as error:
            call.error = error
            if isinstance(error, _LOOPS_OWN):
                raise RuntimeError(f"{type(error).__name__} from a hook") from error  # a finding, not the law's end
            raise
        finally:
            call.over = True
            watch.after(call)
        return call.answer

    return run


def _deferring(hook: str, function: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    """A ``def`` that may answer with a coroutine: the call is over when that is."""
    own = _own(function)

    @wraps(_spec(hook))
    def run(self: Any, *given: Any) -> Any:
        call = Call(hook, given, function)
        watch.before(call)
        waits = False
        try:
            instead = watch.instead.get(hook)
            answer = own(self, given) if instead is None else instead(call)
            waits = iscoroutine(answer)
            if not waits:
                call.answer = answer
        except BaseException as error:
            call.error = error
            if isinstance(error, _LOOPS_OWN):
                raise RuntimeError(f"{type(error).__name__} from a hook") from error  # a finding, not the law's end
            raise
        finally:
            if not waits:
                call.over = True
                watch.after(call)
        return _finish(call, _Steps(call, answer, watch), watch) if waits else answer

    return run


def _async(hook: str, function: Callable[..., Any], watch: Watch) -> Callable[..., Any]:
    own = _own(function)

    @wraps(_spec(hook))
    async def run(self: Any, *given: Any) -> Any:
        call = Call(hook, given, function)
        watch.before(call)
        instead = watch.instead.get(hook)
        return await _finish(call, _Steps(call, own(self, given), watch) if instead is None else instead(call), watch)

    return run


async def _finish(call: Call, awaitable: Any, watch: Watch) -> Any:
    """The answer of a hook that waits."""
    try:
        call.answer = await awaitable
    except BaseException as error:
        call.error = error
        task = asyncio.current_task()
        call.cancelled = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0
        if isinstance(error, _LOOPS_OWN):
            raise RuntimeError(f"{type(error).__name__} from a hook") from error  # a finding, not the law's end
        raise
    finally:
        call.over = True
        watch.after(call)
    return call.answer


class _Steps:
    """Awaits a coroutine and says when it is suspended."""

    def __init__(self, call: Call, coroutine: Any, watch: Watch) -> None:
        self._call = call
        self._coroutine = coroutine
        self._watch = watch

    def __await__(self) -> Generator[Any, Any, Any]:
        coroutine, error, value = self._coroutine, None, None
        while True:
            try:
                waiting = coroutine.send(value) if error is None else coroutine.throw(error)
            except StopIteration as end:
                return end.value
            error, value = self._watch.suspended(self._call, coroutine), None
            try:
                value = yield waiting
            except BaseException as thrown:
                error = thrown


def _own(function: Callable[..., Any]) -> Callable[[Any, tuple[Any, ...]], Any]:
    """Calls the plugin's function with those of the hook's arguments that it takes."""
    hook = getattr(function, "spork_impl", {}).get("specname") or function.__name__
    names = list(signature(_spec(hook)).parameters)[1:]
    at = [names.index(name) for name in list(signature(function).parameters)[1:] if name in names]
    return lambda self, given: function(self, *[given[position] for position in at])


def _spec(hook: str) -> Callable[..., Any]:
    spec: Callable[..., Any] = getattr(GatewayHooks if hook in GATEWAY_HOOKS else ExchangeHooks, hook)
    return spec


__all__ = ["Call", "Watch", "hooks_of", "watched"]
