"""What the parts of one instance share: the two tiers, flights, counts, and the tasks that run beside exchanges."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final

from spork_cache import rules
from spork_cache.asking import AskKey
from spork_cache.config import CacheConfig
from spork_cache.entry import Entry
from spork_cache.flights import Flights
from spork_cache.memory import Memory
from spork_cache.numbers import Numbers
from spork_cache.purges import Purge, Recent, verdict
from spork_cache.shared import Shared
from spork_cache.stream import Budget, Stream
from spork_core.api import STORE, Clock, GatewayView, StateKey

_ALONE_FOR_EACH: Final = 4096
"""Bytes of ``max_size`` for each key that is remembered as not for everybody."""


class Core:
    """The state of one instance. Complete before ``start``, which only brings the gateway's part."""

    def __init__(self, config: CacheConfig, name: str) -> None:
        self.config = config
        self.name = name
        self.policy = config.policy()
        self.label = rules.name_item(config.name)
        """How Cache-Status names it."""
        self.shown = self.label if config.status else ""
        self.ask: Final[AskKey] = StateKey("cache-ask")
        self.gateway: GatewayView | None = None
        self.now = Clock().time
        """Seconds since the epoch."""
        self.memory = Memory(config.max_size, config.variants, config.keep, self.time)
        self.flights = Flights(min(max(config.max_size // _ALONE_FOR_EACH, 64), 65_536))
        self.numbers = Numbers()
        self.purges = Recent()
        self.shared: Shared | None = None
        self.streams: set[Stream] = set()
        """Answers that are on their way in."""
        self.budget = Budget(config.max_size)
        self.refreshing = 0
        """Revalidations that run beside exchanges."""
        self.log = logging.getLogger("spork_cache")
        self._tasks: set[asyncio.Task[None]] = set()

    # -- life ---------------------------------------------------------------------------------------

    def start(self, gateway: GatewayView) -> None:
        """Takes what the gateway gives."""
        self.gateway = gateway
        self.now = gateway.clock.time
        self.log = gateway.log.getChild(self.name)
        if self.config.store == "shared":
            self.shared = Shared(
                gateway.resources[STORE],
                self.name,
                self.shown,
                self.config.keep,
                self.spawn,
                self.heard,
                self.missed,
                self.log,
            )

    async def stop(self) -> None:
        """Ends what runs; also after half a start, and twice."""
        shared, self.shared = self.shared, None
        if shared is not None:
            shared.close()
        for stream in tuple(self.streams):
            stream.end()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.memory.clear()
        self.gateway = None

    def spawn(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Runs ``work`` beside exchanges, until shutdown at the latest."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.log.error("a task of the cache failed", exc_info=error)

    def time(self) -> float:
        """Seconds since the epoch, by the gateway's clock once there is one."""
        return self.now()

    # -- answers ------------------------------------------------------------------------------------

    def keep(self, entry: Entry, since: int) -> bool:
        """Keeps ``entry``, for which the upstream was asked when ``since`` was the last purge; False when a purge has
        come since then, or it is too large."""
        if self.purges.last != since:
            found = verdict(self.purges.since(since), entry.uri, entry.stored.tags)
            if found == "purged":
                return False
            if found == "soft":
                entry.soften(self.now())
        kept = self.memory.put(entry)
        if kept:
            self.numbers.stored += 1
            if self.shared is not None:
                self.shared.keep(entry, self.now())
        return kept

    def forget(self, entry: Entry) -> None:
        """``entry`` is out of date: the upstream has said so."""
        self.memory.drop(entry)
        if self.shared is not None:
            self.shared.forget(entry)

    # -- purges -------------------------------------------------------------------------------------

    def invalidate(self, uri: str) -> None:
        """A change has made what is stored for ``uri`` out of date, here and elsewhere (RFC 9111 section 4.4)."""
        purge = Purge("url", uri)
        self.heard(purge)
        self.numbers.invalidated += 1
        if self.shared is not None:
            self.shared.purge_soon(purge)

    async def purge(self, purge: Purge) -> int:
        """Makes ``purge`` hold here, and elsewhere where the store is shared; how many entries of this process's memory
        it took. Raises StoreDown when it holds only here."""
        count = self.heard(purge)
        if self.shared is not None:
            await self.shared.purge(purge)
        return count

    def heard(self, purge: Purge) -> int:
        """``purge`` has happened, here or elsewhere; how many entries it took here."""
        self.purges.note(purge)
        self.flights.close(purge)
        memory, kind = self.memory, purge.kind
        if kind == "all" and not purge.soft:
            return memory.clear()
        if kind == "url":
            found = memory.at(purge.what)
        elif kind == "prefix":
            found = memory.below(purge.what)
        elif kind == "tag":
            found = memory.tagged(purge.what)
        else:
            found = list(memory)
        now = self.now()
        for entry in found:
            if purge.soft:
                entry.soften(now)
            else:
                memory.drop(entry)
        return len(found)

    def missed(self) -> None:
        """Purges of other nodes may have been missed: what is in memory cannot be trusted."""
        self.purges.all_gone()
        self.flights.close(Purge("all"))
        self.numbers.lost += 1
        self.memory.clear()
