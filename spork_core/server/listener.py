"""What the connections of one front share, and the sockets that feed it."""

import asyncio
import logging
import socket
import ssl
import sys
from typing import TYPE_CHECKING, Any, Final, Protocol

from spork_core.clock import Chance, Clock, HttpDate
from spork_core.config.model import GatewayConfig
from spork_core.deadlines import Deadlines
from spork_core.forwarded import Forwarding
from spork_core.outbox import Outbox
from spork_core.server.connection import ClientConnection
from spork_core.server.heads import HeadParser

if TYPE_CHECKING:
    from spork_core.engine import Engine
    from spork_core.errors import Problem
    from spork_core.exchange import Exchange
    from spork_core.plan import Plan
    from spork_core.problems import ProblemPages
    from spork_core.snapshot import Snapshot
    from spork_core.tunnel import Tunnel

log = logging.getLogger("spork_core.server")

LINGER: Final = 2.0
"""Seconds that a connection whose answer is out may take to end its side."""
HALF_CLOSED: Final = 1.0
"""Seconds without a written byte after which a client that ended its side counts as gone."""
FRESH: Final = 1.0
"""Seconds that a connection without a request has at the beginning of a drain."""
BACKLOG: Final = 4096
_ACCEPTS: Final = 64
_FULL: Final = (
    b'{"type":"about:blank","title":"Service Unavailable","status":503,"code":"overloaded","source":"gateway"}'
)
_GOODBYES: Final = 100
"""Turns of the loop that aborted connections get to end their exchanges."""


class Site(Protocol):
    """What the exchanges of a front run on: a snapshot, or the admin paths."""

    running: int
    """Exchanges that run on it."""
    retired: bool
    """True when no other exchange begins on it."""

    @property
    def engine(self) -> "Engine":
        """Runs them."""

    @property
    def pages(self) -> "ProblemPages":
        """Renders problems."""

    def plan(self, exchange: "Exchange", target: str, max_forwards: int | None) -> "Plan":
        """The plan of a request, or one that refuses."""

    def refusal(self, problem: "Problem") -> "Plan":
        """The plan of something that never became a request."""

    def check_drained(self) -> None:
        """Called when an exchange ends after ``retired``."""


class Listening:
    """The shared side of a front (public or admin): limits, time limits, the current snapshot, the open connections."""

    def __init__(
        self, config: GatewayConfig, snapshot: Site, clock: Clock, chance: Chance, outbox: Outbox | None = None
    ) -> None:
        self.outbox = outbox or Outbox()
        self.snapshot = snapshot
        """Where the next exchange runs; replaced by a reload."""
        self.clock = clock
        self.chance = chance
        self.date = HttpDate(clock)
        self.connections: set[ClientConnection] = set()
        self.tunnels: dict[Tunnel, ClientConnection] = {}
        self.refused = 0
        """Connections turned away because there were too many."""
        self.draining = False
        self.last_answers = False
        """True when each answer is the last on its connection: when draining, or without keep-alive."""
        self.idle = asyncio.Event()
        timeouts = config.timeouts
        connection = ClientConnection
        self.head_due = Deadlines(timeouts.header, connection.head_overdue)
        self.body_due = Deadlines(timeouts.body, connection.body_overdue)
        self.idle_due = Deadlines(timeouts.keep_alive, connection.idle_overdue)
        self.write_due = Deadlines(timeouts.write, connection.write_overdue)
        self.half_closed_due = Deadlines(HALF_CLOSED, connection.half_closed_overdue)
        self.linger_due = Deadlines(LINGER, connection.linger_overdue)
        self._all_due = (
            self.head_due,
            self.body_due,
            self.idle_due,
            self.write_due,
            self.half_closed_due,
            self.linger_due,
        )
        self.configure(config)

    def configure(self, config: GatewayConfig) -> None:
        """Takes over limits and time limits; open connections meet the new ones with their next request."""
        timeouts = config.timeouts
        self.limits = config.limits
        self.last_answers = self.draining or timeouts.keep_alive <= 0
        self.via = config.forwarded.via
        self.parser = HeadParser(config.limits)
        self.forwarding = Forwarding(
            config.trusted_proxies, x_forwarded=config.forwarded.x_forwarded, forwarded=config.forwarded.forwarded
        )
        self.head_due.seconds = timeouts.header
        self.body_due.seconds = timeouts.body
        self.idle_due.seconds = timeouts.keep_alive
        self.write_due.seconds = timeouts.write
        for connection in self.connections:
            connection.reconfigured()

    def admit(self, connection: ClientConnection) -> bool:
        """Counts a new connection in; False when there are too many."""
        self.connections.add(connection)
        if len(self.connections) > self.limits.connections:
            self.refused += 1
            return False
        return True

    def full(self) -> bytes:
        """What a connection over the limit is told before it is closed."""
        return b"HTTP/1.1 503 Service Unavailable\r\n%bContent-Length: %d\r\n\r\n%b" % (
            b"Content-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\n",
            len(_FULL),
            _FULL,
        )

    def left(self, connection: ClientConnection) -> None:
        """The connection is gone."""
        self.connections.discard(connection)
        for due in self._all_due:
            due.stop(connection)
        if self.draining and not self.connections:
            self.idle.set()

    def drain(self) -> None:
        """Takes no more requests: idle connections end now, the others after the answer they are at. One that has not
        sent its first request yet may be about to: it has a moment."""
        self.draining = self.last_answers = True
        self.outbox.flush()
        if not self.connections:
            self.idle.set()
        for connection in tuple(self.connections):
            if connection.fresh:
                asyncio.get_running_loop().call_later(FRESH, connection.close_if_idle)
            else:
                connection.close_if_idle()

    def migrate(self, old: "Snapshot", new: "Snapshot") -> None:
        """Exchanges on routes that did not change go on as the new snapshot's, for as long as they like."""
        for connection in (*self.connections, *self.tunnels.values()):
            connection.migrate(old, new)

    def abort_on(self, snapshot: "Snapshot") -> None:
        """Ends the exchanges that run on ``snapshot``."""
        for tunnel, connection in tuple(self.tunnels.items()):
            if connection.runs_on(snapshot):
                tunnel.close()
        for connection in tuple(self.connections):
            if connection.runs_on(snapshot):
                connection.abort()

    async def abort(self) -> None:
        """Ends what is left, and lets it say goodbye."""
        for tunnel in tuple(self.tunnels):
            tunnel.close()
        for connection in tuple(self.connections):
            connection.abort()
        for _ in range(_GOODBYES):
            if not (self.connections or self.tunnels):
                break
            await asyncio.sleep(0)
        for due in self._all_due:
            due.close()

    async def serve(self, sock: socket.socket, tls: ssl.SSLContext | None, handshake: float) -> asyncio.Server:
        """Accepts connections on a bound socket."""
        loop = asyncio.get_running_loop()
        # asyncio accepts as many connections at a time as the backlog is long; few, so that workers share them out.
        more: dict[str, Any] = {"backlog": _ACCEPTS}
        if tls is not None:
            more |= {"ssl": tls, "ssl_handshake_timeout": handshake}
        if sock.family == socket.AF_UNIX:
            if sys.version_info >= (3, 13):
                more["cleanup_socket"] = False  # other workers may still serve on it; ``Gateway.stop`` unlinks it
            server = await loop.create_unix_server(lambda: ClientConnection(self), sock=sock, **more)
        else:
            server = await loop.create_server(lambda: ClientConnection(self), sock=sock, **more)
        sock.listen(BACKLOG)
        return server
