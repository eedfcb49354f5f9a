"""The connections to one endpoint: reused last in, first out, bounded, and dropped before the upstream drops them."""

import asyncio
import ssl
from collections import OrderedDict, deque
from typing import Final

from spork_core.config.model import PoolConfig, UpstreamTimeouts
from spork_core.deadlines import Deadlines
from spork_core.errors import UpstreamConnectFailed, UpstreamTimeout, UpstreamUnavailable
from spork_core.exchange import Endpoint
from spork_core.fiber import Wait
from spork_core.outbox import Outbox
from spork_core.upstream.connection import UpstreamConnection
from spork_core.upstream.heads import ReplyParser
from spork_core.upstream.resolver import Resolver

_EARLY: Final = 0.002
"""Seconds by which a loop may be early with a timer."""


class TimeLimits:
    """The time limits of requests to a service, each a queue shared by all its connections. Seconds."""

    __slots__ = ("awaiting_head", "connect", "stalled", "total")

    def __init__(self, timeouts: UpstreamTimeouts) -> None:
        self.connect = timeouts.connect
        self.total = timeouts.total
        connection = UpstreamConnection
        self.awaiting_head: Deadlines[UpstreamConnection] = Deadlines(timeouts.response, connection.head_overdue)
        self.stalled: Deadlines[UpstreamConnection] = Deadlines(timeouts.idle, connection.stall_overdue)


class _Turn(Wait):
    """A position in the line for a connection, and what it got: ``connection``, or a ``place`` for a new one."""

    __slots__ = ("connection", "place")

    def __init__(self) -> None:
        super().__init__()
        self.connection: UpstreamConnection | None = None
        self.place = False


