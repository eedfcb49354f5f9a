"""What importing a module does to a fresh process, run in one: ``python imported.py`` and a JSON object on stdin.

It prints a JSON object: ``seconds`` that the import took, ``changes`` it made to the process, and with ``trace`` the
``lines`` that made them, and the ``slowest``. This file imports nothing of the kit: that would be loaded, too.
"""

import asyncio
import atexit
import contextlib
import io
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any


def state(printed: io.StringIO) -> dict[str, object]:
    """What an import must leave as it is."""
    return {
        "the threads": sorted(thread.name for thread in threading.enumerate()),
        "the open files and sockets": _open(),
        "the child processes": _children(),
        "os.environ": dict(os.environ),
        "the working directory": str(Path.cwd()),
        "sys.path": list(sys.path),
        "the signal handlers": [str(signal.getsignal(number)) for number in signal.valid_signals()],
        "the root logger": [str(logging.root.handlers), logging.root.level, logging.root.manager.disable],
        "the class of loggers": str(logging.getLoggerClass()),
        "the filters of warnings": [str(entry) for entry in warnings.filters],
        "the event loop policy": str(type(asyncio.get_event_loop_policy())),
        "what runs at exit": atexit._ncallbacks(),
        "sys.excepthook": str(sys.excepthook),
        "the recursion limit": sys.getrecursionlimit(),
        "what is printed": printed.getvalue(),
    }


def _open() -> list[str]:
    found = []
    for entry in Path("/proc/self/fd").iterdir() if Path("/proc/self/fd").exists() else ():
        with contextlib.suppress(OSError):
            found.append(f"{entry.name} {entry.readlink()}")
    return sorted(entry for entry in found if "/proc/" not in entry)


def _children() -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return ""


class Lines:
    """Follows the statements of the package's modules as they are imported."""

    def __init__(self, folder: str, now: Callable[[], dict[str, object]]) -> None:
        self.took: dict[str, float] = {}
        self.changed: dict[str, str] = {}
        self._folder = folder
        self._now = now
        self._last = now()
        self._lines: list[tuple[str, float]] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> Any:
        code = frame.f_code
        if code.co_name != "<module>" or not code.co_filename.startswith(self._folder):
            return None
        if event == "call":
            self._lines.append(("", time.perf_counter()))
            return self
        self._ended()
        self._lines[-1] = (f"{code.co_filename}:{frame.f_lineno}", time.perf_counter())
        if event == "return":
            self._lines.pop()
        return self

    def _ended(self) -> None:
        line, began = self._lines[-1]
        if not line:
            return
        self.took[line] = time.perf_counter() - began
        now = self._now()
        for what in now:
            if now[what] != self._last[what]:
                self.changed.setdefault(what, line)
        self._last = now


@contextlib.contextmanager
def following(lines: "Lines | None") -> Iterator[None]:
    """Follows them while this lasts."""
    sys.settrace(lines)
    try:
        yield
    finally:
        sys.settrace(None)


def main() -> None:
    """Reads the order and prints what was found."""
    order = json.load(sys.stdin)
    sys.path[:] = order["path"]
    __import__("spork_core.api")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        before = state(printed)
        lines = Lines(order["folder"], lambda: state(printed)) if order["trace"] else None
        began = time.perf_counter()
        with following(lines):
            __import__(order["module"])
        seconds = time.perf_counter() - began
        after = state(printed)
    found: dict[str, object] = {
        "seconds": seconds,
        "changes": [what for what in before if before[what] != after[what]],
    }
    if lines is not None:
        slowest = sorted(lines.took, key=lambda line: -lines.took[line])
        found |= {"lines": lines.changed, "slowest": [(line, lines.took[line]) for line in slowest[:1]]}
    print(json.dumps(found), flush=True)  # noqa: T201  its answer
    os._exit(0)  # a thread that was left behind would keep the process


if __name__ == "__main__":
    main()
