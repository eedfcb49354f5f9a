"""Bodies cut out of bytes: by length, by chunks, to the end; aiohttp's strict parser is the second opinion."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from spork_core.body import StreamBody
from spork_core.framing import ChunkedFraming, CloseFraming, Framing, FramingError, LengthFraming

HELLO = b"5\r\nhello\r\n"
END = b"0\r\n\r\n"
TAIL = b"GET /next HTTP/1.1\r\n"


class Still:
    """A source that nobody asks for anything."""

    def pull(self) -> None: ...

    def hold(self) -> None: ...

    def abandon(self, body: StreamBody) -> None: ...


def cut(framing: Framing, pieces: Iterable[bytes]) -> tuple[bytes, bytes | None, StreamBody]:
    """The content, what lies behind it (None: it goes on), and the body."""
    body, rest = StreamBody(Still(), None), None
    for piece in pieces:
        rest = framing.feed(piece, body) if rest is None else rest + piece
    return body.take(), rest, body


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def fields(body: StreamBody) -> list[tuple[str, str]]:
    return [] if body.trailers is None else list(body.trailers.items())


@pytest.mark.parametrize("tail", [b"", TAIL], ids=["alone", "tail"])
@pytest.mark.parametrize("cutter", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize(
    ("make", "data", "content", "trailers"),
    [
        pytest.param(lambda: LengthFraming(5), b"hello", b"hello", [], id="length"),
        pytest.param(ChunkedFraming, END, b"", [], id="no chunk"),
        pytest.param(ChunkedFraming, HELLO + END, b"hello", [], id="one chunk"),
        pytest.param(ChunkedFraming, HELLO + b"0001\r\n!\r\n" + END, b"hello!", [], id="leading zeros"),
        pytest.param(ChunkedFraming, b"a\r\n0123456789\r\n000\r\n\r\n", b"0123456789", [], id="hex, long zero"),
        pytest.param(ChunkedFraming, b"B\r\n\r\n0\r\n\r\nabcd\r\n" + END, b"\r\n0\r\n\r\nabcd", [], id="an end inside"),
        pytest.param(ChunkedFraming, b'5;a;b=c;d="e;\\"\xff"\r\nhello\r\n' + END, b"hello", [], id="extensions"),
        pytest.param(
            ChunkedFraming, b"5 \t; a = b\r\nhello\r\n" + END, b"hello", [], id="bad whitespace, RFC 9112 7.1.1"
        ),
        pytest.param(ChunkedFraming, HELLO + b"0;last\r\n\r\n", b"hello", [], id="extension of the last"),
        pytest.param(
            ChunkedFraming,
            HELLO + b"0\r\nX-Sum: 1 \r\nX-Sum:\t2\r\nEmpty:\r\n\r\n",
            b"hello",
            [("X-Sum", "1"), ("X-Sum", "2"), ("Empty", "")],
            id="trailers",
        ),
        pytest.param(ChunkedFraming, b"0\r\nRaw: \xff\r\n\r\n", b"", [("Raw", "\udcff")], id="trailer not UTF-8"),
    ],
)
def test_a_body_is_cut(make, data, content, trailers, cutter, tail) -> None:  # type: ignore[no-untyped-def]
    found, rest, body = cut(make(), cutter(data + tail))

    assert (found, rest, fields(body), body.complete) == (content, tail, trailers, True)


def test_content_to_the_end_of_the_connection_never_ends_before_it() -> None:
    framing = CloseFraming()

    found, rest, body = cut(framing, bytewise(b"hello"))

    assert (found, rest, body.complete) == (b"hello", None, False)


@pytest.mark.parametrize(
    ("framing", "well"), [(LengthFraming(1), False), (ChunkedFraming(), False), (CloseFraming(), True)]
)
def test_the_end_of_the_connection(framing: Framing, well: bool) -> None:
    assert framing.end() is well


MALFORMED = {
    "bare LF after the size": b"5\nhello\r\n" + END,
    "bare LF after the data": b"5\r\nhello\n" + END,
    "bare LF at the end": b"5\r\nhello\r\n0\r\n\n",
    "bare CR in the size": b"5\r\r\nhello\r\n" + END,
    "bare CR in an extension": b"5;a\rb\r\nhello\r\n" + END,
    "LF in an extension": b"5;a\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n" + END,
    "minus": b"-5\r\nhello\r\n" + END,
    "0x": b"0x5\r\nhello\r\n" + END,
    "underscore": b"1_0\r\n0123456789abcdef\r\n" + END,
    "space before": b" 5\r\nhello\r\n" + END,
    "space after": b"5 \r\nhello\r\n" + END,
    "tab after": b"5\t\r\nhello\r\n" + END,
    "space inside": b"0 5\r\nhello\r\n" + END,
    "empty size": b"\r\nhello\r\n" + END,
    "no size": b";a=b\r\nhello\r\n" + END,
    "no hex": b"g\r\nhello\r\n" + END,
    "full-width digit": "５\r\nhello\r\n".encode() + END,
    "17 digits": b"10000000000000005\r\nhello\r\n" + END,
    "too little data": b"6\r\nhello\r\n" + END,
    "too much data": b"4\r\nhello\r\n" + END,
    "no CRLF behind the data": b"5\r\nhello0\r\n\r\n",
    "half a CRLF behind the data": b"5\r\nhello\r0\r\n\r\n",
    "empty extension": b"5;\r\nhello\r\n" + END,
    "two semicolons": b"5;;a\r\nhello\r\n" + END,
    "extension that is no token": b"5;a b\r\nhello\r\n" + END,
    "comma for semicolon": b"5,a\r\nhello\r\n" + END,
    "open quote": b'5;a="b\r\nhello\r\n' + END,
    "text behind a quote": b'5;a="b"c\r\nhello\r\n' + END,
    "NUL in the size": b"5\0\r\nhello\r\n" + END,
    "NUL in an extension": b"5;a=\0\r\nhello\r\n" + END,
    "NUL in a trailer": HELLO + b"0\r\nA: \0\r\n\r\n",
    "long chunk line": b"5;" + b"a" * 5000 + b"\r\nhello\r\n" + END,
    "endless chunk line": b"5;" + b"a" * 5000,
    "long trailer": HELLO + b"0\r\nA: " + b"b" * 5000 + b"\r\n\r\n",
    "endless trailer": HELLO + b"0\r\n" + b"b" * 5000,
    "long trailers": HELLO + b"0\r\n" + (b"A: " + b"b" * 1000 + b"\r\n") * 20 + b"\r\n",
    "trailer with a space before the colon": HELLO + b"0\r\nA : b\r\n\r\n",
    "trailer without a name": HELLO + b"0\r\n: b\r\n\r\n",
    "trailer without a colon": HELLO + b"0\r\nAb\r\n\r\n",
    "folded trailer": HELLO + b"0\r\nA: b\r\n c\r\n\r\n",
    "bare LF in a trailer": HELLO + b"0\r\nA: b\n\r\n",
    "bare CR in a trailer": HELLO + b"0\r\nA: b\rc\r\n\r\n",
    "DEL in a trailer": HELLO + b"0\r\nA: \x7f\r\n\r\n",
}


@pytest.mark.parametrize("cutter", [lambda data: [data], bytewise], ids=["whole", "bytewise"])
@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_malformed_chunks_are_refused(data: bytes, cutter) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(FramingError):
        cut(ChunkedFraming(), cutter(data))


@pytest.mark.parametrize(
    "name",
    """Content-Length transfer-encoding Host Connection Trailer TE Cookie Set-Cookie Authorization Content-Type
    X-Forwarded-For X-Forwarded-Port X-Real-IP Forwarded Via Proxy X-Request-ID X_Forwarded_For X_Real-IP""".split(),
)
def test_a_trailer_may_not_speak_for_the_client_or_frame_the_message(name: str) -> None:
    data = HELLO + b"0\r\nX-Sum: 1\r\n" + name.encode() + b": 10.0.0.1\r\n\r\n"

    found, rest, body = cut(ChunkedFraming(), [data])

    assert (found, rest, fields(body)) == (b"hello", b"", [("X-Sum", "1")])


# -- properties -----------------------------------------------------------------------------------------

sizes = st.builds("{:0{}x}".format, st.just(0), st.integers(1, 8))
tokens = st.text("abcXYZ019!#-", min_size=1, max_size=5)
extensions = st.lists(st.tuples(tokens, st.sampled_from(["", "=v", '="a; \\"b"'])), max_size=2)


def extended(size: str, more: list[tuple[str, str]]) -> bytes:
    return (size + "".join(f";{name}{value}" for name, value in more)).encode() + b"\r\n"


@st.composite
def chunked(draw: st.DrawFn) -> tuple[bytes, bytes, list[tuple[str, str]]]:
    """The bytes of a valid chunked body, its content, its trailers."""
    chunks = draw(st.lists(st.binary(min_size=1, max_size=20), max_size=5))
    trailers = draw(st.lists(st.tuples(tokens, st.text("abc ;\t", max_size=5).map(str.strip)), max_size=3))
    wire = b"".join(extended(f"{len(chunk):x}", draw(extensions)) + chunk + b"\r\n" for chunk in chunks)
    wire += extended(draw(sizes), draw(extensions))
    wire += b"".join(f"{name}: {value}\r\n".encode() for name, value in trailers) + b"\r\n"
    return wire, b"".join(chunks), trailers


def pieces(data: bytes, at: list[int]) -> Iterator[bytes]:
    places = sorted({min(place, len(data)) for place in at} | {0, len(data)})
    for start, end in pairwise(places):
        yield data[start:end]


@given(chunked(), st.binary(max_size=10), st.lists(st.integers(0, 300)))
def test_any_split_gives_the_same(
    message: tuple[bytes, bytes, list[tuple[str, str]]], tail: bytes, at: list[int]
) -> None:
    wire, content, trailers = message

    found, rest, body = cut(ChunkedFraming(), pieces(wire + tail, at))

    assert (found, rest, fields(body)) == (content, tail, trailers)


@given(st.binary(max_size=30), st.integers(1, 30), st.lists(st.integers(0, 30)))
def test_any_split_gives_the_same_length(data: bytes, length: int, at: list[int]) -> None:
    found, rest, _ = cut(LengthFraming(length), pieces(data, at))

    assert (found, rest) == (data[:length], data[length:] if len(data) >= length else None)


def aiohttps_opinion(wire: bytes) -> bytes | None:
    """The content as aiohttp's strict request parser reads it; None when it refuses."""
    loop = asyncio.new_event_loop()
    try:
        parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, auto_decompress=False)
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        ((_, payload),), _, _ = parser.feed_data(head)
        try:
            parser.feed_data(wire)
        except BadHttpMessage:
            return None
        return payload.read_nowait(-1)
    finally:
        loop.close()


