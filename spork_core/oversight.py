"""Oversight: what a gateway sees of its plugins while they work, and whom it tells."""

import asyncio
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from spork_core.attribution import HookStats, Metering, Observer, home_of, place_in, place_of, words_of
from spork_core.config.model import GatewayConfig
from spork_core.events import Event, Events
from spork_core.watchdog import Watchdog

if TYPE_CHECKING:
    from spork_core.gateway import Gateway
    from spork_core.registry import Instance

log = logging.getLogger("spork_core.oversight")


class Oversight:
    """The events, the measuring and the watchdog of one gateway. ``observer``: told of every call of a hook."""

    def __init__(self, gateway: "Gateway", observer: Observer | None) -> None:
        self._gateway = gateway
        self._observer = observer
        self._watchdog: Watchdog | None = None
        self.events = Events(gateway.clock)
        self.events.listen(self._tell)

    def metering(self, config: GatewayConfig) -> Metering:
        """How the pipelines of a config are measured."""
        attribution = config.attribution
        return Metering(attribution.hooks, attribution.blocking, self._blocked, self._observer)

    async def watch(self, config: GatewayConfig, *, serving: bool = True) -> None:
        """Watches the running loop as ``config`` says, if otherwise than before. ``serving``: False while instances
        start and nobody waits for them yet."""
        seconds, watchdog = config.attribution.blocking, self._watchdog
        if watchdog is not None and watchdog.seconds != seconds:
            await self.stop()
        if seconds is not None and self._watchdog is None:
            self._watchdog = Watchdog(seconds, self.events, self._homes)
            await self._watchdog.start()
        if self._watchdog is not None:
            self._watchdog.serving = serving

    async def stop(self) -> None:
        """Watches no more."""
        watchdog, self._watchdog = self._watchdog, None
        if watchdog is not None:
            await watchdog.stop()

    def _blocked(self, stats: HookStats, seconds: float, place: str) -> None:
        if self._watchdog is not None:
            self._watchdog.hook_blocked(stats, seconds, place)

    def _homes(self) -> dict[Path, str]:
        """Where the code of the plugins lies, for the watchdog; called in its thread. Also of those that only start,
        or still end: they run in the loop that serves."""
        names: dict[Path, list[str]] = {}
        for snapshot in self._gateway.snapshots():
            for name, instance in snapshot.instances.items():
                home = home_of(type(instance.plugin))
                if home is not None and name not in names.setdefault(home, []):
                    names[home].append(name)
        return {home: " or ".join(found) for home, found in names.items()}

    def _tell(self, event: Event) -> None:
        """Gives an event to the instances that want to know."""
        given = {"gateway": self._gateway.view(), "event": event}
        for instance in self._gateway.snapshot.instances.values():
            impl = instance.impls.get("on_event")
            if impl is None or not instance.started:
                continue
            try:
                answer = impl.function(*(given[name] for name in impl.argnames))
            except BaseException as error:  # a def: whatever it raises is its own, and no exchange must end for it
                _failed(instance, words_of(error), place_in(error, impl.function), error)
            else:
                if asyncio.iscoroutine(answer):
                    answer.close()
                    reason = "answered with a coroutine, which nobody awaits; start a task for what takes time"
                    _failed(instance, reason, place_of(impl.function))


def _failed(instance: "Instance", reason: str, place: str, error: BaseException | None = None) -> None:
    instance.failures += 1
    instance.last_failure = f"on_event at {place}: {reason}"
    log.error(
        "instance %s (plugin %s) failed in on_event at %s: %s",
        instance.name,
        instance.config.use,
        place,
        reason,
        exc_info=error,
    )
