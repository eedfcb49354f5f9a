"""What code touches outside the process, as Python's audit events tell it (PEP 578), and which threads it starts."""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from attrs import frozen

from spork_core.testing.places import place

_TOUCHING: Final = ("open", "socket.", "os.", "subprocess.", "shutil.", "sqlite3.", "tempfile.", "time.sleep")
_HARMLESS: Final = ("os.putenv", "os.unsetenv", "os.fwalk", "os.walk")
_watching: list[Callable[[str, tuple[Any, ...]], object]] = []
"""Whom to tell. An audit hook cannot be taken away, so there is one, and it asks this list."""
_hooked: list[bool] = []


@frozen
class Touch:
    """An audit event, its first argument, and the line of the plugin's that caused it."""

    event: str
    what: object
    place: str

    @property
    def shown(self) -> str:
        """The argument, where it says something."""
        return repr(self.what) if isinstance(self.what, (str, bytes, int, float)) else ""


@contextmanager
def touched_by(owns: Callable[[str], bool]) -> Iterator[list[Touch]]:
    """What lines of files that ``owns`` is true for have touched. Imports are left out."""
    found: list[Touch] = []

    def tell(event: str, arguments: tuple[Any, ...]) -> None:
        if line := _line(owns):
            found.append(Touch(event, arguments[0] if arguments else None, line))

    start = threading.Thread.start  # there is an audit event for it only in later versions of Python

    def started(thread: threading.Thread) -> None:
        tell("threading.Thread.start", (thread.name,))
        start(thread)

    if not _hooked:
        _hooked.append(True)
        sys.addaudithook(_audit)
    _watching.append(tell)
    threading.Thread.start = started  # type: ignore[method-assign,assignment]
    try:
        yield found
    finally:
        threading.Thread.start = start  # type: ignore[method-assign]
        _watching.remove(tell)


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event.startswith(_TOUCHING) and not event.startswith(_HARMLESS):
        for tell in tuple(_watching):
            tell(event, arguments)


def _line(owns: Callable[[str], bool]) -> str:
    """The innermost line of the plugin's on the stack; "" when there is none, or an import in between."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if file.startswith("<frozen importlib"):
            return ""
        if owns(file):
            return place(file, frame.f_lineno)
        frame = frame.f_back
    return ""