mangled = st.tuples(
    chunked().map(lambda message: message[0]),
    st.integers(0, 200),
    st.integers(0, 2),
    st.sampled_from(
        [b"", b"\r", b"\n", b"\r\n", b"\0", b"\t", b";", b'"', b"=", b"0", b"f", b"+", b"x", b":", b"\xff"]
    ),
).map(lambda it: it[0][: it[1]] + it[3] + it[0][it[1] + it[2] :])


BAD_WHITESPACE = re.compile(rb"[;=][ \t]|[ \t][;=]")
"""What a recipient has to let stand in extensions (RFC 9112 section 7.1.1), and llhttp does not."""


@given(mangled)
def test_nothing_is_accepted_that_the_strict_parser_refuses(wire: bytes) -> None:
    try:
        found, rest, _ = cut(ChunkedFraming(), [wire])
    except FramingError:
        return
    if rest is not None and not BAD_WHITESPACE.search(wire):
        assert aiohttps_opinion(wire[: len(wire) - len(rest)]) == found


@given(chunked())
def test_where_both_accept_the_content_is_the_same(message: tuple[bytes, bytes, list[tuple[str, str]]]) -> None:
    wire, content, _ = message

    assert aiohttps_opinion(wire) == cut(ChunkedFraming(), [wire])[0] == content
