"""Who took how long: the time of each hook of each instance, and where in the plugin's code something happened.

Own time is what passes while a hook's code runs, waiting what passes while it is suspended. Both are seconds of
``time.perf_counter``: whatever clock a test puts in the place of the gateway's, work takes the time it takes.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from sys import modules
from typing import Any

from attrs import frozen

from spork_core.exchange import Exchange


class HookStats:
    """What one hook of one instance has taken since the instance was made. ``own``, ``waiting``: seconds."""

    __slots__ = ("calls", "hook", "instance", "own", "waiting")

    def __init__(self, instance: str, hook: str) -> None:
        self.instance = instance
        self.hook = hook
        self.calls = 0
        self.own = 0.0
        self.waiting = 0.0

    def __repr__(self) -> str:
        return f"<HookStats {self.instance}.{self.hook} {self.calls} calls, {self.own:.6f} s>"


@frozen(eq=False)
class Called:
    """One call of a hook, as an observer is told of it: what the hook itself did, before its instance's policy.

    ``answer``: what it gave. ``error``: what it raised; None when it returned. ``own``, ``waiting``: seconds.
    ``held``: True when it was not called, because its instance is isolated.
    """

    instance: str
    hook: str
    exchange: Exchange
    answer: object = None
    error: BaseException | None = None
    own: float = 0.0
    waiting: float = 0.0
    held: bool = False


Observer = Callable[[Called], object]
Calling = Callable[[str, str, Exchange], object]
"""Told of a call before it: instance, hook and exchange."""
Blocked = Callable[[HookStats, float, str], object]
"""Told when a hook kept the event loop for too long: whose, for how many seconds, and ``file:line``."""


@frozen
class Metering:
    """How the hooks of a pipeline are measured.

    ``hooks``: at all. ``blocking``: seconds after which ``blocked`` is told; None: never. ``observer``: told of every
    call; None: nobody looks. ``calling``: told before each call that ``observer`` is told of; None: nobody. ``weight``:
    how many calls one that is measured stands for.
    """

    hooks: bool = True
    blocking: float | None = None
    blocked: Blocked | None = None
    observer: Observer | None = None
    calling: Calling | None = None
    weight: int = 1


UNMETERED = Metering(hooks=False)


def place_of(function: Callable[..., Any]) -> str:
    """``file:line`` of the definition of a function, or of a class by its ``__init__``; its name without source."""
    inner = inspect.unwrap(function.__init__ if inspect.isclass(function) else function)
    code = getattr(inner, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def place_in(error: BaseException, function: Callable[..., Any]) -> str:
    """``file:line`` of the innermost frame that ``error``, or what it came from, passed in the same package as
    ``function``; where there is none, of the function's definition."""
    home = home_of(function)
    come_from: BaseException | None = error
    seen: set[int] = set()  # causes may run in a ring
    while home is not None and come_from is not None and id(come_from) not in seen:
        seen.add(id(come_from))
        found = None
        trace = come_from.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if Path(file).is_relative_to(home):
                found = f"{file}:{trace.tb_lineno}"
            trace = trace.tb_next
        if found is not None:
            return found
        come_from = come_from.__cause__ or come_from.__context__
    return place_of(function)


def words_of(error: BaseException) -> str:
    """The type of ``error`` and what it says, if it says anything: also its words may raise."""
    try:
        words = str(error)
    except BaseException as another:  # of a plugin's class, in code that runs after a failure
        words = f"its text cannot be had ({type(another).__name__})"
    return f"{type(error).__name__}: {words}" if words else type(error).__name__


def home_of(thing: Callable[..., Any]) -> Path | None:
    """Where the code of the package lies that a function or class is of: a folder, or the file of a single module. None
    without source."""
    inner = inspect.unwrap(thing)
    parts = getattr(inner, "__module__", "").split(".")
    for depth in range(1, len(parts) + 1):  # the outermost that is no namespace package
        file = getattr(modules.get(".".join(parts[:depth])), "__file__", None)
        if file is not None:
            path = Path(file)
            return path.parent if path.name == "__init__.py" else path
    code = getattr(inner, "__code__", None)
    return None if code is None else Path(code.co_filename)
