"""The way out of a client connection: heads, bodies at the client's pace, interim answers, tunnels.

An answer that was begun and cannot be ended is aborted, so that it never looks complete.
"""

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine
from ssl import SSLObject
from typing import TYPE_CHECKING, Any, cast

from spork_core.body import EMPTY, Body, BytesBody, StreamBody
from spork_core.errors import InternalError, Problem, UpstreamMalformed, phrase
from spork_core.exchange import Exchange, Response
from spork_core.fiber import Fiber, Wait, without_exit
from spork_core.framing import Framing
from spork_core.headers import HeaderInjection, Headers, head_bytes
from spork_core.server.heads import ClientRequest
from spork_core.server.output import NO_CONTENT, response_head
from spork_core.tunnel import Tunnel

if TYPE_CHECKING:
    from spork_core.plan import Plan
    from spork_core.server.connection import ClientConnection
    from spork_core.server.listener import Listening
    from spork_core.upstream.connection import UpstreamConnection

log = logging.getLogger("spork_core.server")


class Answering(asyncio.Protocol):
    """The writing half of a client connection; to the engine it is the exchange's client."""

    __slots__ = (
        "_before",
        "_closing",
        "_drained",
        "_framing",
        "_lines",
        "_lines_for",
        "_plan",
        "_request",
        "_running",
        "_write_paused",
        "bytes_received",
        "bytes_sent",
        "listening",
        "peer",
        "started",
        "tls",
        "transport",
        "trusted",
    )

    def __init__(self, listening: "Listening") -> None:
        self.listening = listening
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.peer = ""
        """IP address of the other end; "" for a unix socket."""
        self.tls: SSLObject | None = None
        self.trusted = False
        """True when ``peer`` lies in trusted_proxies."""
        self.started = False
        self.bytes_sent = 0
        self.bytes_received = 0
        self._request: ClientRequest | None = None
        self._framing: Framing | None = None
        """What cuts the request's body; None when it is all here."""
        self._plan: Plan | None = None
        """That of the running exchange; None between two."""
        self._running: Fiber | asyncio.Task[None] | bool = False
        self._closing = False
        """True when no other request is taken."""
        self._before = ""
        self._lines = ""
        self._lines_for = ("", 0)
        self._write_paused = False
        self._drained: Wait | None = None

    # -- towards the upstream -----------------------------------------------------------------------

    def upstream_lines(self, exchange: Exchange) -> str:
        """The header lines that tell the upstream about the client and the way here."""
        request = self._request
        assert request is not None
        if request.forwarded:
            lines = self._forwarded_lines(request)
        elif self._lines_for == (request.host, request.version):
            lines = self._lines  # one client asks one host for most things
        else:
            lines = self._lines = self._forwarded_lines(request)
            self._lines_for = (request.host, request.version)
        if request.trailers:
            return f"{lines}TE: trailers\r\nConnection: TE\r\n"
        if request.upgrade is not None and self._plan is not None and self._plan.upgrade:
            return f"{lines}Connection: Upgrade\r\nUpgrade: {request.upgrade}\r\n"
        return lines

    def _forwarded_lines(self, request: ClientRequest) -> str:
        listening = self.listening
        lines = listening.forwarding.lines(self.peer, request.client, request.scheme, request.host, self._before)
        return f"{lines}Via: 1.{request.version - 10} {listening.via}\r\n"

    # -- answers ------------------------------------------------------------------------------------

    def informational(self, status: int, headers: Headers) -> None:
        """Passes a 1xx on; an HTTP/1.0 client would take it for the answer."""
        request = self._request
        if request is not None and request.version == 11 and not self.started:
            self.listening.outbox.write(
                self.transport.write, head_bytes(f"HTTP/1.1 {status} {phrase(status)}", headers)
            )

    def respond(self, exchange: Exchange, response: Response) -> Coroutine[Any, Any, None] | None:
        """Writes the answer: at once and whole when its body is here (then None), else as the coroutine it gives."""
        listening, request = self.listening, self._request
        version = 11 if request is None else request.version
        if self._framing is not None or listening.last_answers:
            self._closing = True
        body = response.body
        if body.length is None and version == 10:
            self._closing = True
        method = exchange.request.method
        try:
            data = response_head(response, method, version, close=self._closing, date=listening.date, via=listening.via)
        except HeaderInjection as error:
            data = self._instead(exchange, response, error, version)
            body = response.body
        self.started = True
        if body is EMPTY or method == "HEAD" or response.status in NO_CONTENT:
            listening.outbox.write(self.transport.write, data)
            body.discard()
        elif type(body) is BytesBody:
            self.bytes_sent = len(body.data)
            listening.outbox.write(self.transport.write, data + body.data)
        else:
            chunked = body.length is None and version == 11
            stream = self._stream(data, body, chunked=chunked, trailers=request is not None and request.trailers)
            if type(body) is StreamBody:
                return stream
            stream = without_exit(stream)
            # A plugin's body may need a current task (asyncio.timeout, aiohttp).
            return stream if isinstance(self._running, asyncio.Task) else _under_task(stream)
        return self._drain() if self._write_paused else None

    def _instead(self, exchange: Exchange, response: Response, error: HeaderInjection, version: int) -> bytes:
        """A field with a control character: the upstream's or a plugin's fault, and not passed on."""
        response.body.discard()
        problem: Problem
        if response.source == "upstream":
            problem = UpstreamMalformed("The upstream's answer is malformed.", reason=str(error))
        else:
            log.error("exchange %s: %s", exchange.id, error)
            problem = InternalError(reason=str(error))
        exchange.error = problem
        page = self.listening.snapshot.pages.response(exchange, problem)
        response.status, response.reason, response.version = page.status, page.reason, None
        response.headers, response.body, response.source = page.headers, page.body, page.source
        response.unchanged, response.raw = -1, b""
        listening = self.listening
        return response_head(
            response, exchange.request.method, version, close=self._closing, date=listening.date, via=listening.via
        )

    async def _stream(self, head: bytes, body: Body, *, chunked: bool, trailers: bool) -> None:
        """Writes a body as it comes. The head waits for bytes that are here already, never for others."""
        transport = self.transport
        left = body.length
        self.listening.outbox.flush()
        if type(body) is not StreamBody or not (body.size or body.complete):
            transport.write(head)
            head = b""
        async for chunk in body:
            if not chunk:
                continue
            size = len(chunk)
            self.bytes_sent += size
            if chunked:  # one copy; writelines would need none, but knows no back-pressure in asyncio before 3.14
                chunk = b"%b%x\r\n%b\r\n" % (head, size, chunk)
                head = b""
            elif left is not None:
                left -= size
                if left < 0:
                    raise InternalError(reason="a response body longer than its length")
            if head:
                chunk = head + chunk
                head = b""
            transport.write(chunk)
            if self._write_paused:
                await self._drain()
        if left:
            raise InternalError(reason="a response body shorter than its length")
        if chunked:
            fields = body.trailers if trailers else None
            head += b"0\r\n\r\n" if fields is None else b"0\r\n" + head_bytes("", fields)[2:]
        if head:
            transport.write(head)

    async def _drain(self) -> None:
        """Until the client has read enough for more to be written."""
        self._drained = Wait()
        await self._drained

    async def tunnel(self, exchange: Exchange, response: Response, connection: "UpstreamConnection") -> None:
        """Writes the 101 and carries bytes both ways until both ends are done."""
        upstream, rest = connection.hand_over()
        protocol = connection.upgraded_to or exchange.request.upgrade
        lines = f"Connection: Upgrade\r\nUpgrade: {protocol}\r\n"
        self.listening.outbox.flush()
        self.transport.write(head_bytes(f"HTTP/1.1 101 {response.reason}", response.headers, lines))
        self.started = True
        self._closing = True
        tunnel = Tunnel(self.transport, upstream)
        listening = self.listening
        listening.tunnels[tunnel] = cast("ClientConnection", self)
        try:
            await tunnel.run(self._unread(), rest)
        finally:
            del listening.tunnels[tunnel]
            tunnel.close()
            self.bytes_sent, self.bytes_received = tunnel.sent, tunnel.received
            listening.left(cast("ClientConnection", self))

    def _unread(self) -> bytes:
        """What came in behind the request."""
        return b""

    def abort(self) -> None:
        """Ends the connection without a complete answer."""
        self._closing = True
        if self.started and self._request is not None and self._request.version == 10:
            self._reset()
        self.transport.abort()

    def _reset(self) -> None:
        """Makes the end of the connection a RST: an answer without a length ends like this one, but for that."""
        sock = self.transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def pause_writing(self) -> None:
        self._write_paused = True
        self.listening.write_due.start(cast("ClientConnection", self))

    def resume_writing(self) -> None:
        self._write_paused = False
        self.listening.write_due.stop(cast("ClientConnection", self))
        drained, self._drained = self._drained, None
        if drained is not None:
            drained.wake()


async def _under_task(coro: Coroutine[Any, Any, None]) -> None:
    await asyncio.get_running_loop().create_task(coro)
