"""How long a test waits: in real time, however far its clock is moved."""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Final

PATIENCE: Final = 10.0
"""Real seconds after which a wait of a test has failed."""


class Patience:
    """``async with Patience("the answer"):`` raises TimeoutError when the block takes longer than ``seconds``.

    ``asyncio.timeout`` would end at once when a test moves the loop's time by an hour; this one looks at the real
    clock again before it gives up.
    """

    def __init__(self, what: str, seconds: float = PATIENCE) -> None:
        self._what = what
        self._seconds = seconds
        self._due = 0.0
        self._over = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._due = time.monotonic() + self._seconds
        self._look()

    def _look(self) -> None:
        left = self._due - time.monotonic()
        if left > 0:
            self._timer = asyncio.get_running_loop().call_later(left, self._look)
            return
        self._over = True
        assert self._task is not None
        self._task.cancel()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._timer is not None
        assert self._task is not None
        self._timer.cancel()
        if self._over and self._task.uncancel() == 0 and isinstance(error, asyncio.CancelledError):
            raise TimeoutError(f"waited {self._seconds:g} s for {self._what}") from error


async def holds(
    condition: Callable[[], object],
    what: str = "what a test waits for",
    *,
    seconds: float = PATIENCE,
    turns: int = 0,
) -> None:
    """Returns once ``condition()`` is true. Raises TimeoutError after ``seconds`` of real time.

    ``turns``: looks at so many turns of the loop before it looks only every millisecond.
    """
    async with Patience(what, seconds):
        while not condition():
            turns -= 1
            await asyncio.sleep(0 if turns >= 0 else 0.001)


async def settle(turns: int = 50) -> None:
    """Lets everything that can run without time passing run: so many turns of the loop, each with a look at the
    sockets (about 1 ms in all)."""
    for _ in range(turns):
        await asyncio.sleep(0)
