"""The process model: one process that serves, or a supervisor with workers that do.

``workers: 1`` serves in the calling process. ``workers: N`` makes the calling process a supervisor, which handles no
request: it binds the sockets, forks the workers, and sees to it that they live.

Rules of this package
1. The supervisor forks. It is single-threaded, runs no event loop and stays so, which is what makes ``os.fork`` safe.
   In return a worker inherits ``source``, the bound sockets and the last good config as they are, shares the memory of
   all that was imported, and starts in milliseconds. Every worker builds its own Gateway after the fork: no plugin
   instance is ever copied.
2. All workers accept from the same sockets. The supervisor keeps them open, so a connection that waits to be accepted
   outlives the worker that dies before it gets to it, and the others serve on meanwhile.
3. The admin socket is shared in the same way: whichever worker is free answers. Liveness, readiness and counts are
   those of the worker that answered, and ``/status`` names it (``pid``, ``worker``).
4. Supervisor and worker talk over a socket pair, one byte a message (``Word``). Its end of file tells a worker that
   the supervisor is gone: it drains and ends, there are no orphans. A reload goes this way too, in both directions:
   whoever is asked for one (``POST /reload``, SIGHUP to a worker) tells the supervisor, who checks the config once and
   tells all.
5. A worker that has to be replaced gets the config that the others run on, not what the file says by then.
"""

from spork_core.workers.logs import set_up_logging
from spork_core.workers.pidfile import signal_reload
from spork_core.workers.start import run, usable_cpus

__all__ = ["run", "set_up_logging", "signal_reload", "usable_cpus"]
