"""One HTTP/1.1 connection to an endpoint: one request at a time, answers parsed strictly, silence kept while idle.

Rules of this file
1. A connection that receives a byte or an end while idle is closed: those bytes would answer somebody else's request.
2. The response may come before the request body is through; then the upload stops when the response is complete, and
   the connection is not used again.
3. The exchange is woken last, when the connection's own state is consistent: it may send its next request at once.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, cast

from spork_core.body import EMPTY, Body, BytesBody, StreamBody
from spork_core.errors import (
    ClientDisconnected,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamReset,
    UpstreamTimeout,
)
from spork_core.fiber import Fiber, Wait, without_exit
from spork_core.framing import Framing, FramingError, LengthFraming
from spork_core.headers import Headers
from spork_core.upstream.heads import MAX_HEAD, Reply
from spork_core.upstream.outgoing import blamed, framed

if TYPE_CHECKING:
    from spork_core.upstream.pool import Pool, TimeLimits

OnInformational = Callable[[int, Headers], object]
_INLINE: Final = 16384
"""A body of at most so many bytes goes out in one write with its head."""


class Sent(Wait):
    """A request on its way: the moment its response head is there (``reply``) or the connection has failed (None).

    It keeps the reply, since by the time a Task runs on, the connection may be lent to the next exchange.
    """

    __slots__ = ("connection", "reply")

    def __init__(self, connection: "UpstreamConnection") -> None:
        # Not through Wait.__init__: 0.11 µs saved.
        self._asyncio_future_blocking = False
        self._callback = self._context = self._error = None
        self._done = False
        self.connection = connection
        self.reply: Reply | None = None

    def end(self, error: BaseException) -> None:
        """Fails the request, unless its response is complete; then the connection may serve another by now."""
        connection, reply = self.connection, self.reply
        if connection.sent is self and (reply is None or (connection.busy and not reply.complete)):
            connection.fail(error)


class UpstreamConnection(asyncio.Protocol):
    """A connection to one endpoint; ``Pool`` makes it and gets it back."""

    __slots__ = (
        "_body",
        "_buffer",
        "_framing",
        "_head",
        "_held",
        "_informational",
        "_limits",
        "_no_body",
        "_paused",
        "_upload",
        "_waiting",
        "_writable",
        "born",
        "busy",
        "error",
        "idle_since",
        "pool",
        "sent",
        "transport",
        "used",
    )

    def __init__(self, pool: "Pool") -> None:
        self.pool = pool
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.busy = False
        self.used = False
        """True once an answer has come over it."""
        self.born = 0.0
        self.idle_since = 0.0
        self._buffer = b""
        self._head: Reply | None = None
        self._body: StreamBody | None = None
        self._framing: Framing | None = None
        self._informational: OnInformational | None = None
        self._limits = pool.limits
        self._no_body = False
        self._held = False
        self.error: BaseException | None = None
        """Why nothing more can be sent; None while something can."""
        self.sent: Sent | None = None
        """The request it carries, or carried last."""
        self._waiting = False
        """True until the response head is there."""
        self._writable: Wait | None = None
        self._paused = False
        self._upload: Fiber | asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = "closed" if self.closed else "busy" if self.busy else "idle"
        return f"<UpstreamConnection {self.pool.endpoint} {state}>"

    @property
    def closed(self) -> bool:
        """True when nothing more can be sent."""
        return self.error is not None or self.transport is None or self.transport.is_closing()

    @property
    def upgraded_to(self) -> str:
        """The protocol that the upstream's 101 names; "" for none."""
        return "" if self._head is None else self._head.upgrade

    @property
    def answered(self) -> bool:
        """True when a byte of the current response has come in."""
        return bool(self._buffer) or self._head is not None

    # -- the exchange's side ------------------------------------------------------------------------

    def send(
        self, head: bytes, body: Body, limits: "TimeLimits", *, head_only: bool, informational: OnInformational | None
    ) -> Sent:
        """Sends a request. Await what it gives: then its ``reply`` is the response, whose body streams on, or None and
        ``error`` says why, an UpstreamProblem or what reading ``body`` raised.

        ``head``: the whole request head. ``head_only``: the method is HEAD. ``informational``: told of each 1xx but 100
        and 101.
        """
        self.busy = True
        self._limits = limits
        self._head = self._body = self._framing = None
        self._no_body = head_only
        self._informational = informational
        self.sent = sent = Sent(self)
        self._waiting = True
        if body is EMPTY:
            self.pool.outbox.write(self.transport.write, head)
            limits.awaiting_head.start(self)
        else:
            self._send_body(head, body)
            if self.error is not None:
                sent.wake()
            elif self._upload is None:
                limits.awaiting_head.start(self)
        return sent

    def _send_body(self, head: bytes, body: Body) -> None:
        if type(body) is BytesBody and len(body.data) <= _INLINE:
            self.pool.outbox.write(self.transport.write, head + body.data)
            return
        if type(body) is StreamBody and body.complete and body.length is not None and not body.failed:
            self.pool.outbox.write(self.transport.write, head + body.take())  # small and all here already: one write
            return
        self.transport.write(head)
        upload = self._run_upload(body)
        if type(body) is StreamBody or type(body) is BytesBody:
            fiber = Fiber(upload, self._upload_done)
            self._upload = None if fiber.done else fiber
        else:  # a plugin's own iterator may need a current task
            self._upload = asyncio.get_running_loop().create_task(without_exit(upload))
            self._upload.add_done_callback(
                lambda task: self._upload_done(asyncio.CancelledError() if task.cancelled() else task.exception())
            )

    async def _run_upload(self, body: Body) -> None:
        transport = self.transport
        async for data in framed(body):
            transport.write(data)
            if self._paused:
                self._limits.stalled.start(self)
                self._writable = Wait()
                await self._writable
                self._limits.stalled.stop(self)

    def _upload_done(self, error: BaseException | None) -> None:
        self._upload = None
        if error is None:
            if self._head is None and self.error is None and self.busy:
                self._limits.awaiting_head.start(self)
            return
        if self.busy:
            self.fail(blamed(error))

    def abort(self) -> None:
        """Closes the connection at once; what it was doing is lost."""
        self.fail(ClientDisconnected(reason="the exchange was abandoned"))

    def fail(self, error: BaseException) -> None:
        """Ends the connection; ``error`` reaches whoever waits for a head or reads a body."""
        if self.error is not None:
            return
        self.error = error
        self._retire()
        upload, self._upload = self._upload, None
        self.transport.abort()
        if upload is not None:
            upload.cancel()
        body, sent = self._body, self.sent
        if self._waiting and sent is not None:
            self._waiting = False
            sent.wake()
        elif body is not None:
            body.fail(error)

    def close(self) -> None:
        """Ends a connection that waits for nothing: it is idle, or its response is all here."""
        upload, self._upload = self._upload, None
        self.error = UpstreamReset(reason="closed after its response")
        self._retire()
        self.transport.abort()
        if upload is not None:
            upload.cancel()

    def _retire(self) -> None:
        self._limits.awaiting_head.stop(self)
        self._limits.stalled.stop(self)
        self.pool.forget(self)

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """After a 101: the bare transport, not reading, and what came behind the head. The connection is no longer the
        pool's."""
        rest, self._buffer = self._buffer, b""
        self.error = UpstreamReset(reason="switched protocols")
        self._retire()
        return self.transport, rest

    # -- body source --------------------------------------------------------------------------------

    def pull(self) -> None:
        if self._held:
            self._held = False
            self.transport.resume_reading()
        self._limits.stalled.start(self)

    def hold(self) -> None:
        self._held = True
        self._limits.stalled.stop(self)
        self.transport.pause_reading()

    def abandon(self, body: StreamBody) -> None:
        if body is self._body:
            self.abort()

    # -- asyncio's side -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if not self.busy or self.error is not None:
            self.fail(UpstreamMalformed(reason="bytes on an idle connection"))
            return
        try:
            if self._framing is not None:
                self._body_data(data)
            else:
                self._head_data(data)
        except UpstreamProblem as error:
            self.fail(error)
        except FramingError as error:
            self.fail(UpstreamMalformed(reason=str(error)))

    def _head_data(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._check_partial(data)
                self._buffer = data
                return
            end += 4
            if end > MAX_HEAD:
                raise UpstreamMalformed(reason="a response head that is too long")
            head = self.pool.parser.parse(data[:end], no_body=self._no_body)
            data = data[end:]
            if head.status >= 200 or head.status == 101:
                break
            if head.status != 100 and self._informational is not None:
                self._informational(head.status, head.headers)
            if not data:
                return
        self._limits.awaiting_head.stop(self)
        self._head = head
        sent = self.sent
        assert sent is not None
        framing = head.framing
        if framing is None:
            if head.status == 101:
                self._buffer = data
                self.transport.pause_reading()  # until it is handed over, which a chain may put off
            else:
                self._complete(data)
        elif framing is LengthFraming and head.length == len(data):  # most answers: all here in one read
            head.body = BytesBody(data)
            self._complete(b"")
        else:
            self._framing = LengthFraming(head.length) if head.length is not None else framing()
            head.body = self._body = StreamBody(self, head.length)
            if data:
                self._body_data(data)
        self._waiting = False
        sent.reply = head
        sent.wake()

    @staticmethod
    def _check_partial(data: bytes) -> None:
        start = data[:7]
        if not b"HTTP/1.".startswith(start) or data.count(b"\n") != data.count(b"\r\n") or len(data) > MAX_HEAD:
            raise UpstreamMalformed(reason=f"not an HTTP/1.x response head: {start!r}")

    def _body_data(self, data: bytes) -> None:
        body, framing = cast(StreamBody, self._body), cast(Framing, self._framing)
        rest = framing.feed(data, body)
        if rest is not None:
            self._framing = None
            self._limits.stalled.stop(self)
            self._complete(rest)
        elif not self._waiting:
            self._limits.stalled.stop(self)  # started again when the reader pulls
        body.flush()

    def _complete(self, rest: bytes) -> None:
        """The response is all here. Gives the connection back, or closes it when it cannot be used again."""
        head = self._head
        assert head is not None
        if rest or not head.keep_alive or self._upload is not None or self._paused:
            self.close()
            return
        self.busy = False
        self.used = True
        if self._held:
            self._held = False
            self.transport.resume_reading()
        self.pool.release(self)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        body = self._body
        if self.error is None and self._framing is not None and error is None and self._framing.end():
            assert body is not None
            self._framing = None
            body.finish()
            self.error = UpstreamReset(reason="closed after its response")
            self._retire()
            body.flush()
        else:
            reason = f"connection lost: {error}" if error else "the upstream closed the connection"
            self.fail(UpstreamReset(reason=reason))
        if self._writable is not None:
            self.resume_writing()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        writable, self._writable = self._writable, None
        if writable is not None:
            writable.wake()

    # -- time limits --------------------------------------------------------------------------------

    def head_overdue(self) -> None:
        """No response head within the response time-out."""
        self.fail(UpstreamTimeout("The upstream did not answer in time.", reason="response time-out"))

    def stall_overdue(self) -> None:
        """No progress of a body within the idle time-out."""
        self.fail(UpstreamTimeout("The upstream stopped in mid-body.", reason="idle time-out"))
