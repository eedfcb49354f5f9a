"""Who took how long: the time of each hook of each instance, and where in the plugin's code something happened.

Own time is what passes while a hook's code runs, waiting what passes while it is suspended. Both are seconds of
``time.perf_counter``: whatever clock a test puts in the place of the gateway's, work takes the time it takes.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from sys import modules
from types import FrameType, TracebackType
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
    call; None: nobody looks. ``calling``: told before each call that ``observer`` is told of; None: nobody.
    """

    hooks: bool = True
    blocking: float | None = None
    blocked: Blocked | None = None
    observer: Observer | None = None
    calling: Calling | None = None


UNMETERED = Metering(hooks=False)


def place_of(function: Callable[..., Any]) -> str:
    """``file:line`` of a function's definition; its name when it has no source."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else repr(function)


def place_in(trace: TracebackType | None, function: Callable[..., Any]) -> str:
    """``file:line`` of the innermost frame of ``trace`` that is of the same package as ``function``; where there is
    none, of the function's definition."""
    home = home_of(function)
    found = None
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if home is not None and Path(file).is_relative_to(home):
            found = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return found or place_of(function)


def innermost(frame: FrameType | None, home: Path) -> str | None:
    """``file:line`` of the innermost frame at or above ``frame`` whose source lies in ``home``; None without one."""
    while frame is not None:
        if Path(frame.f_code.co_filename).is_relative_to(home):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


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
