"""Tells the world outside what the process does: the operator, the service manager, and whoever reads the pidfile."""

import os
from collections.abc import Callable
from pathlib import Path

from spork_core import __version__
from spork_core.config.model import GatewayConfig
from spork_core.workers.pidfile import PidFile
from spork_core.workers.sockets import Sockets
from spork_core.workers.systemd import Notifier


class Herald:
    """The voice of the supervisor, or of the one process that serves."""

    def __init__(self, sockets: Sockets, announce: Callable[[str], None], pidfile: Path | None) -> None:
        self._sockets = sockets
        self._announce = announce
        self._pidfile = PidFile(pidfile)
        self._notifier = Notifier()

    def ready(self, config: GatewayConfig, workers: int) -> None:
        """Exchanges are served, and signals are heard. Raises OSError when the pidfile cannot be written."""
        self._pidfile.write()
        for line in self._sockets.lines(config):
            self._announce(line)
        crowd = f", {workers} workers" if workers > 1 else ""
        self._announce(f"ready: spork {__version__}, pid {os.getpid()}{crowd}")
        self._notifier.ready()

    def reloading(self) -> None:
        """A reload has begun."""
        self._notifier.reloading()

    def reloaded(self) -> None:
        """A reload has ended, however it went."""
        self._notifier.ready()

    def stopping(self) -> None:
        """The end has begun."""
        self._notifier.stopping()

    def gone(self) -> None:
        """Nothing is served any more."""
        self._pidfile.remove()
