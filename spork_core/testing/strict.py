"""What a test must not leave unseen: errors that the kernel logged, and tasks that a plugin left behind."""

import asyncio
import logging
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final
from weakref import WeakKeyDictionary

from spork_core.plugin import Plugin

_KERNEL: Final = "spork_core"
_PLUGINS: Final = "spork_core.plugin"
"""The parent of the loggers that plugins use: what they say there is their own."""
_ASYNCIO: Final = str(Path(asyncio.__file__).parent)
_TURNS: Final = 20
"""Turns of the loop in which a cancelled task has to end."""


class Errors(logging.Handler):
    """Collects what the kernel logs as an error, and what the loop could tell nobody.

    A failure of a plugin is one: its message names instance, hook, file and line.
    """

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """True for the kernel's own."""
        return not f"{record.name}.".startswith(f"{_PLUGINS}.")

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record."""
        self.messages.append(self.format(record))

    def told(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Takes what a loop tells its exception handler."""
        error = context.get("exception")
        trace = "" if error is None else "".join(traceback.format_exception(error))
        self.messages.append(f"unexpected in the event loop: {context.get('message')}\n{trace}".rstrip())

    @contextmanager
    def collected(self) -> Iterator[None]:
        """Collects while the block runs."""
        loop, logger = asyncio.get_running_loop(), logging.getLogger(_KERNEL)
        before = loop.get_exception_handler()
        logger.addHandler(self)
        loop.set_exception_handler(self.told)
        try:
            yield
        finally:
            loop.set_exception_handler(before)
            logger.removeHandler(self)


class PluginTasks:
    """Knows which tasks were started by a plugin's code, or by a task of a plugin's, and where."""

    def __init__(self) -> None:
        self._owned: WeakKeyDictionary[asyncio.Task[Any], tuple[str, str]] = WeakKeyDictionary()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Takes note of the tasks that are created while the block runs."""
        loop = asyncio.get_running_loop()
        before: Any = loop.get_task_factory()

        def factory(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> Any:
            task = asyncio.Task(coro, loop=loop, **more) if before is None else before(loop, coro, **more)
            owner = self._owner(asyncio.current_task(loop), sys._getframe(1))
            if owner is not None:
                self._owned[task] = owner
            return task

        loop.set_task_factory(factory)
        try:
            yield
        finally:
            loop.set_task_factory(before)

    async def left(self) -> list[str]:
        """A sentence for each that still runs; they are cancelled then."""
        for _ in range(_TURNS):
            if all(task.done() for task in self._owned):
                return []
            await asyncio.sleep(0)
        running = [(task, owner) for task, owner in self._owned.items() if not task.done()]
        for task, _ in running:
            task.cancel()
        await asyncio.wait([task for task, _ in running], timeout=1)
        return [
            f"instance {name} left a task running after shutdown: {task.get_coro()!r} was started at {where}; "
            "cancel it in shutdown and await it there"
            for task, (name, where) in running
        ]

    def _owner(self, current: "asyncio.Task[Any] | None", frame: FrameType | None) -> tuple[str, str] | None:
        """The instance in whose hook, or whose task, ``frame`` runs, and where; None when it is nobody's."""
        name = None if current is None else self._owned.get(current, (None, ""))[0]
        where = ""
        while frame is not None and (name is None or not where):
            code = frame.f_code
            if not where and not code.co_filename.startswith(_ASYNCIO):
                where = f"{code.co_filename}:{frame.f_lineno}"
            if name is None and code.co_argcount and code.co_varnames[0] == "self":
                subject = frame.f_locals.get("self")
                name = subject.name if isinstance(subject, Plugin) else None
            frame = frame.f_back
        return None if name is None else (name, where)
