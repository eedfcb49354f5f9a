"""One client connection: reads requests and runs one exchange at a time.

Rules of this file
1. Bytes are cut into heads and bodies here and nowhere else. After anything that breaks the framing the connection
   ends:
   what follows cannot be trusted.
2. The next request is looked at when the exchange before it is over; until then its bytes wait, within ``PIPELINE``
   bytes.
"""

import asyncio
import logging
import sys
from contextvars import copy_context
from typing import TYPE_CHECKING, Any, Final

from spork_core.body import BytesBody, StreamBody
from spork_core.errors import BadRequest, PayloadTooLarge, Problem, RequestTimeout
from spork_core.exchange import Exchange, Request
from spork_core.fiber import Fiber
from spork_core.framing import FramingError
from spork_core.headers import version_of
from spork_core.server.closing import Closing
from spork_core.server.heads import ClientRequest, partial_problem
from spork_core.tunnel import as_transport

if TYPE_CHECKING:
    from spork_core.plan import Plan
    from spork_core.server.listener import Listening, Site
    from spork_core.snapshot import Snapshot

log = logging.getLogger("spork_core.server")

PIPELINE: Final = 65536
"""Bytes that may wait behind a running exchange before the connection is no longer read."""
_EAGER: Final[dict[str, Any]] = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class ClientConnection(Closing):
    """One connection of one listener."""

    __slots__ = (
        "_head_begun",
        "_parsing",
        "_snapshot",
    )

    def __init__(self, listening: "Listening") -> None:
        super().__init__(listening)
        self._snapshot: Site | None = None
        self._parsing = False
        self._head_begun = True
        """True while the time for a request's head runs: from the connection's start, or from a head's first byte."""

    def __repr__(self) -> str:
        return f"<ClientConnection {self.peer or 'unix'} {'busy' if self._running else 'idle'}>"

    @property
    def fresh(self) -> bool:
        """True before the first request, and in the middle of a request's head."""
        return self._head_begun and not self._running

    def reconfigured(self) -> None:
        """A reload: what was worked out from the old config is worked out again."""
        self.trusted = self.listening.forwarding.trusts(self.peer)
        self._lines_for = ("", 0)

    # -- asyncio's side: in -------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        listening = self.listening
        self.transport = as_transport(transport)
        peer = transport.get_extra_info("peername")
        self.peer = peer[0] if isinstance(peer, tuple) else ""
        self.tls = transport.get_extra_info("ssl_object")
        self.trusted = listening.forwarding.trusts(self.peer)
        if not listening.admit(self):
            self.transport.write(listening.full())
            self._close_gently()
            return
        listening.head_due.start(self)

    def data_received(self, data: bytes) -> None:
        if self._framing is not None:
            self._body_data(data)
        elif self._running:
            self._buffer += data
            if len(self._buffer) > PIPELINE:
                self.transport.pause_reading()
        elif not self._closing:
            self._buffer = self._buffer + data if self._buffer else data
            self._next_request()

    def _body_data(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        self._cut(data)
        if self._framing is not None:
            self.listening.body_due.start(self)
        else:
            self.listening.body_due.stop(self)
        body.flush()
        if not self._running and self._framing is None and not self._closing:
            self._next_request()

    def _cut(self, data: bytes) -> None:
        """Gives the request's body what is its own of ``data``; what lies behind it waits."""
        body, framing = self._body, self._framing
        assert body is not None
        assert framing is not None
        before = body.received
        try:
            rest = framing.feed(data, body)
        except FramingError as error:
            self._break_body(BadRequest("The request's content is malformed.", reason=str(error)))
            return
        self.bytes_received += body.received - before
        if body.limit is not None and body.received > body.limit:
            body.complete = False  # too long, even if its end came in the same read
            self._break_body(PayloadTooLarge(f"The request's content is longer than {body.limit} bytes."))
        elif rest is not None:
            self._framing = None
            self._buffer = rest

    def _break_body(self, problem: Problem) -> None:
        self._framing = None
        self._closing = True
        self._buffer = b""
        if self._body is not None:
            self._body.fail(problem)

    def _next_request(self) -> None:
        """Takes requests from the buffer, one exchange after the other, until one has to wait."""
        if self._parsing:
            return
        self._parsing = True
        try:
            while self._buffer and not (self._running or self._closing or self._write_paused):
                if not self._take_request():
                    break
                if self._buffer:  # pipelined: a client that sends without reading must meet its own back-pressure
                    self.listening.outbox.flush()
        finally:
            self._parsing = False

    def _take_request(self) -> bool:
        """Begins the exchange of the request at the head of the buffer; False when its head is not all there."""
        buffer, listening = self._buffer, self.listening
        end = buffer.find(b"\r\n\r\n")
        if end <= 0 or buffer[0] == 13:
            return self._partial_head()
        (listening.head_due if self._head_begun else listening.idle_due).stop(self)
        self._head_begun = False
        end += 4
        try:
            request = listening.parser.parse(buffer[:end], trusted=self.trusted)
        except Problem as problem:
            self._refuse(problem)
            return False
        self._buffer = buffer[end:]
        self._begin(request)
        return True

    def _partial_head(self) -> bool:
        """The beginning of a head, or empty lines before one (RFC 9112 section 2.2: some clients end a body with
        CRLF)."""
        buffer, listening = self._buffer, self.listening
        if buffer.startswith(b"\r\n"):
            self._buffer = buffer[2:]
            return True
        problem = None if buffer == b"\r" else partial_problem(buffer, listening.limits)
        if problem is not None:
            self._refuse(problem)
        elif self._half_closed:  # the rest will never come
            self._close_gently()
        elif not self._head_begun:
            self._head_begun = True
            listening.idle_due.stop(self)
            listening.head_due.start(self)
        return False

    # -- an exchange --------------------------------------------------------------------------------

    def _begin(self, request: ClientRequest) -> None:
        listening = self.listening
        self._request = request
        self.started = False
        self.bytes_sent = self.bytes_received = 0
        if not request.keep_alive:
            self._closing = True
        # What the connection knows; a call of its own would be a tenth of this method.
        request.client = request.peer = self.peer
        request.tls = tls = self.tls
        request.scheme = "http" if tls is None else "https"
        request.trusted = self.trusted
        if request.forwarded:
            self._believe(request)
        if request.framing is not None:
            self._begin_body(request)
        exchange = Exchange(request, listening.clock, listening.chance)
        snapshot = listening.snapshot
        self._run(exchange, snapshot.plan(exchange, request.raw_target, request.max_forwards), snapshot)

    def _begin_body(self, request: ClientRequest) -> None:
        if request.length == 0:
            request.body = BytesBody()
            return
        request.body = self._body = StreamBody(self, request.length)
        self._framing = request.framing
        if self._buffer:
            data, self._buffer = self._buffer, b""
            self._cut(data)
        if self._framing is not None and not request.expects_continue:
            self.listening.body_due.start(self)

    def _believe(self, request: Request) -> None:
        """The peer is a trusted proxy: the client is who it says."""
        headers = request.headers
        seen = self.listening.forwarding.see(headers, self.peer, request.scheme, request.host)
        self._before = ", ".join(headers.getall("X-Forwarded-For", ()))
        request.client, request.scheme, request.host = seen.address, seen.scheme, seen.host
        request.raw = b""  # what is taken out here stands in it
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"):
            headers.popall(name, None)
        request.unchanged = version_of(headers)

    def _run(self, exchange: Exchange, plan: "Plan", snapshot: "Site") -> None:
        self._snapshot, self._plan = snapshot, plan
        snapshot.running += 1
        pipeline = plan.pipeline
        coro = snapshot.engine.run(exchange, plan, self)
        self._running = True
        if pipeline.tasked:
            task: asyncio.Task[None] = asyncio.Task(coro, loop=asyncio.get_running_loop(), **_EAGER)
            if task.done():
                self._task_done(task)
            else:
                self._running = task
                task.add_done_callback(self._task_done)
        else:
            fiber = Fiber(coro, self._done, copy_context() if pipeline.chain else None)
            if not fiber.done:
                self._running = fiber

    def runs_on(self, snapshot: "Site") -> bool:
        """True while an exchange of this connection runs on ``snapshot``."""
        return self._snapshot is snapshot

    def migrate(self, old: "Snapshot", new: "Snapshot") -> None:
        """An exchange whose route is the same in ``new`` becomes that one's."""
        if self._snapshot is old and self._plan is not None and new.has_same(self._plan):
            old.running -= 1
            new.running += 1
            self._snapshot = new

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._done(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _done(self, error: BaseException | None) -> None:
        """The exchange is over."""
        if error is not None and not isinstance(error, asyncio.CancelledError):
            log.critical("an exchange ended with an unexpected error", exc_info=error)
            self.abort()
        self._running = False
        self._body = None
        self._before = ""
        listening, snapshot = self.listening, self._snapshot
        assert snapshot is not None
        self._snapshot = self._plan = None
        snapshot.running -= 1
        if snapshot.retired:
            snapshot.check_drained()
        if self._framing is not None:  # an answer came before the request was all here
            self._framing = None
            listening.body_due.stop(self)
            self._closing = True
        if self.transport.is_closing():
            return
        if self._closing or listening.draining or (self._half_closed and not self._buffer):
            self._close_gently()
            return
        if self._buffer:
            if not self.transport.is_reading():
                self.transport.resume_reading()
            if not self._parsing:
                self._next_request()
        if not self._running and not self._closing and not self._head_begun:
            listening.idle_due.start(self)

    def _refuse(self, problem: Problem) -> None:
        """Answers what never became a request; the connection ends."""
        self._closing = True
        self._buffer = b""
        listening = self.listening
        listening.head_due.stop(self)
        listening.idle_due.stop(self)
        self._request = None
        self.started = False
        self.bytes_sent = self.bytes_received = 0
        request = Request(
            "_OTHER", "", client=self.peer, peer=self.peer, scheme="http" if self.tls is None else "https", tls=self.tls
        )
        snapshot = listening.snapshot
        exchange = Exchange(request, listening.clock, listening.chance)
        self._run(exchange, snapshot.refusal(problem), snapshot)

    # -- the request body's source ------------------------------------------------------------------

    def pull(self) -> None:
        request = self._request
        if request is not None and request.expects_continue:
            request.expects_continue = False
            if not self.started:
                self.listening.outbox.flush()
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.listening.body_due.start(self)
        if self._framing is not None and not self.transport.is_reading():
            self.transport.resume_reading()
            self.listening.body_due.start(self)

    def hold(self) -> None:
        self.listening.body_due.stop(self)
        self.transport.pause_reading()

    def abandon(self, body: StreamBody) -> None:
        """The rest of the request's content is not wanted; ``_done`` ends the connection after the answer."""

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._running or self.transport.is_closing():
            return
        if self._closing:
            self._close_gently()
        elif self._buffer:
            self._next_request()

    # -- time limits --------------------------------------------------------------------------------

    def head_overdue(self) -> None:
        """No complete head in time: 408 when one was begun."""
        if self._running:
            return
        if self._buffer:
            self._refuse(RequestTimeout("The request's header did not arrive in time."))
        else:
            self._close_now()

    def body_overdue(self) -> None:
        """No byte of the request's content in time."""
        self._break_body(RequestTimeout("The request's content did not arrive in time."))
