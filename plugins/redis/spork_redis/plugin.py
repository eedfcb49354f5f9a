"""The plugin: makes the store when the gateway starts, tells how it is, and ends it."""

import asyncio
from collections.abc import Iterable, Iterator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Final

from spork_core.api import STORE, GatewayView, Metric, Plugin, ResourceKey, StoreDown, hookimpl
from spork_redis.channels import Channels
from spork_redis.cluster import Cluster
from spork_redis.config import RedisConfig
from spork_redis.counts import Counts
from spork_redis.embedded import Embedded
from spork_redis.lane import Connect, Lane
from spork_redis.line import Answer, pack
from spork_redis.servers import OneServer, Servers
from spork_redis.store import RedisStore

if TYPE_CHECKING:
    from spork_redis.connecting import Connecting

_INFO: Final = pack(("INFO", "server"))
_VERSIONS: Final = (("valkey_version:", "Valkey "), ("redis_version:", "Redis "))
"""Lines of INFO; a Valkey has the other one, too."""


class Redis(Plugin[RedisConfig]):
    """Gives the gateway a Store that others share."""

    Config: ClassVar[type] = RedisConfig
    gives: ClassVar[tuple[ResourceKey[Any], ...]] = (STORE,)

    def __init__(self, config: RedisConfig, name: str) -> None:
        super().__init__(config, name)
        self._gateway: GatewayView | None = None
        self._connecting: Connecting | None = None
        self._embedded: Embedded | None = None
        self._servers: Servers | None = None
        self._channels: Channels | None = None
        self._store: RedisStore | None = None
        self._counts = Counts()
        self._down = False
        """That it is down was told, and that it is back was not."""
        self._version = ""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        config = self.config
        place = config.place
        # redis-py takes a fifth of a second to be imported, and TLS contexts read files: not in the loop.
        making = await asyncio.to_thread(import_module, "spork_redis.connecting")
        context = await asyncio.to_thread(making.tls_context, config.tls) if place.tls else None
        connecting: Connecting = making.Connecting(config, context)
        self._connecting = connecting
        connect: Connect = connecting.to_place
        if place.mode == "own":
            embedded = self._embedded = Embedded(config, self.name, gateway.slot)
            await embedded.start()
            connect = embedded.connected_by(connecting.to_socket)
        chance, counts = gateway.chance, self._counts
        servers: Servers
        if place.mode == "cluster":
            servers = Cluster(connecting.to, partial(Lane, config, chance, counts), config, chance, self._tell)
            connect = servers.to_any
        else:
            servers = OneServer(partial(Lane, config, chance, counts, connect, self._tell))
        self._servers = servers
        channels = self._channels = Channels(connect, config, chance)
        await servers.start()
        self._store = gateway.resources[STORE] = RedisStore(servers, channels, config, counts)
        self._gateway = gateway
        self._tell()

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        self._gateway = None
        if self._channels is not None:
            await self._channels.stop()
        if self._servers is not None:
            await self._servers.stop()
        if self._connecting is not None:
            await self._connecting.close()
        if self._embedded is not None:
            await self._embedded.stop()

    def _tell(self) -> None:
        """Something went down or came up."""
        if self._gateway is None or self._servers is None:
            return
        problem = self._servers.problem()
        if problem is not None and not self._down:
            self._gateway.event("store-down", f"{self.name}: the store does not answer: {problem}", store=self.name)
        elif problem is None and self._down:
            self._gateway.event("store-up", f"{self.name}: the store answers again", store=self.name)
        self._down = problem is not None
        lane = next(iter(self._servers.lanes), None)
        if lane is not None and lane.problem is None:
            try:
                lane.ask(_INFO).add_done_callback(self._learn)
            except StoreDown:  # too much waits already
                pass

    def _learn(self, answer: Answer) -> None:
        """Reads the server's version, which another server may have brought."""
        if answer.cancelled() or answer.exception() is not None:
            return
        lines = answer.result().decode(errors="replace").splitlines()
        for begin, kind in _VERSIONS:
            for line in lines:
                if line.startswith(begin):
                    self._version = kind + line.removeprefix(begin)
                    return

    # -- telling --------------------------------------------------------------------------------------

    @hookimpl
    def health(self, gateway: GatewayView) -> str | None:
        problem = "it is not started" if self._store is None else self._store.problem()
        return None if problem is None else f"the store does not answer: {problem}"

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        store, servers, channels = self._store, self._servers, self._channels
        place = self.config.place
        if store is None or servers is None or channels is None:
            return {"mode": place.mode, "at": str(place), "problem": "it is not started"}
        lanes, counts = tuple(servers.lanes), self._counts
        return {
            "mode": place.mode,
            "at": str(place),
            "server": self._version,
            "prefix": self.config.prefix,
            "problem": store.problem(),
            "last_problem": counts.last_problem,
            "connections": sum(lane.connected for lane in lanes),
            "breakers_open": sum(lane.problem is not None for lane in lanes),
            "connected": counts.connections,
            "commands": counts.commands,
            "commands_a_write": round(counts.commands / counts.writes, 2) if counts.writes else 0,
            "waiting": sum(lane.waiting for lane in lanes),
            "timeouts": counts.timeouts,
            "refused": counts.refused,
            "errors": counts.errors,
            "channels": len(channels),
            "messages": channels.messages,
            "channels_problem": channels.problem,
        }

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterable[Metric]:
        if self._store is None or self._servers is None:
            return ()
        return tuple(_metrics(self._counts, self._servers.lanes, self._store.problem() is None))


def _metrics(counts: Counts, lanes: Iterable[Lane], up: bool) -> Iterator[Metric]:
    told: tuple[tuple[str, str, float], ...] = (
        ("store_commands", "Commands sent to the store.", counts.commands),
        ("store_writes", "Writes that took them there: commands of one turn of the loop go together.", counts.writes),
        ("store_timeouts", "Commands that had no answer in time.", counts.timeouts),
        ("store_command_errors", "Commands that the server refused.", counts.errors),
        ("store_refused", "Commands not sent because the store was down.", counts.refused),
        ("store_connects", "Connections made to the store.", counts.connections),
    )
    for name, text, value in told:
        yield Metric(name, "counter", text, (), {(): value})
    yield Metric("store_up", "gauge", "1 while the store answers.", (), {(): up})
    waiting = sum(lane.waiting for lane in lanes)
    yield Metric("store_commands_waiting", "gauge", "Commands that have no reply yet.", (), {(): waiting})
