"""How a body is cut out of a connection's bytes (RFC 9112 section 6): by length, by chunks, or to the connection's end.

Why not aiohttp's parsers here, which read the heads: they keep the last trailer of a chunked message and add it to the
next message's header, drop the others, and copy each chunk twice. Rules of this file
1. Strict: a chunk line is ``1*HEXDIG [chunk-ext] CRLF``; a bare LF, a sign, ``0x``, a space beside the size, an
   extension that is not ``*( BWS ";" BWS token [ BWS "=" BWS ( token / quoted-string ) ] )`` or a size over 16 digits
   is a FramingError. Nothing is repaired.
2. ``feed`` returns what lies behind the message's end; until then it takes everything.
3. Extensions are dropped (RFC 9112 section 7.1.1), trailers are kept.
"""

import re
from typing import Final, Protocol

from spork_core.body import StreamBody
from spork_core.headers import FORWARDED, HOP_BY_HOP, Headers

_MAX_LINE: Final = 4096
_MAX_TRAILERS: Final = 16384
_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_QUOTED: Final = rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
_EXTENSION: Final = rb"[ \t]*+;[ \t]*+" + _TOKEN + rb"(?:[ \t]*+=[ \t]*+(?:" + _TOKEN + b"|" + _QUOTED + rb"))?"
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:" + _EXTENSION + rb")*+")
_FIELD: Final = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*")

# Fields that may not stand in trailers (RFC 9110 section 6.5.1): framing, routing, authentication, and what a recipient
# would have needed before the content.
_NO_TRAILER: Final = (
    HOP_BY_HOP
    | FORWARDED
    | frozenset(
        """authorization cache-control content-encoding content-length content-range content-type cookie expect host
        max-forwards proxy set-cookie via www-authenticate x-request-id""".split()
    )
)


class FramingError(ValueError):
    """The bytes break the message's framing; nothing after them on this connection can be trusted."""


class Framing(Protocol):
    """Cuts one body out of the stream."""

    def feed(self, data: bytes, body: StreamBody) -> bytes | None:
        """Gives ``data`` to ``body``. None while the body goes on; at its end, the bytes behind it (maybe b"").
        Raises FramingError."""

    def end(self) -> bool:
        """The connection has ended: True when that ends the body well."""


class LengthFraming:
    """``Content-Length`` bytes."""

    __slots__ = ("left",)

    def __init__(self, length: int) -> None:
        self.left = length

    def feed(self, data: bytes, body: StreamBody) -> bytes | None:
        size = len(data)
        if size < self.left:
            self.left -= size
            body.feed(data)
            return None
        rest = data[self.left :]
        body.feed(data[: self.left] if rest else data)
        self.left = 0
        body.finish()
        return rest

    def end(self) -> bool:
        return False


class CloseFraming:
    """Everything up to the end of the connection (responses only, RFC 9112 section 6.3 rule 8)."""

    __slots__ = ()

    def feed(self, data: bytes, body: StreamBody) -> bytes | None:
        body.feed(data)
        return None

    def end(self) -> bool:
        return True


class ChunkedFraming:
    """Chunks (RFC 9112 section 7.1)."""

    __slots__ = ("_buffer", "_left", "_trailer_size", "_trailers")

    _LINE: Final = -1
    _CRLF: Final = -2
    _TRAILER: Final = -3

    def __init__(self) -> None:
        self._buffer = b""
        self._left = self._LINE
        """Bytes left of the chunk's data when positive, else which line is next."""
        self._trailers: Headers | None = None
        self._trailer_size = 0

    def feed(self, data: bytes, body: StreamBody) -> bytes | None:
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        at, size = 0, len(data)
        while at < size:
            if self._left > 0:
                end = min(at + self._left, size)
                body.feed(data[at:end] if end - at != size else data)
                self._left -= end - at
                at = end
                if self._left == 0:
                    self._left = self._CRLF
                continue
            if self._left == self._CRLF:
                if size - at < 2:
                    if data[at] != 13:
                        raise FramingError("chunk data does not end with CRLF")
                    break
                if data[at : at + 2] != b"\r\n":
                    raise FramingError("chunk data does not end with CRLF")
                at += 2
                self._left = self._LINE
                continue
            end = data.find(b"\n", at)
            if end < 0:
                if size - at > _MAX_LINE:
                    raise FramingError("chunk line or trailer too long")
                if data.find(b"\r", at, size - 1) >= 0:
                    raise FramingError("bare CR in a chunk line or trailer")
                break
            if end - at > _MAX_LINE:
                raise FramingError("chunk line or trailer too long")
            if end == at or data[end - 1] != 13:
                raise FramingError("bare LF in a chunk line or trailer")
            line = data[at : end - 1]
            at = end + 1
            if self._left == self._LINE:
                self._left = self._size(line) or self._TRAILER
            elif not line:
                body.finish(self._trailers)
                return data[at:]
            else:
                self._trailer(line)
        self._buffer = data[at:]
        return None

    def end(self) -> bool:
        return False

    @staticmethod
    def _size(line: bytes) -> int:
        match = _CHUNK_LINE.fullmatch(line)
        if match is None:
            raise FramingError("malformed chunk size")
        return int(match[1], 16)

    def _trailer(self, line: bytes) -> None:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise FramingError("malformed trailer")
        self._trailer_size += len(line) + 2
        if self._trailer_size > _MAX_TRAILERS:
            raise FramingError("trailers too long")
        name = match[1].decode("ascii")
        if name.lower().replace("_", "-") not in _NO_TRAILER:  # backends that merge trailers may read _ as -
            if self._trailers is None:
                self._trailers = Headers()
            self._trailers.add(name, match[2].decode("utf-8", "surrogateescape"))
