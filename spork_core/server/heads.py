"""Request heads: aiohttp's C parser, and every check that stands between a hostile client and a backend.

The parser (llhttp, strict) sees one whole head at a time and never a body, so nothing of one message can reach the
next: not the trailers that aiohttp's parser would carry over, and not the bytes behind a declined upgrade that it
would drop.
"""

import re
from typing import Any, Final

from aiohttp.http_exceptions import BadHttpMessage, BadHttpMethod, LineTooLong
from aiohttp.http_parser import HttpRequestParser

from spork_core.body import EMPTY
from spork_core.config.model import Limits
from spork_core.errors import (
    BadRequest,
    ClientProblem,
    ExpectationFailed,
    HeadersTooLarge,
    NotImplementedByGateway,
    Problem,
    UriTooLong,
    VersionNotSupported,
)
from spork_core.exchange import Request
from spork_core.forwarded import drop_disguised, without_forwarded
from spork_core.framing import ChunkedFraming, Framing, LengthFraming
from spork_core.headers import (
    FORWARDED,
    HOST,
    SPECIAL_REQUEST,
    TOKEN,
    drop_hop_by_hop,
    listed,
    special,
    version_of,
    without_keep_alive,
)
from spork_core.memo import Memo

_VERSION: Final = re.compile(rb" HTTP/[0-9](?:\.[0-9])?$")
_ABSOLUTE: Final = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_CHUNKED: Final = re.compile("chunked", re.IGNORECASE | re.ASCII)
"""``str.strip`` and ``str.lower`` would take no-break spaces away, and make a k of a Kelvin sign."""
_CACHED_HOSTS: Final = 1024
_PLAIN_LINE: Final = re.compile(
    rb"(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) (/[A-Za-z0-9/_.~%!$&'()*+,;=:@-]*)"
    rb"(?:\?([A-Za-z0-9/_.~%!$&'()*+,;=:@?-]*))? HTTP/1\.1"
).fullmatch
"""RFC 9112 section 3, of the common methods and what RFC 3986 allows in a path and a query."""
_KNOWN: Final = 1024
"""So many blocks of fields are kept, …"""
_LONGEST_KNOWN: Final = 2048
"""… none of them longer, in bytes."""
_KNOWN_LINES: Final = 4096
_LONGEST_LINE: Final = 256
_JUST_CONNECTION: Final = frozenset(("connection",))


class ClientRequest(Request):
    """A parsed and checked request, and what the connection needs to know of it. Hop-by-hop fields are out of
    ``headers``."""

    __slots__ = (
        "expects_continue",
        "forwarded",
        "framing",
        "keep_alive",
        "length",
        "max_forwards",
        "plain_connection",
        "trailers",
    )

    def __init__(self, message: Any) -> None:
        # Not through Request.__init__: every attribute is set once, and no keywords are passed (0.1 µs saved).
        self.method = self.raw_method = message.method
        self.raw_target = message.path
        self.path = ""
        self.query = None
        self.version = 10 if message.version.minor == 0 else 11
        self.headers = message.headers.copy()
        self.body = EMPTY
        self.host = ""
        self.upgrade = None
        self.keep_alive: bool = not message.should_close
        self.framing: Framing | None = None
        self.length: int | None = 0
        """Bytes of the body; None when it is chunked. 0 without framing means that no body was announced."""
        self.expects_continue = False
        self.trailers = False
        """The client accepts trailers (``TE: trailers``)."""
        self.forwarded = False
        """Fields that speak for a client are in ``headers``, and the peer may send them."""
        self.max_forwards: int | None = None
        self.plain_connection = False
        """``Connection`` was the only hop-by-hop field."""
        self.raw = b""

    def repeated(self, line: "Line", data: bytes) -> "ClientRequest":
        """What this one's fields are with another request line; this one must not have been given to anybody. ``data``:
        the line's bytes."""
        request = ClientRequest.__new__(ClientRequest)
        request.method, request.raw_target, request.path, request.query = line
        request.raw_method = request.method
        request.version = 11
        request.headers = headers = self.headers.copy()
        request.unchanged = version_of(headers)
        request.body = EMPTY
        request.host = self.host
        request.upgrade = request.framing = request.max_forwards = None
        request.keep_alive, request.length = True, 0
        request.expects_continue = request.forwarded = False
        request.trailers, request.plain_connection = self.trailers, self.plain_connection
        request.raw = data + self.raw if self.raw else b""
        return request


Line = tuple[str, str, str, str | None]
"""Method, target, path, query."""


