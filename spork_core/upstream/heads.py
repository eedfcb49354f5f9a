"""Response heads: aiohttp's C parser, and the checks it leaves to us (RFC 9112 sections 4 to 6)."""

import re
from typing import Any, Final

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from multidict import istr

from spork_core.body import EMPTY, Body, StreamBody
from spork_core.errors import UpstreamMalformed
from spork_core.exchange import Response
from spork_core.framing import ChunkedFraming, CloseFraming, Framing, LengthFraming
from spork_core.headers import HOP_BY_HOP, KERNELS_OWN, drop_hop_by_hop, special, version_of, without_keep_alive
from spork_core.memo import Memo

MAX_HEAD: Final = 131072
"""Bytes of a response head; more is malformed."""
_MAX_FIELD: Final = 65536
_MAX_FIELDS: Final = 300


class Reply(Response):
    """A parsed and checked response head: the Response that hooks will see, and how its body is framed."""

    __slots__ = ("framing", "keep_alive", "length", "plain", "upgrade")

    @property
    def complete(self) -> bool:
        """True when the whole body has come in."""
        body = self.body
        return body.complete if type(body) is StreamBody else True

    def __init__(self, message: RawResponseMessage, *, no_body: bool) -> None:
        """``no_body``: the request was HEAD. Raises UpstreamMalformed."""
        # Not through Response.__init__, whose conversions this needs none of.
        self.status = status = message.code
        self.reason = message.reason
        self.version = 10 if message.version.minor == 0 else 11
        if message.version.major != 1 or not 100 <= status <= 999:
            raise UpstreamMalformed(reason=f"status line with HTTP/{message.version} and status {status}")
        self.headers = headers = message.headers.copy()
        self.source = "upstream"
        self.body: Body = EMPTY
        self.keep_alive: bool = not message.should_close
        self.length: int | None = None
        """Bytes of the body when known; what HEAD and 304 announce does not count."""
        self.framing: type[Framing] | None = None
        self.plain = 0
        """1: the head can go to the client as it came; 2: without its ``Connection: keep-alive``; 0: it cannot."""
        self.upgrade = ""
        self.raw = b""
        self.raw_of = None
        present = special(headers, KERNELS_OWN)
        if present:
            self._frame(present, no_body)
        elif not no_body and status not in NO_CONTENT and status >= 200:
            self.framing = CloseFraming
        self.unchanged = version_of(headers)
        if (
            no_body and message.should_close and self.version == 11
        ):  # llhttp does not know of the HEAD: no length, no reuse
            self.keep_alive = "close" not in message.headers.get("Connection", "").lower()

    def again(self) -> "Reply":
        """The same once more, as if it had been parsed anew; this one must not have been given to anybody."""
        reply = Reply.__new__(Reply)
        reply.status, reply.reason, reply.version, reply.source = self.status, self.reason, self.version, "upstream"
        reply.headers = headers = self.headers.copy()
        reply.unchanged = version_of(headers)
        reply.body = EMPTY
        reply.keep_alive, reply.length, reply.framing = self.keep_alive, self.length, self.framing
        reply.plain, reply.upgrade, reply.raw, reply.raw_of = self.plain, self.upgrade, self.raw, None
        return reply

    def _frame(self, present: frozenset[str], no_body: bool) -> None:
        """Reads what frames the body and takes it, and what belongs to one hop, out of ``headers``."""
        headers, status = self.headers, self.status
        bodiless = no_body or status < 200 or status in NO_CONTENT
        if "transfer-encoding" in present:
            codings = [value.strip(" \t").lower() for value in headers.getall("Transfer-Encoding") if value.isascii()]
            if codings != ["chunked"]:
                raise UpstreamMalformed(reason="a Transfer-Encoding other than chunked")
            if "content-length" in present or self.version == 10:
                raise UpstreamMalformed(reason="Transfer-Encoding beside Content-Length, or in HTTP/1.0")
            if not bodiless:
                self.framing = ChunkedFraming
        elif "content-length" in present:
            lengths = headers.popall(CONTENT_LENGTH)  # the kernel writes it from the body's length
            length = lengths[0]
            if not _LENGTH(length) or (len(lengths) > 1 and len(set(lengths)) > 1):
                raise UpstreamMalformed(reason="a malformed Content-Length")
            if not bodiless:
                self.length = int(length)
                if self.length:
                    self.framing = LengthFraming
                if self.version == 11 and len(lengths) == 1:
                    self.plain = _PLAIN.get(present, 0)
            elif status >= 200 and status != 204:
                headers[CONTENT_LENGTH] = length  # what a GET would have been answered with
        elif not bodiless:
            self.framing = CloseFraming
        if "upgrade" in present:
            self.upgrade = headers["Upgrade"]
        if not present.isdisjoint(HOP_BY_HOP):
            drop_hop_by_hop(headers, present)


_KNOWN: Final = 128
"""So many heads are kept for an endpoint, …"""
_LONGEST_KNOWN: Final = 2048
"""… none of them longer, in bytes."""
_LENGTH: Final = re.compile("[0-9]{1,18}").fullmatch
NO_CONTENT: Final = frozenset((204, 304))
CONTENT_LENGTH: Final = istr("Content-Length")
_PLAIN: Final = {frozenset(("content-length",)): 1, frozenset(("connection", "content-length")): 2}


class ReplyParser:
    """One parser for all connections to an endpoint: it only ever sees whole heads, one at a time. What it keeps are
    heads that it parsed before: services say the same again and again, within a second even with the same Date."""

    __slots__ = ("_known", "_parser")

    def __init__(self) -> None:
        self._known: Memo[Reply] = Memo(_KNOWN, _LONGEST_KNOWN)
        self._renew()

    def _renew(self) -> None:
        parser: Any = HttpResponseParser
        self._parser = parser(
            None,  # only payloads use the protocol and the loop, and a parser that stops at the head makes none
            None,
            2**16,
            max_line_size=_MAX_FIELD,
            max_field_size=_MAX_FIELD,
            max_headers=_MAX_FIELDS,
            response_with_body=False,
            auto_decompress=False,
        )

    def parse(self, head: bytes, *, no_body: bool) -> Reply:
        """``head``: up to and with its empty line. Raises UpstreamMalformed."""
        known = self._known
        if not known.on:
            known.rest()
        elif not no_body:
            found = known.kept.get(head)
            if found is not None:
                known.hits += 1
                return found.again()  # 0.7 µs instead of 4
        try:
            messages, upgraded, _ = self._parser.feed_data(head)
            message = messages[0][0]
        except (BadHttpMessage, IndexError, ValueError) as error:
            self._renew()
            raise UpstreamMalformed(reason=f"malformed response head ({type(error).__name__})") from error
        # aiohttp runs llhttp leniently for responses: it repairs bare LF and joins folded lines. Both show in the
        # count, but for a folded first line.
        lines = len(message.raw_headers) + 2
        if head.count(b"\r\n") != lines or head.count(b"\n") != lines or head[head.find(b"\n") + 1] in b" \t":
            self._renew()
            raise UpstreamMalformed(reason="a bare LF or a folded line in the response head")
        if upgraded or message.upgrade or message.should_close:
            self._renew()  # llhttp takes nothing more after a message that ends the connection
        reply = Reply(message, no_body=no_body)
        if reply.plain:
            reply.raw = head if reply.plain == 1 else without_keep_alive(head)
        if known.on and reply.keep_alive and not no_body and reply.status >= 200:
            known.put(head, reply)
            return reply.again()
        return reply
