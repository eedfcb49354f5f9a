"""The Store: state that instances keep outside of an exchange, and share between workers and machines where a plugin
provides a store that does.

Rules of this file
1. Whatever must be read and changed in one step is a ``Script``: the same operation in Lua, for Redis, and in Python,
   for memory. Nothing reads first and writes later.
2. A store answers soon or raises ``StoreDown``; it never waits for a server to come back.
3. A memory has a bound, and what expires first or was not used for longest goes first.
"""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from hashlib import sha1
from itertools import islice
from typing import Any, Final, Protocol

from attrs import Factory, field, frozen

from spork_core.clock import Clock
from spork_core.errors import DependencyDown

log = logging.getLogger("spork_core.store")

Argument = str | int | float | bytes
"""What a script may be given; numbers arrive in Lua as their text."""

Listener = Callable[[bytes], object]
"""Called in the event loop with each message; a ``def``, and quick."""


class StoreDown(DependencyDown):
    """503: the store did not answer in time, or cannot be reached. Where a plugin has a policy for that, it catches
    this."""

    code = "store-down"


class Table(Protocol):
    """The part of a memory that a script sees in one step. Values are whatever the script puts there."""

    def get(self, key: str) -> Any:
        """The value; None when there is none, or when its time is up."""

    def set(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps ``value`` for ``ttl`` seconds; None: without end."""

    def delete(self, key: str) -> bool:
        """True when there was a value."""

    def ttl(self, key: str) -> float | None:
        """Seconds that the value has left; None when there is none, or when it has no end."""


_NOW: Final = "local now = redis.call('TIME') now = now[1] * 1000000 + now[2] "
"""Stands before the Lua form of every script, in its first line: those of an error are the script's own."""


@frozen(eq=False)
class Script:
    """One atomic operation in two forms that do the same; ``spork_core.testing.both_forms`` tests that they do.

    ``lua``: the body for Redis. It finds ``KEYS``, ``ARGV`` and ``now``, the microseconds since the epoch by the
    server's clock, as a local. All its keys must lie in one slot of a cluster: give them one ``{tag}``.
    ``python``: called as ``python(table, keys, arguments, now)`` with ``now`` in microseconds by the gateway's clock.
    Both answer with a whole number, text (which Lua gives as bytes: compare bytes), None, or a list of these. In Lua,
    write None as ``false``: nil ends a list. A fraction is cut off unless it is answered as text, and ``now`` becomes
    text by ``string.format('%.0f', now)`` only.
    """

    name: str
    lua: str
    python: Callable[[Table, Sequence[str], Sequence[Argument], int], Any]
    source: str = field(init=False, repr=False, default=Factory(lambda self: _NOW + self.lua, takes_self=True))
    """What a server runs."""
    sha: str = field(init=False, repr=False)
    """The name that a server gives to ``source``, in hex."""

    @sha.default
    def _name_of_source(self) -> str:
        return sha1(self.source.encode(), usedforsecurity=False).hexdigest()


class Subscription(Protocol):
    """A channel that somebody listens to."""

    def close(self) -> None:
        """Listens no more."""


class Store(Protocol):
    """What plugins keep state in: ``gateway.resources[STORE]``. Keys are text without spaces; values are bytes.

    The kernel provides one in memory, of this process; a plugin may provide another, which all workers and machines
    share. Every method may raise StoreDown, within 100 ms.
    """

    @property
    def shared(self) -> bool:
        """True when other workers and machines see the same."""

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none."""

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of ``keys``, in their order."""

    async def set(self, key: str, value: bytes, ttl: float | None = None, *, only_new: bool = False) -> bool:
        """Keeps ``value`` for ``ttl`` seconds; None: without end. ``only_new``: only where there is none yet. False
        when it was not kept."""

    async def delete(self, *keys: str) -> int:
        """How many of ``keys`` there were."""

    async def add(self, key: str, amount: int = 1, ttl: float | None = None) -> int:
        """Adds to a counter, which begins at 0, and gives what it is now. ``ttl``: seconds from its beginning."""

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """What the script answers."""

    async def publish(self, channel: str, message: bytes) -> None:
        """Sends ``message`` to whoever listens to ``channel``, here and elsewhere; nobody keeps it."""

    def subscribe(self, channel: str, listener: Listener, lost: Callable[[], object] | None = None) -> Subscription:
        """``listener`` is called with each message. ``lost``: called when messages may have been missed, after the
        connection broke and came back. Raises nothing."""

    def problem(self) -> str | None:
        """Why it does not answer now; None when it does."""


class _Listening:
    """One listener of a channel in memory."""

    def __init__(self, listeners: "dict[str, list[_Listening]]", channel: str, listener: Listener) -> None:
        self._listeners = listeners
        self._channel = channel
        self._listener: Listener | None = listener

    def hear(self, message: bytes) -> None:
        """Calls the listener; what it raises is logged."""
        if self._listener is None:
            return
        try:
            self._listener(message)
        except Exception:
            log.exception("a listener of channel %s failed", self._channel)

    def close(self) -> None:
        """Listens no more."""
        self._listener = None
        mine = self._listeners.get(self._channel)
        if mine is not None and self in mine:
            mine.remove(self)
            if not mine:
                del self._listeners[self._channel]


class _Table:
    """The Table of a memory: bound methods, one look-up each."""

    def __init__(self, memory: "MemoryStore") -> None:
        self.get = memory.get_now
        self.set = memory.set_now
        self.delete = memory.delete_now
        self.ttl = memory.ttl_now


_NEVER: Final = float("inf")
_LOOKED_AT: Final = 8
"""So many of the values that were not used for longest are looked at when room is needed: those that ended go first."""


class MemoryStore:
    """A Store in this process's memory, with bounds. Its ``now`` methods do the same at once, for who need not wait.

    ``entries``: the most values. ``size``: the most bytes of values that are bytes. What does not fit any more is what
    was neither read nor written for longest.
    """

    shared: Final = False

    def __init__(self, clock: Clock, *, entries: int = 100_000, size: int = 64 << 20) -> None:
        self._time = clock.time
        self._entries = entries
        self._size = size
        # Not a dict: one whose first items went away walks over their places to find the first that is left.
        self._kept: OrderedDict[str, tuple[Any, float]] = OrderedDict()
        """Key → value, and the time when it ends; the one that was not used for longest stands first."""
        self._bytes = 0
        self._listeners: dict[str, list[_Listening]] = {}
        self._table: Table = _Table(self)
        self.evicted = 0
        """Values that had to go before their time."""

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def size(self) -> int:
        """Bytes of the values that are bytes."""
        return self._bytes

    # -- a Table ------------------------------------------------------------------------------------

    def get_now(self, key: str) -> Any:
        """The value; None when there is none."""
        found = self._kept.get(key)
        if found is None:
            return None
        if found[1] <= self._time():
            self.delete_now(key)
            return None
        self._kept.move_to_end(key)
        return found[0]

    def set_now(self, key: str, value: Any, ttl: float | None = None) -> None:
        """Keeps ``value``; one that is larger than the whole store is not kept."""
        self._keep(key, value, ttl)

    def _keep(self, key: str, value: Any, ttl: float | None) -> bool:
        self.delete_now(key)
        if ttl is not None and ttl <= 0:
            return True
        if type(value) is bytes:
            if len(value) > self._size:
                self.evicted += 1
                return False
            self._bytes += len(value)
        self._kept[key] = (value, _NEVER if ttl is None else self._time() + ttl)
        if len(self._kept) > self._entries or self._bytes > self._size:
            self._make_room()
        return True

    def delete_now(self, key: str) -> bool:
        """True when there was a value."""
        found = self._kept.pop(key, None)
        if found is None:
            return False
        if type(found[0]) is bytes:
            self._bytes -= len(found[0])
        return found[1] > self._time()

    def ttl_now(self, key: str) -> float | None:
        """Seconds that the value has left; None when there is none, or when it has no end."""
        found = self._kept.get(key)
        if found is None or found[1] == _NEVER:
            return None
        left = found[1] - self._time()
        return left if left > 0 else None

    def run_now(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """What the script answers, at once."""
        return script.python(self._table, keys, arguments, int(self._time() * 1_000_000))

    def _make_room(self) -> None:
        now = self._time()
        kept = self._kept
        for key in [key for key, (_, ends) in islice(kept.items(), _LOOKED_AT) if ends <= now]:
            self.delete_now(key)
        while len(kept) > self._entries or self._bytes > self._size:
            self.delete_now(next(iter(kept)))
            self.evicted += 1

    # -- a Store ------------------------------------------------------------------------------------

    async def get(self, key: str) -> bytes | None:
        """The value; None when there is none."""
        value: bytes | None = self.get_now(key)
        return value

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of ``keys``, in their order."""
        return [self.get_now(key) for key in keys]

    async def set(self, key: str, value: bytes, ttl: float | None = None, *, only_new: bool = False) -> bool:
        """Keeps ``value``; False when ``only_new`` and there is one."""
        return not (only_new and self.get_now(key) is not None) and self._keep(key, value, ttl)

    async def delete(self, *keys: str) -> int:
        """How many of ``keys`` there were."""
        return sum(map(self.delete_now, keys))

    async def add(self, key: str, amount: int = 1, ttl: float | None = None) -> int:
        """Adds to a counter, and gives what it is now."""
        value = self.get_now(key)
        if value is not None:
            ttl = self.ttl_now(key)
        total = int(value or 0) + amount
        self.set_now(key, b"%d" % total, ttl)
        return total

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Argument] = ()) -> Any:
        """What the script answers."""
        return self.run_now(script, keys, arguments)

    async def publish(self, channel: str, message: bytes) -> None:
        """Calls whoever listens, in the loop's next turn."""
        loop = asyncio.get_running_loop()
        for listening in self._listeners.get(channel, ()):
            loop.call_soon(listening.hear, message)

    def subscribe(self, channel: str, listener: Listener, lost: Callable[[], object] | None = None) -> Subscription:
        """``listener`` is called with each message; none is ever missed."""
        listening = _Listening(self._listeners, channel, listener)
        self._listeners.setdefault(channel, []).append(listening)
        return listening

    def problem(self) -> str | None:
        """None: memory answers."""
        return None

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._kept)} values, {self._bytes} bytes>"
