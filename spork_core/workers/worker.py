"""A worker: one process that serves, forked and led by a supervisor."""

import asyncio
import logging
import signal
import socket
from collections.abc import Callable
from enum import Enum

from spork_core.config.model import GatewayConfig
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.workers.serving import Serving, Source, run_loop
from spork_core.workers.sockets import Sockets

log = logging.getLogger("spork_core.workers")


class Word(Enum):
    """A message between supervisor and worker."""

    READY = b"r"
    """Worker: I serve."""
    ASK_RELOAD = b"a"
    """Worker: I was asked for a reload."""
    RELOADED = b"d"
    """Worker: I run on the new config."""
    KEPT = b"k"
    """Worker: I could not start on the new config and keep the one I had."""
    RELOAD = b"l"
    """Supervisor: load the config, it is good."""
    REFUSED = b"x"
    """Supervisor: the new config is no good; nothing changes."""


class Worker(Serving):
    """Serves until its supervisor says so, or is gone (the end of file of ``line``)."""

    def __init__(self, gateway: Gateway, source: Source, line: socket.socket) -> None:
        super().__init__(gateway, source)
        self._line = line
        self._line.setblocking(False)
        asyncio.get_running_loop().add_reader(line, self._hear)

    def handlers(self) -> dict[signal.Signals, Callable[[], object]]:
        # Ctrl-C reaches the whole process group; the supervisor then says what to do.
        return {signal.SIGTERM: self.stop, signal.SIGINT: lambda: None, signal.SIGHUP: self.ask_reload}

    def stop(self) -> None:
        # Once: the service manager may signal every process, and so does the supervisor, who kills when it is time.
        if not self._stop.is_set():
            super().stop()

    def _hear(self) -> None:
        try:
            words = self._line.recv(64)
        except OSError:
            words = b""
        if not words:
            log.warning("the supervisor is gone: draining")
            asyncio.get_running_loop().remove_reader(self._line)
            self.stop()
        for byte in words:
            word = Word(bytes((byte,)))
            if word is Word.RELOAD:
                self.reload()
            elif word is Word.REFUSED:
                self.gateway.reload_failed("the supervisor could not use the new config; its log says why")

    def _say(self, word: Word) -> None:
        try:
            self._line.send(word.value)
        except OSError:  # nobody listens any more, and ``_hear`` knows
            pass

    def ask_reload(self) -> None:
        self._say(Word.ASK_RELOAD)

    def ready(self) -> None:
        self._say(Word.READY)

    def reloaded(self, done: bool) -> None:
        self._say(Word.RELOADED if done else Word.KEPT)


def work(
    slot: int, config: GatewayConfig, source: Source, registry: Registry, sockets: Sockets, line: socket.socket
) -> int:
    """The life of the worker in ``slot``; ``line`` is its end of the pair. Gives the exit code."""
    try:
        gateway = Gateway(config, registry)
        gateway.slot = slot
        run_loop(lambda: Worker(gateway, source, line), sockets.public, sockets.admin)
    except ConfigError as error:
        for problem in error.problems:
            log.error("worker %d cannot start: %s", slot, problem)
        return 1
    return 0