class HeadParser:
    """One for all connections of a listener. What it keeps between two heads are fields and request lines that it
    parsed before: a client says the same in nearly all its requests, which is what HPACK lives on, too."""

    __slots__ = ("_hosts", "_known", "_limits", "_lines", "_parser")

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._hosts: set[str] = set()
        self._known: Memo[ClientRequest] = Memo(_KNOWN, _LONGEST_KNOWN)
        self._lines: dict[bytes, Line] = {}
        self._renew()

    def _renew(self) -> None:
        parser: Any = HttpRequestParser
        self._parser = parser(
            None,  # only payloads use the protocol and the loop, and a parser that stops at the head makes none
            None,
            2**16,
            max_line_size=self._limits.request_line,
            max_field_size=self._limits.header,
            max_headers=self._limits.header_count + 1,
            response_with_body=False,
            auto_decompress=False,
        )

    def parse(self, head: bytes, *, trusted: bool) -> ClientRequest:
        """``head``: up to and with its empty line. ``trusted``: what it says about a client is kept. Raises Problem."""
        line_end = head.find(b"\r\n")
        known = self._known
        fields = b""
        if not known.on:
            known.rest()
        elif not trusted:
            fields = head[line_end:]
            found = known.kept.get(fields)
            if found is not None:
                known.hits += 1
                start = head[:line_end]
                line = self._lines.get(start) or self._plain_line(start)
                if line is not None:
                    return found.repeated(line, start)  # 1.1 µs instead of 4
        if line_end > self._limits.request_line:
            raise UriTooLong(f"The request line is longer than {self._limits.request_line} bytes.")
        if head[line_end - 9 : line_end] not in (b" HTTP/1.1", b" HTTP/1.0"):
            if _VERSION.search(head, 0, line_end):
                raise VersionNotSupported("This server speaks HTTP/1.1.")
            raise BadRequest("The request line is malformed.")
        if len(head) - line_end > self._limits.headers:
            raise HeadersTooLarge(f"The header is longer than {self._limits.headers} bytes.")
        try:
            messages, upgraded, _ = self._parser.feed_data(head)
            message = messages[0][0]
        except (BadHttpMessage, IndexError, ValueError) as error:
            self._renew()
            raise self._problem(head, line_end, error) from error
        if upgraded or message.upgrade or message.should_close:
            self._renew()  # llhttp takes nothing more after a message that ends the connection
        if len(message.method) + len(message.path) + 10 != line_end:
            # llhttp passes over leading line ends and repeated spaces, and the head may be forwarded as it is.
            raise BadRequest("The request line is malformed.")
        parsed = ClientRequest(message)
        version, count = version_of(parsed.headers), len(parsed.headers)
        self._check(parsed, trusted)
        target = parsed.raw_target
        if "?" in target:
            parsed.path, _, parsed.query = target.partition("?")
        else:
            parsed.path = target
        parsed.unchanged = version_of(parsed.headers)
        if parsed.version == 10:
            pass  # the upstream gets HTTP/1.1
        elif parsed.unchanged == version:
            parsed.raw = head
        elif parsed.plain_connection and len(parsed.headers) == count - 1:
            parsed.raw = without_keep_alive(head)
        if fields and known.on and _says_nothing_special(parsed):
            kept = parsed.repeated((parsed.method, target, parsed.path, parsed.query), b"")
            kept.raw = parsed.raw[line_end:]
            known.put(fields, kept)
        return parsed

    def _plain_line(self, line: bytes) -> Line | None:
        """A request line of the usual kind; None: the parser has to look at it."""
        match = _PLAIN_LINE(line)
        if match is None or len(line) > self._limits.request_line:
            return None
        method, path, query = match.groups()
        target = path if query is None else b"%b?%b" % (path, query)
        made = (method.decode(), target.decode(), path.decode(), None if query is None else query.decode())
        if len(self._lines) >= _KNOWN_LINES:
            self._lines.clear()
        if len(line) <= _LONGEST_LINE:
            self._lines[line] = made
        return made

    def _problem(self, head: bytes, line_end: int, error: Exception) -> Problem:
        """A refusal that says what is wrong without repeating what was sent."""
        reason = f"{type(error).__name__}: {error}"[:300]
        if isinstance(error, LineTooLong):
            return HeadersTooLarge(f"A header field is longer than {self._limits.header} bytes.", reason=reason)
        if isinstance(error, BadHttpMethod):
            method = head[:line_end].partition(b" ")[0].decode("latin-1")
            if TOKEN.fullmatch(method):
                return NotImplementedByGateway("This method is not known here.", reason=reason)
        if "Too many headers" in str(error):
            return HeadersTooLarge(f"There are more than {self._limits.header_count} header fields.", reason=reason)
        return BadRequest("The request is malformed.", reason=reason)

    def _check(self, parsed: ClientRequest, trusted: bool) -> None:
        headers = parsed.headers
        if len(headers) > self._limits.header_count:
            raise HeadersTooLarge(f"There are more than {self._limits.header_count} header fields.")
        if parsed.method == "CONNECT":
            raise NotImplementedByGateway("CONNECT is not supported: this is a gateway, not a forward proxy.")
        if not parsed.raw_target.startswith("/") or "#" in parsed.raw_target:
            self._unusual_target(parsed)
        elif "Host" in headers:
            parsed.host = headers["Host"]
        if parsed.host not in self._hosts:
            self._check_host(parsed)
        if "_" in "".join(headers):
            drop_disguised(headers)
        present = special(headers, SPECIAL_REQUEST)
        if present:
            self._special(parsed, present, trusted)

    def _unusual_target(self, parsed: ClientRequest) -> None:
        """Absolute-form, whose authority replaces Host (RFC 9112 section 3.2.2), and asterisk-form."""
        if "#" in parsed.raw_target:
            raise BadRequest("The request target has a fragment.")
        if parsed.raw_target == "*" and parsed.method == "OPTIONS":
            parsed.host = parsed.headers.get("Host", "")
            return
        match = _ABSOLUTE.fullmatch(parsed.raw_target)
        if match is None or "@" in match[2] or not match[2]:
            raise BadRequest("The request target is malformed.")
        parsed.host = match[2]
        parsed.headers["Host"] = match[2]
        path = match[3]
        if not path and parsed.method == "OPTIONS":  # RFC 9112 section 3.2.4
            parsed.raw_target = "*"
        else:
            parsed.raw_target = path if path.startswith("/") else f"/{path}"

    def _check_host(self, parsed: ClientRequest) -> None:
        host = parsed.host
        if not HOST.fullmatch(host) or (not host and parsed.version == 11):
            raise BadRequest("The Host header field is malformed.")
        if len(self._hosts) >= _CACHED_HOSTS:
            self._hosts.clear()
        if 0 < len(host) <= 255:  # none at all is right for HTTP/1.0 only
            self._hosts.add(host)

    def _special(self, parsed: ClientRequest, present: frozenset[str], trusted: bool) -> None:
        headers = parsed.headers
        if "transfer-encoding" in present:
            self._chunked(parsed, present)
        elif "content-length" in present:
            lengths = headers.getall("Content-Length")
            text = lengths[0]
            if len(lengths) != 1 or not (text.isascii() and text.isdecimal() and len(text) < 19):
                raise BadRequest("The Content-Length header field is malformed.")
            parsed.length = int(text)
            parsed.framing = LengthFraming(parsed.length)
            del headers["Content-Length"]
        if "expect" in present:
            if headers.getall("Expect") != ["100-continue"] and listed(headers, "Expect") != ["100-continue"]:
                raise ExpectationFailed("Only 100-continue can be expected.")
            parsed.expects_continue = parsed.version == 11 and parsed.framing is not None and parsed.length != 0
            headers.popall("Expect")
        if "te" in present:
            parsed.trailers = parsed.version == 11 and any(
                coding.partition(";")[0].strip() == "trailers" for coding in listed(headers, "TE")
            )
        if "upgrade" in present and parsed.version == 11 and parsed.framing is None:
            protocol = headers["Upgrade"]
            # h2c would make the backend speak a protocol that nothing here can look into.
            if "upgrade" in listed(headers, "Connection") and not any(
                name.startswith("h2c") for name in listed(headers, "Upgrade")
            ):
                parsed.upgrade = protocol
        if "max-forwards" in present:
            text = headers["Max-Forwards"]
            if text.isascii() and text.isdecimal() and len(text) < 10:
                parsed.max_forwards = int(text)
        if "proxy" in present:  # CGI would make it HTTP_PROXY
            headers.popall("Proxy")
        drop_hop_by_hop(headers, present)
        parsed.plain_connection = present == _JUST_CONNECTION
        forwarded = present & FORWARDED
        if forwarded:
            if trusted:
                parsed.forwarded = True
            else:
                without_forwarded(headers, forwarded)

    def _chunked(self, parsed: ClientRequest, present: frozenset[str]) -> None:
        codings = [value.strip(" \t") for value in parsed.headers.getall("Transfer-Encoding")]
        if "content-length" in present:
            raise BadRequest("Content-Length and Transfer-Encoding exclude each other.")
        if parsed.version == 10:
            raise BadRequest("HTTP/1.0 has no Transfer-Encoding.")
        if len(codings) != 1 or not _CHUNKED.fullmatch(codings[0]):
            raise NotImplementedByGateway("The only transfer coding is chunked.")
        parsed.length = None
        parsed.framing = ChunkedFraming()