class Pool:
    """The connections to ``endpoint``, which is at ``host``:``port`` or at the unix socket ``path``."""

    def __init__(
        self,
        endpoint: Endpoint,
        config: PoolConfig,
        limits: TimeLimits,
        resolver: Resolver,
        outbox: Outbox,
        *,
        host: str = "",
        port: int = 0,
        path: str = "",
        tls: ssl.SSLContext | None = None,
        server_name: str | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.config = config
        self.limits = limits
        self.outbox = outbox
        self.parser = ReplyParser()
        self._resolver = resolver
        self._host = host
        self._port = port
        self._path = path
        self._tls = tls
        self._server_name = (server_name or host) if tls is not None else None
        self._idle: deque[UpstreamConnection] = deque()
        self._turns: OrderedDict[_Turn, None] = OrderedDict()  # a line that one may leave from its middle
        self._open: set[UpstreamConnection] = set()
        self._connecting = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        standard = 443 if tls is not None else 80
        bare = f"[{host}]" if ":" in host else host
        self.authority = "localhost" if path else bare if port == standard else f"{bare}:{port}"
        """The Host of this endpoint, for requests that name none."""

    def __repr__(self) -> str:
        return f"<Pool {self.endpoint} [{len(self._open)} open, {len(self._idle)} idle, {len(self._turns)} waiting]>"

    @property
    def open(self) -> int:
        """Connections there are, busy and idle."""
        return len(self._open)

    @property
    def idle(self) -> int:
        """Connections that wait for a request."""
        return len(self._idle)

    @property
    def waiting(self) -> int:
        """Requests that wait for a connection."""
        return len(self._turns)

    def take(self) -> UpstreamConnection | None:
        """An idle connection, the one used last first: the least likely to be stale. None when there is none."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.error is None and not connection.transport.is_closing():
                return connection
        return None

    async def acquire(
        self, limits: TimeLimits, deadline: float | None = None, *, fresh: bool = False
    ) -> UpstreamConnection:
        """An idle connection (unless ``fresh``) or a new one; when the endpoint has its most, the next that comes free.

        ``deadline``: the loop's time at which the whole exchange must be over. Raises UpstreamConnectFailed,
        UpstreamTimeout (both with ``sent`` False), UpstreamUnavailable.
        """
        if not fresh and (connection := self.take()) is not None:
            return connection
        if not self._reserve() and (connection := await self._wait(limits, deadline)) is not None:
            return connection
        connecting = asyncio.get_running_loop().create_task(self._connect(_within(limits.connect, deadline)))
        try:
            connection = await connecting
        except BaseException:
            self._connecting -= 1
            if connecting.done() and not connecting.cancelled() and connecting.exception() is None:
                self.release(connecting.result())  # the exchange was cancelled in the very moment it was there
            else:
                self._next_turn(None)
            raise
        self._connecting -= 1
        return connection

    def _reserve(self) -> bool:
        """Takes a place for a new connection; False when there is none."""
        if len(self._open) + self._connecting >= self.config.connections:
            return False
        self._connecting += 1
        return True

    async def _wait(self, limits: TimeLimits, deadline: float | None) -> UpstreamConnection | None:
        """A connection that has come free, or None and a place for a new one."""
        if len(self._turns) >= self.config.pending:
            raise UpstreamUnavailable(
                "Too many requests wait for the upstream.", reason=f"{self!r}: pool.pending is used up", sent=False
            )
        turn = _Turn()
        self._turns[turn] = None
        late = UpstreamUnavailable(
            "The upstream is busy.", reason=f"{self!r}: no free connection within connect time-out", sent=False
        )
        timer = asyncio.get_running_loop().call_later(_within(limits.connect, deadline), turn.wake, late)
        try:
            await turn
        except BaseException:
            if turn.connection is not None:
                if not turn.connection.closed:
                    self.release(turn.connection)
            elif turn.place:
                self._connecting -= 1
                self._next_turn(None)
            raise
        finally:
            timer.cancel()
            self._turns.pop(turn, None)
        connection = turn.connection
        if connection is not None and connection.closed:  # since it was given
            return None if self._reserve() else await self._wait(limits, deadline)
        return connection

    def _next_turn(self, connection: UpstreamConnection | None) -> bool:
        """Gives ``connection``, or else a place for a new one, to the first in the line."""
        while self._turns:
            if connection is None and not self._reserve():
                return False
            turn, _ = self._turns.popitem(last=False)
            if turn.done():
                self._connecting -= connection is None
            else:
                turn.connection = connection
                turn.place = connection is None
                # Through the loop: woken on the spot, a line of failing requests would nest as deep as the line is
                # long.
                asyncio.get_running_loop().call_soon(turn.wake)
                return True
        return False

    async def _connect(self, seconds: float) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                if self._path:
                    _, connection = await loop.create_unix_connection(
                        self._made, self._path, ssl=self._tls, server_hostname=self._server_name
                    )
                else:
                    connection = await self._connect_tcp(loop)
        except TimeoutError as error:
            raise UpstreamTimeout(
                "The upstream could not be reached in time.", reason=f"connect to {self.endpoint}: time-out", sent=False
            ) from error
        except (OSError, ssl.SSLError, ssl.CertificateError) as error:
            raise UpstreamConnectFailed(
                "The upstream could not be reached.", reason=f"connect to {self.endpoint}: {error}", sent=False
            ) from error
        connection.born = loop.time()
        self._open.add(connection)
        if self._closed:
            connection.abort()
            raise UpstreamConnectFailed("The upstream could not be reached.", reason="the pool is closed", sent=False)
        return connection

    async def _connect_tcp(self, loop: asyncio.AbstractEventLoop) -> UpstreamConnection:
        addresses = await self._resolver.addresses(self._host)
        last: OSError = OSError(f"{self._host} has no address")
        for address in addresses:
            try:
                _, connection = await loop.create_connection(
                    self._made, address, self._port, ssl=self._tls, server_hostname=self._server_name
                )
            except (OSError, ssl.SSLError) as error:
                last = error
            else:
                return connection
        raise last

    def _made(self) -> UpstreamConnection:
        return UpstreamConnection(self)

    # -- the connection's side ----------------------------------------------------------------------

    def release(self, connection: UpstreamConnection) -> None:
        """``connection`` is free again."""
        loop = self._loop
        if loop is None:  # kept: asyncio.get_running_loop() asks for the process id each time before 3.12 (0.15 µs)
            loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        config = self.config
        if (
            self._closed
            or connection.transport.is_closing()
            or config.idle <= 0
            or (config.max_age is not None and now - connection.born > config.max_age)
        ):
            connection.close()
        elif not (self._turns and self._next_turn(connection)):
            connection.idle_since = now
            self._idle.append(connection)
            if self._sweeper is None:
                self._arm()

    def forget(self, connection: UpstreamConnection) -> None:
        """``connection`` is gone."""
        self._open.discard(connection)
        if connection.idle_since and connection in self._idle:
            self._idle.remove(connection)
        if self._turns:
            self._next_turn(None)

    def _arm(self) -> None:
        due = self._idle[0].idle_since + self.config.idle
        self._sweeper = asyncio.get_running_loop().call_at(due, self._sweep)

    def _sweep(self) -> None:
        """Closes what has been idle too long; the left end of the line has been idle longest."""
        self._sweeper = None
        since = asyncio.get_running_loop().time() - self.config.idle + _EARLY
        while self._idle and self._idle[0].idle_since <= since:
            self._idle[0].close()
        if self._idle:
            self._arm()

    def close(self) -> None:
        """Closes idle connections now and the others when their responses are complete."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for connection in tuple(self._idle):
            connection.close()

    def abort(self) -> None:
        """Closes every connection now."""
        self.close()
        for connection in tuple(self._open):
            connection.abort()


def _within(seconds: float, deadline: float | None) -> float:
    """``seconds``, or what is left until ``deadline`` on the loop's clock when that is less."""
    return seconds if deadline is None else max(0.0, min(seconds, deadline - asyncio.get_running_loop().time()))
