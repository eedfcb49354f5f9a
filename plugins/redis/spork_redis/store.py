"""The Store on a server: which command does what, and what an error of the server means.

Rules of this file
1. A script is named by its hash. A server that does not know it is sent the text, once, in the time that is left.
2. A command that got no answer may have been done. It is not sent again.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from spork_core.api import Script, SporkError, Store, StoreDown, Subscription, Table
from spork_redis.channels import Channels, Listener
from spork_redis.config import MOST_TIME, RedisConfig
from spork_redis.counts import Counts
from spork_redis.line import Refused, Word, pack
from spork_redis.servers import BULK, QUICK, Servers

_PASSING: Final = frozenset(
    "BUSY CLUSTERDOWN LOADING MASTERDOWN MISCONF NOAUTH NOPERM NOREPLICAS OOM READONLY TRYAGAIN UNBLOCKED".split()
)
"""Errors that say something about the server and nothing about the command."""
_ELSEWHERE: Final = frozenset({"READONLY", "MASTERDOWN"})
"""Errors of a server that is no primary any more."""


class RefusedByStore(SporkError):
    """The server calls a command wrong: a script that fails, keys in different slots, a key of another type."""


def _begin(table: Table, keys: Sequence[str], arguments: Sequence[Any], _: int) -> int:
    amount, milliseconds = int(arguments[0]), int(arguments[1])
    value = table.get(keys[0])
    ttl = milliseconds / 1000 if value is None else table.ttl(keys[0])
    total = int(value or 0) + amount
    table.set(keys[0], b"%d" % total, ttl)
    return total


ADD: Final = Script(
    "add",
    "redis.call('SET', KEYS[1], 0, 'NX', 'PX', ARGV[2]) return redis.call('INCRBY', KEYS[1], ARGV[1])",
    _begin,
)
"""Adds to a counter that ends so many milliseconds after its beginning."""


class RedisStore(Store):
    """A Store of which all workers and gateways see the same."""

    shared: Final = True

    def __init__(self, servers: Servers, channels: Channels, config: RedisConfig, counts: Counts) -> None:
        self._servers = servers
        self._channels = channels
        self._ask = servers.ask
        self._prefix = config.prefix
        self._loop = asyncio.get_running_loop()
        self._counts = counts

    def __repr__(self) -> str:
        return f"<RedisStore {self.problem() or 'up'}>"

    async def get(self, key: str) -> bytes | None:
        key = self._prefix + key
        value: bytes | None = await self._reply(BULK, key, "GET", key)
        return value

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        names = [self._prefix + key for key in keys]
        groups = self._servers.together(names)
        if len(groups) == 1:  # nearly always: the values come in the order of the names
            values: list[bytes | None] = await self._reply(BULK, names[0], "MGET", *names)
            return values
        found: list[bytes | None] = [None] * len(names)

        async def get(group: list[int]) -> None:
            parts = await self._reply(BULK, names[group[0]], "MGET", *(names[at] for at in group))
            for at, value in zip(group, parts, strict=True):
                found[at] = value

        await _all([get(group) for group in groups])
        return found

    async def set(self, key: str, value: bytes, ttl: float | None = None, *, only_new: bool = False) -> bool:
        key = self._prefix + key
        words: list[Word] = ["SET", key, value]
        if ttl is not None:
            milliseconds = round(ttl * 1000)
            if milliseconds <= 0:  # SET refuses that
                there = await self._reply(BULK, key, *(("EXISTS", key) if only_new else ("DEL", key)))
                return not (only_new and there)
            words += ("PX", milliseconds)
        if only_new:
            words.append("NX")
        return await self._reply(BULK, key, *words) is not None

    async def delete(self, *keys: str) -> int:
        names = [self._prefix + key for key in keys]
        groups = [[names[at] for at in group] for group in self._servers.together(names)]
        return sum(await _all([self._reply(BULK, group[0], "DEL", *group) for group in groups]))

    async def add(self, key: str, amount: int = 1, ttl: float | None = None) -> int:
        count: int
        if ttl is not None:
            count = await self.run(ADD, (key,), (amount, max(1, round(ttl * 1000))))
            return count
        key = self._prefix + key
        count = await self._reply(QUICK, key, "INCRBY", key, amount)
        return count

    async def run(self, script: Script, keys: Sequence[str], arguments: Sequence[Word] = ()) -> Any:
        prefix = self._prefix
        names = [prefix + key for key in keys]
        key = names[0] if names else ""
        due = self._loop.time() + MOST_TIME
        try:
            return await self._ask(QUICK, key, pack(("EVALSHA", script.sha, len(names), *names, *arguments)))
        except Refused as error:
            if not str(error).startswith("NOSCRIPT"):
                raise self._meaning(error) from error
        try:
            async with asyncio.timeout_at(due):
                return await self._reply(QUICK, key, "EVAL", script.source, len(names), *names, *arguments)
        except TimeoutError as error:
            raise StoreDown(reason="no answer in time") from error

    async def publish(self, channel: str, message: bytes) -> None:
        channel = self._prefix + channel
        await self._reply(QUICK, channel, "PUBLISH", channel, message)

    def subscribe(self, channel: str, listener: Listener, lost: Callable[[], object] | None = None) -> Subscription:
        return self._channels.subscribe(self._prefix + channel, listener, lost)

    def problem(self) -> str | None:
        return self._servers.problem()

    async def _reply(self, lane: int, key: str, *words: Word) -> Any:
        try:
            return await self._ask(lane, key, pack(words))
        except Refused as error:
            raise self._meaning(error) from error

    def _meaning(self, error: Refused) -> SporkError:
        self._counts.errors += 1
        text = str(error)
        kind = text.partition(" ")[0]
        if kind in _ELSEWHERE:
            self._servers.elsewhere(text)
        if kind in _PASSING:
            return StoreDown(reason=text)
        return RefusedByStore(text)


async def _all(awaitables: list[Any]) -> list[Any]:
    """Their results: one after the other is waited for, all are under way."""
    if len(awaitables) == 1:
        return [await awaitables[0]]
    return list(await asyncio.gather(*awaitables))
