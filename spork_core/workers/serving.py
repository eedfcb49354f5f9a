"""One process that serves: its loop, its signals, its reloads, its end."""

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Sequence
from typing import Final

from spork_core.config.model import GatewayConfig
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway
from spork_core.workers.heap import keep_freed

log = logging.getLogger("spork_core.workers")

Source = Callable[[], GatewayConfig]

SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""The signals that ``Serving`` handles."""
ECHO: Final = 0.5
"""Seconds within which being told to stop again means nothing: timeout(1) and some process managers signal the process
and its group at once."""


class Serving:
    """Serves by ``gateway`` until told to stop. Subclasses say what is told to whom."""

    def __init__(self, gateway: Gateway, source: Source) -> None:
        self.gateway = gateway
        self._source = source
        self._stop = asyncio.Event()
        self._stop_now = asyncio.Event()
        self._stopped_at = 0.0
        self._reload = asyncio.Event()

    # -- what others are told -----------------------------------------------------------------------

    def ready(self) -> None:
        """Exchanges are served from here on."""

    def reloading(self) -> None:
        """A reload has begun."""

    def reloaded(self, done: bool) -> None:
        """A reload has ended; ``done``: it took effect."""

    def stopping(self) -> None:
        """The end has begun."""

    # -- what it is told ----------------------------------------------------------------------------

    def stop(self) -> None:
        """Ends with grace; asked again, after ``ECHO`` seconds: at once."""
        now = asyncio.get_running_loop().time()
        if not self._stop.is_set():
            self._stop.set()
            self._stopped_at = now
        elif now - self._stopped_at >= ECHO:
            self._stop_now.set()

    def reload(self) -> None:
        """Loads the config and serves by it. Asked again while one runs: once more after it."""
        self._reload.set()

    def ask_reload(self) -> None:
        """An operator wants a reload."""
        self.reload()

    def handlers(self) -> dict[signal.Signals, Callable[[], object]]:
        """What a signal does."""
        return {signal.SIGTERM: self.stop, signal.SIGINT: self.stop, signal.SIGHUP: self.ask_reload}

    # -- the life -----------------------------------------------------------------------------------

    async def run(
        self, sockets: Sequence[socket.socket], admin_socket: socket.socket | None, grace: float | None = None
    ) -> None:
        """Serves on bound sockets until stopped. Raises ConfigError when an instance cannot start."""
        loop = asyncio.get_running_loop()
        for number, handler in self.handlers().items():
            loop.add_signal_handler(number, handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)  # a worker is forked with these held back
        gateway = self.gateway
        gateway.on_reload = self.ask_reload
        starting = asyncio.create_task(gateway.start(sockets, admin_socket))
        stop = asyncio.create_task(self._stop.wait())
        await asyncio.wait((starting, stop), return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.wait((starting,))
            return
        await starting
        self.ready()
        reloads = asyncio.create_task(self._reloads())
        await stop
        self.stopping()
        reloads.cancel()
        await asyncio.wait((reloads,))
        await self._end(grace)

    async def _end(self, grace: float | None) -> None:
        ending = asyncio.create_task(self.gateway.stop(grace))
        now = asyncio.create_task(self._stop_now.wait())
        await asyncio.wait((ending, now), return_when=asyncio.FIRST_COMPLETED)
        if not ending.done():
            log.warning("told to stop again: cutting what still runs")
            ending.cancel()
            await asyncio.wait((ending,))
            await self.gateway.stop(0)
            return
        now.cancel()
        await ending

    async def _reloads(self) -> None:
        while True:
            await self._reload.wait()
            self._reload.clear()
            self.reloading()
            self.reloaded(await self._reload_once())

    async def _reload_once(self) -> bool:
        gateway = self.gateway
        read = False
        try:
            config = await asyncio.to_thread(self._source)
            read = True
            await gateway.reload(config)
        except Exception as error:
            if not read:
                gateway.reload_failed(error)
            if isinstance(error, ConfigError):
                log_refused(error)
            else:
                log.exception("reload failed; the config that was stays in force")
            return False
        log.info("reloaded: %r", gateway.config)
        return True


def log_refused(error: ConfigError) -> None:
    """Says why a config is not taken, problem by problem."""
    log.error("reload refused, the config that was stays in force; %d problems", len(error.problems))
    for problem in error.problems:
        log.error("%s", problem)


def run_loop(serving: Callable[[], Serving], sockets: Sequence[socket.socket], admin: socket.socket | None) -> None:
    """Runs ``serving`` on a new event loop; uvloop's, unless it is not installed or SPORK_LOOP is ``asyncio``."""

    async def life() -> None:
        await serving().run(sockets, admin)

    keep_freed()
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(life())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if os.environ.get("SPORK_LOOP") == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def settle() -> None:
    """Takes what is loaded out of the garbage collector's sight, and lets it look less often.

    To be called after the imports and before a snapshot is built: what a snapshot holds must be collectable when a
    reload has replaced it. Under 1,000 busy connections and 1,000 routes, CPython's own settings cost 550 collections
    and 0.57 s in 3 s, with a pause of 150 ms (CPython 3.11); frozen, the longest was 28 ms; with the threshold too,
    5 collections took 6 ms together. Exchanges leave next to no cycles: what piles up between two looks is small.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
