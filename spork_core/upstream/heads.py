"""Response heads: aiohttp's C parser, and the checks it leaves to us (RFC 9112 sections 4 to 6)."""

from typing import Any, Final

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpResponseParser, RawResponseMessage

from spork_core.body import Body
from spork_core.errors import UpstreamMalformed
from spork_core.exchange import Response
from spork_core.framing import ChunkedFraming, CloseFraming, Framing, LengthFraming
from spork_core.headers import SPECIAL_RESPONSE, Headers, drop_hop_by_hop, special

MAX_HEAD: Final = 131072
"""Bytes of a response head; more is malformed."""
_MAX_FIELD: Final = 65536
_MAX_FIELDS: Final = 300


class ReplyHead:
    """A parsed and checked response head, and how its body is framed."""

    __slots__ = ("framing", "headers", "keep_alive", "length", "reason", "status", "upgrade", "version")

    def __init__(self, message: RawResponseMessage, *, no_body: bool) -> None:
        """``no_body``: the request was HEAD. Raises UpstreamMalformed."""
        self.status: int = message.code
        self.reason: str = message.reason
        self.version = 10 if message.version.minor == 0 else 11
        if message.version.major != 1 or not 100 <= self.status <= 999:
            raise UpstreamMalformed(reason=f"status line with HTTP/{message.version} and status {message.code}")
        self.headers: Headers = message.headers.copy()
        self.keep_alive: bool = not message.should_close
        self.length: int | None = None
        self.framing: Framing | None = None
        self.upgrade = ""
        present = special(self.headers, SPECIAL_RESPONSE)
        if present:
            self._frame(present, no_body)
        elif not no_body and self.status not in (204, 304) and self.status >= 200:
            self.framing = CloseFraming()

    def _frame(self, present: frozenset[str], no_body: bool) -> None:
        headers = self.headers
        chunked = False
        if "transfer-encoding" in present:
            if [coding.strip().lower() for coding in headers.getall("Transfer-Encoding")] != ["chunked"]:
                raise UpstreamMalformed(reason="a Transfer-Encoding other than chunked")
            if "content-length" in present or self.version == 10:
                raise UpstreamMalformed(reason="Transfer-Encoding beside Content-Length, or in HTTP/1.0")
            chunked = True
        if "content-length" in present:
            lengths = set(headers.getall("Content-Length"))
            text = lengths.pop()
            if lengths or not (text.isascii() and text.isdecimal() and len(text) < 20):
                raise UpstreamMalformed(reason="a malformed Content-Length")
            self.length = int(text)
        if "upgrade" in present:
            self.upgrade = headers["Upgrade"]
        drop_hop_by_hop(headers, present)
        if self.status < 200 or self.status == 204:
            headers.popall("Content-Length", None)
        elif no_body or self.status == 304:
            if self.length is None:  # unlike Content-Length, nothing to keep
                self.length = 0
        elif chunked:
            headers.popall("Content-Length", None)
            self.framing = ChunkedFraming()
        elif self.length is None:
            self.framing = CloseFraming()
        else:
            del headers["Content-Length"]  # the kernel writes it from the body's length
            if self.length:
                self.framing = LengthFraming(self.length)

    def response(self, body: Body) -> Response:
        """The Response that hooks see."""
        response = Response(self.status, body, self.headers, reason=self.reason)
        response.source = "upstream"
        response.version = self.version
        return response


class ReplyParser:
    """One parser for all connections of a process: it only ever sees whole heads, one at a time, so it keeps no state."""

    __slots__ = ("_parser",)

    def __init__(self) -> None:
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

    def parse(self, head: bytes, *, no_body: bool) -> ReplyHead:
        """``head``: up to and with its empty line. Raises UpstreamMalformed."""
        # aiohttp runs llhttp leniently for responses: it would repair bare LF and join folded lines.
        if head.count(b"\n") != head.count(b"\r\n") or b"\r\n " in head or b"\r\n\t" in head:
            raise UpstreamMalformed(reason="a bare LF or a folded line in the response head")
        try:
            messages, upgraded, _ = self._parser.feed_data(head)
            message = messages[0][0]
        except (BadHttpMessage, IndexError, ValueError) as error:
            self._renew()
            raise UpstreamMalformed(reason=f"malformed response head ({type(error).__name__})") from error
        if upgraded or message.upgrade or message.should_close:
            self._renew()  # llhttp takes nothing more after a message that ends the connection
        return ReplyHead(message, no_body=no_body)

