"""What is left when something is over: tasks, threads, sockets and files, by name."""

import asyncio
import threading
from collections.abc import Callable, Iterable
from inspect import unwrap
from pathlib import Path
from typing import Any, Final

from spork_core.testing.places import place

_DESCRIPTORS: Final = Path("/proc/self/fd")
"""Elsewhere than on Linux open files are not looked at."""


def tasks() -> "set[asyncio.Task[Any]]":
    """The tasks of this loop that are not over, but the present one."""
    return asyncio.all_tasks() - {asyncio.current_task()}


def named(found: "Iterable[asyncio.Task[Any]]") -> list[str]:
    """Each task with the line where it waits."""
    return sorted(_with(f"the task {task.get_name()}", _where(task)) for task in found)


def _where(task: "asyncio.Task[Any]") -> str:
    stack = task.get_stack(limit=1)
    if stack:
        return place(stack[0].f_code.co_filename, stack[0].f_lineno)
    code: Any = getattr(task.get_coro(), "cr_code", None)
    return "" if code is None else place(code.co_filename, code.co_firstlineno)


def timers(owns: Callable[[str], bool]) -> list[str]:
    """Those of this loop that will call code of a file that ``owns`` is true for."""
    found = []
    for handle in getattr(asyncio.get_running_loop(), "_scheduled", ()):  # uvloop does not tell
        code = getattr(unwrap(getattr(handle._callback, "__func__", handle._callback)), "__code__", None)
        if not handle.cancelled() and code is not None and owns(code.co_filename):
            found.append(_with("a timer", place(code.co_filename, code.co_firstlineno)))
    return sorted(found)


def threads() -> set[threading.Thread]:
    """Those that run."""
    return set(threading.enumerate())


def thread_names(found: Iterable[threading.Thread]) -> list[str]:
    """Each thread with the function it runs."""
    return sorted(_with(f"the thread {each.name}", _target(each)) for each in found)


def _with(what: str, where: str) -> str:
    return f"{what} ({where})" if where else what


def _target(thread: threading.Thread) -> str:
    target: Any = getattr(thread, "_target", None) or type(thread).run
    code = getattr(getattr(target, "__func__", target), "__code__", None)
    return "" if code is None else place(code.co_filename, code.co_firstlineno)


def descriptors() -> dict[int, str]:
    """The open files and sockets: number → what it is."""
    found = {}
    for link in _DESCRIPTORS.iterdir() if _DESCRIPTORS.exists() else ():
        try:
            found[int(link.name)] = str(link.readlink())
        except OSError:  # the one of the listing
            continue
    return found


def opened(before: dict[int, str], after: dict[int, str]) -> list[str]:
    """What is open after and was not before."""
    return [f"the open {_kind(what)}" for number, what in sorted(after.items()) if before.get(number) != what]


def _kind(what: str) -> str:
    return "socket" if what.startswith("socket:") else f"file {what}" if what.startswith("/") else what


__all__ = ["descriptors", "named", "opened", "tasks", "thread_names", "threads", "timers"]
