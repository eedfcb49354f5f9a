"""Time limits without a timer per request: one queue for each duration, in which the first due is always the first entered."""

from asyncio import AbstractEventLoop, TimerHandle, get_running_loop
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """Calls ``expire(item)`` once for each item that stays longer than ``seconds``.

    Starting and stopping an item is a dictionary operation (0.1 µs); a ``call_at`` and ``cancel`` cost 1.5 µs and leave
    a cancelled timer on the loop's heap. At most one timer is armed per queue.
    """

    __slots__ = ("_due", "_expire", "_loop", "_timer", "seconds")

    def __init__(self, seconds: float, expire: Callable[[T], object]) -> None:
        self._loop: AbstractEventLoop | None = None
        self.seconds = seconds
        """May be changed: what is in keeps its time, what enters after gets the new one."""
        self._expire = expire
        self._due: dict[T, float] = {}
        self._timer: TimerHandle | None = None

    def start(self, item: T) -> None:
        """(Re)starts the item's time."""
        loop = self._loop
        if loop is None:
            loop = self._loop = get_running_loop()
        self._due.pop(item, None)  # re-entered at the end: the order of the dictionary is the order of the due times
        due = self._due[item] = loop.time() + self.seconds
        if self._timer is None:
            self._timer = loop.call_at(due, self._tick)

    def stop(self, item: T) -> None:
        """Takes the item out; nothing happens when it is not in."""
        self._due.pop(item, None)

    def __len__(self) -> int:
        return len(self._due)

    def close(self) -> None:
        """Forgets every item and disarms the timer."""
        self._due.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        loop = self._loop
        assert loop is not None
        self._timer = None
        now = loop.time()
        expired = []
        for item, due in self._due.items():
            if due > now:
                break
            expired.append(item)
        for item in expired:
            if self._due.pop(item, None) is not None:  # an expiry may have stopped the ones behind it
                self._expire(item)
        if self._due and self._timer is None:
            self._timer = loop.call_at(next(iter(self._due.values())), self._tick)
