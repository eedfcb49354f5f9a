"""The start: one process or many, from the same config."""

import math
import os
from collections.abc import Callable
from pathlib import Path

from spork_core.config.model import GatewayConfig
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.workers.herald import Herald
from spork_core.workers.serving import Serving, Source, run_loop, settle
from spork_core.workers.sockets import Sockets
from spork_core.workers.supervisor import Supervisor

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def run(
    source: Callable[[], GatewayConfig],
    registry: Registry,
    *,
    announce: Callable[[str], None],
    pidfile: Path | None = None,
) -> int:
    """Serves until SIGTERM or SIGINT, and gives the exit code; SIGHUP reloads.

    ``source``: loads the config, for the start and for every reload; raises ConfigError. ``announce``: told, when
    exchanges are served, where (``listening on http://…``, ``admin on http://…``) and by whom (``ready: …``).
    ``pidfile``: written when exchanges are served. Raises ConfigError when the first config cannot be used, OSError
    when an address cannot be bound or the pidfile not be written.
    """
    config = source()
    workers = usable_cpus() if config.workers == "auto" else config.workers
    if workers > 1:
        Gateway(config, registry)  # every worker makes its own; this one says here, once, what is wrong with the config
    settle()
    alone = Gateway(config, registry) if workers == 1 else None
    sockets = Sockets(config)
    try:
        herald = Herald(sockets, announce, pidfile)
        try:
            if alone is None:
                return Supervisor(source, registry, config, sockets, workers, herald).run()
            run_loop(lambda: _Alone(alone, source, herald), sockets.public, sockets.admin)
        finally:
            herald.gone()
    finally:
        sockets.close()
        sockets.unlink()
    return 0


class _Alone(Serving):
    """The one process that serves."""

    def __init__(self, gateway: Gateway, source: Source, herald: Herald) -> None:
        super().__init__(gateway, source)
        self._herald = herald

    def ready(self) -> None:
        self._herald.ready(self.gateway.config, 1)

    def reloading(self) -> None:
        self._herald.reloading()

    def reloaded(self, done: bool) -> None:
        self._herald.reloaded()

    def stopping(self) -> None:
        self._herald.stopping()


def usable_cpus() -> int:
    """The CPUs this process may use: its affinity, and no more than the quota of its control group."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = _QUOTA.read_text().split()
        return max(1, min(cpus, math.ceil(int(quota) / int(period))))
    except (OSError, ValueError):  # no such file, or "max": no quota
        return cpus
