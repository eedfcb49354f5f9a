"""How a client connection ends: gently after an answer, at once when the client is gone, and when its time is up.

Rules of this file
1. An answer that is out is given the time to arrive: closing with unread input would reset the connection and take it
   away.
2. A client that is gone takes its exchange with it.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from spork_core.body import StreamBody
from spork_core.errors import ClientDisconnected
from spork_core.fiber import Fiber
from spork_core.server.answering import Answering

if TYPE_CHECKING:
    from spork_core.server.connection import ClientConnection
    from spork_core.server.listener import Listening


class Closing(Answering):
    """The ending half of a client connection."""

    __slots__ = ("_body", "_buffer", "_half_closed", "_written")

    def __init__(self, listening: "Listening") -> None:
        super().__init__(listening)
        self._buffer = b""
        """What came in and is not looked at yet."""
        self._body: StreamBody | None = None
        """The content of the running exchange's request."""
        self._half_closed = False
        """True when the client has ended its side."""
        self._written = 0

    @property
    def _me(self) -> "ClientConnection":
        return cast("ClientConnection", self)

    def close_if_idle(self) -> None:
        """Ends a connection on which no exchange runs."""
        if not self._running:
            self.transport.close()

    def _unread(self) -> bytes:
        data, self._buffer = self._buffer, b""
        return data

    def eof_received(self) -> bool:
        if not self._running:
            return False
        if self._framing is not None or self.tls is not None:  # TLS ends both sides at once
            self._cancel()
            return False
        # The client has ended its side and may still read (RFC 9112 does not forbid it): give it its answer, but not
        # for ever, since one that has gone altogether looks the same until something is written to it.
        self._half_closed = True
        self._written = self.bytes_sent
        self.listening.half_closed_due.start(self._me)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.listening.left(self._me)
        self._closing = True
        if self._running:
            self._cancel()

    def _cancel(self) -> None:
        """The client is gone: so is the exchange."""
        running = self._running
        body = self._body
        if isinstance(running, Fiber | asyncio.Task):
            running.cancel()  # first: an exchange that saw its body fail would answer that
        if body is not None and not body.complete:
            body.fail(ClientDisconnected(reason="the client closed the connection"))

    def _close_gently(self) -> None:
        """Ends our side and waits a moment for the client's: closing with unread input would reset the connection and
        take the answer away from a client that is still sending."""
        self._closing = True
        transport = self.transport
        self.listening.outbox.flush()
        if transport.get_write_buffer_size():
            # A slow client has yet to read its answer; its moment begins after that. Until then it counts as a client
            # for whom writing pauses, and ``resume_writing`` comes back here.
            transport.set_write_buffer_limits(0)
            return
        if self.tls is not None or self._half_closed or not transport.can_write_eof():
            transport.close()
            return
        if not transport.is_reading():
            transport.resume_reading()
        transport.write_eof()
        self._buffer = b""
        self.listening.linger_due.start(self._me)

    def idle_overdue(self) -> None:
        """No other request within the keep-alive time."""
        if not self._running:
            self._close_now()

    def half_closed_overdue(self) -> None:
        """The client ended its side, and nothing has been written to it since the last look."""
        if not self._running:
            return
        if self.bytes_sent == self._written:
            self._cancel()
            self.abort()
        else:
            self._written = self.bytes_sent
            self.listening.half_closed_due.start(self._me)

    def write_overdue(self) -> None:
        """The client does not read."""
        self._cancel()
        self.abort()

    def linger_overdue(self) -> None:
        """The client has its answer and does not end its side."""
        self.transport.abort()

    def _close_now(self) -> None:
        self._closing = True
        self.transport.set_write_buffer_limits(0)  # what it never reads is a matter of ``write_due``
        self.transport.close()
