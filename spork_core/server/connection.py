"""One client connection: reads requests, runs one exchange at a time, writes answers at the client's pace.

Rules of this file
1. Bytes are cut into heads and bodies here and nowhere else. After anything that breaks the framing the connection ends:
   what follows cannot be trusted.
2. The next request is looked at when the exchange before it is over; until then its bytes wait, within ``PIPELINE`` bytes.
3. An answer that was begun and cannot be ended is aborted, so that it never looks complete.
"""

import asyncio
import logging
import sys
from contextvars import copy_context
from ssl import SSLObject
from typing import TYPE_CHECKING, Any, Final, cast

from spork_core.body import EMPTY, BytesBody, IteratorBody, StreamBody
from spork_core.errors import (
    BadRequest,
    ClientDisconnected,
    InternalError,
    PayloadTooLarge,
    Problem,
    RequestTimeout,
    UpstreamMalformed,
)
from spork_core.exchange import Exchange, Request, Response
from spork_core.fiber import Fiber, Wait
from spork_core.forwarded import Seen
from spork_core.framing import Framing, FramingError
from spork_core.headers import HeaderInjection, Headers, head_bytes
from spork_core.server.heads import RequestHead, partial_problem
from spork_core.server.output import response_head
from spork_core.tunnel import Tunnel, as_transport

if TYPE_CHECKING:
    from spork_core.plan import Plan
    from spork_core.server.listener import Listening
    from spork_core.upstream.connection import UpstreamConnection

log = logging.getLogger("spork_core.server")

PIPELINE: Final = 65536
"""Bytes that may wait behind a running exchange before the connection is no longer read."""
_EAGER: Final = {"eager_start": True} if sys.version_info >= (3, 12) else {}


