"""Where commands go: to the one server there is."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final, Protocol

from spork_redis.lane import Lane

QUICK: Final = 0
BULK: Final = 1
"""The lanes to a server: for scripts, counters and messages, and for whole values, so that a value of a megabyte holds
up no limit."""


class Servers(Protocol):
    """The servers of a store."""

    @property
    def lanes(self) -> Iterable[Lane]:
        """All of them, of all servers."""

    async def start(self) -> None:
        """Connects; what cannot be reached is tried again beside the caller."""

    async def stop(self) -> None:
        """Ends all connections."""

    def ask(self, lane: int, key: str, packed: bytes) -> Awaitable[Any]:
        """The reply of the server that has ``key``. Raises StoreDown or Refused."""

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """The positions of ``keys``, in groups that one command may name together."""

    def elsewhere(self, why: str) -> None:
        """A server said that it is no primary any more."""

    def problem(self) -> str | None:
        """Why not all of them answer; None: they do."""


class OneServer:
    """A server that has all keys. ``make`` gives a lane to it."""

    def __init__(self, make: Callable[[], Lane]) -> None:
        self.lanes = (make(), make())

    async def start(self) -> None:
        """Connects both lanes."""
        await asyncio.gather(*(lane.start() for lane in self.lanes))

    async def stop(self) -> None:
        """Ends both."""
        for lane in self.lanes:
            await lane.stop()

    def ask(self, lane: int, key: str, packed: bytes) -> Awaitable[Any]:
        """The server's reply."""
        return self.lanes[lane].ask(packed)

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """All of them."""
        return [list(range(len(keys)))] if keys else []

    def elsewhere(self, why: str) -> None:
        """Connects anew, which finds the primary."""
        for lane in self.lanes:
            lane.fail(why)

    def problem(self) -> str | None:
        """That of either lane."""
        return self.lanes[QUICK].problem or self.lanes[BULK].problem