def _says_nothing_special(request: ClientRequest) -> bool:
    """True when its fields mean the same with any request line of HTTP/1.1, and begin no body."""
    return (
        request.version == 11
        and request.keep_alive
        and request.framing is None
        and request.upgrade is None
        and request.max_forwards is None
        and not request.forwarded
        and request.raw_target.startswith("/")
    )


def partial_problem(data: bytes, limits: Limits) -> ClientProblem | None:
    """What is wrong with the beginning of a head, so that nobody waits for the end of a bad one; None: nothing so
    far."""
    line_end = data.find(b"\n")
    if data[:1] < b"!":
        return BadRequest("This is not an HTTP/1.1 request.")
    if line_end < 0:
        if len(data) > limits.request_line:
            return UriTooLong(f"The request line is longer than {limits.request_line} bytes.")
        if not data.isascii() or b"\0" in data:
            return BadRequest("This is not an HTTP/1.1 request.")
        return None
    if data.count(b"\n") != data.count(b"\r\n"):
        return BadRequest("A line does not end with CRLF.")
    if not _VERSION.search(data, 0, line_end - 1):
        return BadRequest("This is not an HTTP/1.1 request.")
    if len(data) - line_end > limits.headers:
        return HeadersTooLarge(f"The header is longer than {limits.headers} bytes.")
    return None