class ClientConnection(asyncio.Protocol):
    """One connection of one listener."""

    __slots__ = (
        "_before",
        "_body",
        "_buffer",
        "_closing",
        "_drained",
        "_framing",
        "_half_closed",
        "_head",
        "_mark",
        "_parsing",
        "_running",
        "_seen",
        "_snapshot",
        "_write_paused",
        "bytes_received",
        "bytes_sent",
        "listening",
        "peer",
        "started",
        "tls",
        "transport",
        "trusted",
        "tunnel_open",
    )

    def __init__(self, listening: "Listening") -> None:
        self.listening = listening
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer = ""
        self.tls: SSLObject | None = None
        self.trusted = False
        self.started = False
        self.bytes_sent = 0
        self.bytes_received = 0
        self.tunnel_open: Tunnel | None = None
        self._buffer = b""
        self._head: RequestHead | None = None
        self._body: StreamBody | None = None
        self._framing: Framing | None = None
        self._running: Fiber | asyncio.Task[None] | bool = False
        self._snapshot: Any = None
        self._seen: Seen | None = None
        self._before = ""
        self._parsing = False
        self._closing = False
        """True when no other request is taken."""
        self._half_closed = False
        self._mark = 0
        self._write_paused = False
        self._drained: Wait | None = None

    def __repr__(self) -> str:
        return f"<ClientConnection {self.peer or 'unix'} {'busy' if self._running else 'idle'}>"

    @property
    def idle(self) -> bool:
        """True between two exchanges."""
        return not self._running

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
        body, framing = self._body, self._framing
        assert body is not None and framing is not None
        due = self.listening.body_due
        before = body.received
        try:
            rest = framing.feed(data, body)
        except FramingError as error:
            self._framing = None
            self._closing = True
            due.stop(self)
            body.fail(BadRequest("The request's content is malformed.", reason=str(error)))
            return
        self.bytes_received += body.received - before
        if body.limit is not None and body.received > body.limit:
            self._framing = None
            self._closing = True
            due.stop(self)
            body.fail(PayloadTooLarge(f"The request's content is longer than {body.limit} bytes."))
            return
        if rest is None:
            due.start(self)
        else:
            due.stop(self)
            self._framing = None
            self._buffer = rest
        body.flush()
        if not self._running and self._framing is None and not self._closing:
            self._next_request()

    def _next_request(self) -> None:
        """Takes requests from the buffer, one exchange after the other, until one has to wait."""
        if self._parsing:
            return
        self._parsing = True
        try:
            while self._buffer and not self._running and not self._closing:
                if not self._take_request():
                    break
        finally:
            self._parsing = False

    def _take_request(self) -> bool:
        """Begins the exchange of the request at the head of the buffer; False when its head is not all there."""
        buffer = self._buffer
        listening = self.listening
        if buffer[:2] == b"\r\n":  # RFC 9112 section 2.2: some clients end a body with a line too many
            buffer = self._buffer = buffer.lstrip(b"\r\n") if len(buffer) <= 64 else buffer[2:]
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            problem = partial_problem(buffer, listening.limits)
            if problem is not None:
                self._refuse(problem)
            elif len(buffer) and self._mark != -1:
                self._mark = -1  # the time for a head runs from its first byte, once
                listening.idle_due.stop(self)
                listening.head_due.start(self)
            return False
        self._mark = 0
        listening.idle_due.stop(self)
        listening.head_due.stop(self)
        end += 4
        try:
            head = listening.parser.parse(buffer[:end], trusted=self.trusted)
        except Problem as problem:
            self._refuse(problem)
            return False
        self._buffer = buffer[end:]
        self._begin(head)
        return True

    # -- an exchange --------------------------------------------------------------------------------

    def _begin(self, head: RequestHead) -> None:
        listening = self.listening
        self._head = head
        self.started = False
        self.bytes_sent = self.bytes_received = 0
        if not head.keep_alive or listening.draining:
            self._closing = True
        path, mark, query = head.target.partition("?")
        request = Request(
            head.method,
            path,
            query if mark else None,
            headers=head.headers,
            scheme="http" if self.tls is None else "https",
            host=head.host,
            client=self.peer,
            peer=self.peer,
            version=head.version,
            tls=self.tls,
            trusted=self.trusted,
        )
        request.upgrade = head.upgrade
        self._before = ""
        self._seen = None
        if head.forwarded:
            self._believe(request, head)
        framing = head.framing
        body: StreamBody | None = None
        if framing is not None:
            if head.length == 0:
                request.body = BytesBody()
            else:
                request.body = self._body = body = StreamBody(self, head.length)
                self._framing = framing
                if self._buffer:
                    data, self._buffer = self._buffer, b""
                    self._body_data_first(data)
                if self._framing is not None and not head.expects_continue:
                    listening.body_due.start(self)
        exchange = Exchange(request, listening.clock)
        snapshot = listening.snapshot
        self._run(exchange, snapshot.plan(exchange, head.target, head.max_forwards))

    def _body_data_first(self, data: bytes) -> None:
        """What came with the head, before anybody can wait for it."""
        self._running = True
        try:
            self._body_data(data)
        finally:
            self._running = False

    def _believe(self, request: Request, head: RequestHead) -> None:
        """The peer is a trusted proxy: the client is who it says."""
        headers = request.headers
        seen = self.listening.forwarding.see(headers, self.peer, request.scheme, request.host)
        self._seen = seen
        self._before = ", ".join(headers.getall("X-Forwarded-For", ()))
        request.client, request.scheme, request.host = seen.address, seen.scheme, seen.host
        for name in ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host"):
            headers.popall(name, None)

    def _run(self, exchange: Exchange, plan: "Plan") -> None:
        snapshot = self._snapshot = self.listening.snapshot
        snapshot.begin()
        pipeline = plan.pipeline
        coro = snapshot.engine.run(exchange, plan, self)
        self._running = True
        if pipeline.tasked:
            loop = asyncio.get_running_loop()
            task: asyncio.Task[None] = asyncio.Task(coro, loop=loop, **_EAGER)
            if task.done():
                self._task_done(task)
            else:
                self._running = task
                task.add_done_callback(self._task_done)
        else:
            fiber = Fiber(coro, self._done, copy_context() if pipeline.chain else None)
            if not fiber.done:
                self._running = fiber

    def _task_done(self, task: "asyncio.Task[None]") -> None:
        self._done(asyncio.CancelledError() if task.cancelled() else task.exception())

    def _done(self, error: BaseException | None) -> None:
        """The exchange is over."""
        if error is not None and not isinstance(error, asyncio.CancelledError):
            log.critical("an exchange ended with an unexpected error", exc_info=error)
            self.abort()
        self._running = False
        snapshot, self._snapshot = self._snapshot, None
        self._body = None
        listening = self.listening
        snapshot.end()
        if self._framing is not None:  # an answer came before the request was all here
            self._framing = None
            listening.body_due.stop(self)
            self._closing = True
        if self.transport.is_closing():
            return
        if self._closing or listening.draining or self._half_closed:
            self._close_gently()
            return
        if self._buffer:
            if not self.transport.is_reading():
                self.transport.resume_reading()
            if not self._parsing:
                self._next_request()
        if not self._running and not self._closing and self._mark != -1:
            listening.idle_due.start(self)

    def _refuse(self, problem: Problem) -> None:
        """Answers what never became a request; the connection ends."""
        self._closing = True
        self._buffer = b""
        listening = self.listening
        listening.head_due.stop(self)
        listening.idle_due.stop(self)
        self._head = None
        self.started = False
        self.bytes_sent = self.bytes_received = 0
        request = Request(
            "_OTHER", "", client=self.peer, peer=self.peer, scheme="http" if self.tls is None else "https", tls=self.tls
        )
        self._run(Exchange(request, listening.clock), listening.snapshot.refusal(problem))

    # -- the engine's client ------------------------------------------------------------------------

    def upstream_lines(self, exchange: Exchange) -> str:
        head = self._head
        assert head is not None
        request = exchange.request
        listening = self.listening
        seen = self._seen or Seen(self.peer, request.scheme, head.host)
        lines = listening.forwarding.lines(self.peer, seen, self._before)
        lines += f"Via: 1.{head.version - 10} {listening.via}\r\n"
        if head.trailers:
            return f"{lines}TE: trailers\r\nConnection: TE\r\n"
        if request.upgrade is not None:
            return f"{lines}Connection: Upgrade\r\nUpgrade: {request.upgrade}\r\n"
        return lines

    def informational(self, status: int, headers: Headers) -> None:
        head = self._head
        if head is None or head.version == 10 or self.started:
            return
        self.transport.write(head_bytes(f"HTTP/1.1 {status} {Response(status).reason}", headers))

    async def respond(self, exchange: Exchange, response: Response) -> None:
        body = response.body
        if type(body) is IteratorBody and isinstance(self._running, bool | Fiber):
            # A plugin's iterator may need a current task (asyncio.timeout, aiohttp's client).
            await asyncio.get_running_loop().create_task(self._respond(exchange, response))
        else:
            await self._respond(exchange, response)

    async def _respond(self, exchange: Exchange, response: Response) -> None:
        listening = self.listening
        head = self._head
        request_body = exchange.request.body
        version, trailers = (11, False) if head is None else (head.version, head.trailers)
        body = response.body
        if self._framing is not None or listening.draining or (body.length is None and version == 10):
            self._closing = True
        frame = self._frame(exchange, response, version, trailers)
        transport = self.transport
        self.started = True
        body = response.body
        if not frame.content:
            transport.write(frame.data)
            if body is not EMPTY:
                body.discard()
        elif type(body) is BytesBody:
            self.bytes_sent = len(body.data)
            transport.write(frame.data + body.data)
        elif type(body) is StreamBody and body.complete and not frame.chunked:
            data = body.take()
            self.bytes_sent = len(data)
            transport.write(frame.data + data)
        else:
            await self._stream(frame.data, body, chunked=frame.chunked, trailers=trailers)
        if self._write_paused:
            await self._drain()
        del request_body

    def _frame(self, exchange: Exchange, response: Response, version: int, trailers: bool) -> Any:
        listening = self.listening
        method = exchange.request.method
        for _ in range(2):
            try:
                return response_head(
                    response,
                    method,
                    version,
                    close=self._closing,
                    trailers=trailers,
                    date=listening.date(),
                    via=listening.via,
                )
            except HeaderInjection as error:
                response.body.discard()
                broken: Problem
                if response.source == "upstream":
                    broken = UpstreamMalformed(reason=str(error))
                else:
                    log.error("exchange %s: %s", exchange.id, error)
                    broken = InternalError(reason=str(error))
                exchange.error = broken
                page = listening.snapshot.pages.response(exchange, broken)
                response.status, response.reason, response.version = page.status, page.reason, None
                response.headers, response.body, response.source = page.headers, page.body, page.source
        raise InternalError(reason="an error page with a malformed header")

    async def _stream(self, head: bytes, body: Any, *, chunked: bool, trailers: bool) -> None:
        """Writes a body as it comes. The head waits for bytes that are there already, never for others."""
        transport = self.transport
        left: int | None = body.length
        pending = head
        if type(body) is not StreamBody or not body.size:
            transport.write(head)
            pending = b""
        async for chunk in body:
            if not chunk:
                continue
            size = len(chunk)
            self.bytes_sent += size
            if chunked:
                chunk = b"%x\r\n%b\r\n" % (size, chunk)
            elif left is not None:
                left -= size
                if left < 0:
                    raise InternalError(reason="a response body longer than its length")
            transport.write(pending + chunk if pending else chunk)
            pending = b""
            if self._write_paused:
                await self._drain()
        if pending:
            transport.write(pending)
        if left:
            raise InternalError(reason="a response body shorter than its length")
        if chunked:
            fields = body.trailers if trailers else None
            transport.write(b"0\r\n\r\n" if fields is None else head_bytes("0", fields))

    async def _drain(self) -> None:
        self.listening.write_due.start(self)
        self._drained = Wait()
        await self._drained

    async def tunnel(self, exchange: Exchange, response: Response, connection: "UpstreamConnection") -> None:
        head = self._head
        assert head is not None
        upstream, rest = connection.hand_over()
        lines = f"Connection: Upgrade\r\nUpgrade: {connection.upgraded_to or exchange.request.upgrade}\r\n"
        self.transport.write(head_bytes(f"HTTP/1.1 101 {response.reason}", response.headers, lines))
        self.started = True
        self._closing = True
        tunnel = self.tunnel_open = Tunnel(self.transport, upstream)
        mine, self._buffer = self._buffer, b""
        self.listening.tunnels[tunnel] = exchange
        try:
            await tunnel.run(mine, rest)
        finally:
            del self.listening.tunnels[tunnel]
            tunnel.close()
            self.bytes_sent, self.bytes_received = tunnel.sent, tunnel.received
            self.listening.left(self)

    def abort(self) -> None:
        self._closing = True
        self.transport.abort()

    # -- the request body's source ------------------------------------------------------------------

    def pull(self) -> None:
        head = self._head
        if head is not None and head.expects_continue:
            head.expects_continue = False
            if not self.started:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.listening.body_due.start(self)
        if self._framing is not None:
            if not self.transport.is_reading():
                self.transport.resume_reading()
                self.listening.body_due.start(self)

    def hold(self) -> None:
        self.listening.body_due.stop(self)
        self.transport.pause_reading()

    def abandon(self, body: StreamBody) -> None:
        """The rest of the request's content is not wanted; ``_done`` ends the connection after the answer."""

    # -- asyncio's side: out, and the end -----------------------------------------------------------

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        self.listening.write_due.stop(self)
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.wake()

    def eof_received(self) -> bool:
        if not self._running:
            return False
        if self._framing is not None:
            self._cancel()
            return False
        # The client has ended its side and may still read (RFC 9112 does not forbid it): give it its answer, but not for
        # ever, since one that has gone altogether looks the same until something is written to it.
        self._half_closed = True
        self._mark = self.bytes_sent
        self.listening.half_closed_due.start(self)
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self.listening.left(self)
        self._closing = True
        if self._running:
            self._cancel()

    def _cancel(self) -> None:
        """The client is gone: so is the exchange."""
        running = self._running
        body = self._body
        if body is not None and not body.complete:
            body.fail(ClientDisconnected(reason="the client closed the connection"))
        if isinstance(running, Fiber | asyncio.Task):
            running.cancel()

    def _close_gently(self) -> None:
        """Ends our side and waits a moment for the client's: closing with unread input would reset the connection and
        take the answer away from a client that is still sending."""
        self._closing = True
        transport = self.transport
        if self.tls is not None or self._half_closed or not transport.can_write_eof():
            transport.close()
            return
        if not transport.is_reading():
            transport.resume_reading()
        transport.write_eof()
        self._buffer = b""
        self.listening.linger_due.start(self)

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
        body = self._body
        self._framing = None
        self._closing = True
        if body is not None:
            body.fail(RequestTimeout("The request's content did not arrive in time."))

    def idle_overdue(self) -> None:
        """No other request within the keep-alive time."""
        if not self._running:
            self._close_now()

    def half_closed_overdue(self) -> None:
        """The client ended its side, and nothing has been written to it since the last look."""
        if not self._running:
            return
        if self.bytes_sent == self._mark:
            self._cancel()
            self.abort()
        else:
            self._mark = self.bytes_sent
            self.listening.half_closed_due.start(self)

    def write_overdue(self) -> None:
        """The client does not read."""
        self._cancel()
        self.abort()

    def _close_now(self) -> None:
        self._closing = True
        self.transport.close()
