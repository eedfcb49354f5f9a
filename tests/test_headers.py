"""Header fields: what stays on its hop, what nobody may take away, and heads that hold what was put in."""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_parser import HttpRequestParser
from hypothesis import given
from hypothesis import strategies as st

from spork_core.headers import (
    HOP_BY_HOP,
    SPECIAL_REQUEST,
    HeaderInjection,
    Headers,
    drop_hop_by_hop,
    head_bytes,
    listed,
    special,
)


def dropped(*pairs: tuple[str, str]) -> list[str]:
    """The names that are left."""
    headers = Headers(pairs)
    drop_hop_by_hop(headers, special(headers, SPECIAL_REQUEST))
    return list(headers)


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP))
def test_hop_by_hop_fields_go(name: str) -> None:
    assert dropped((name.title(), "x"), ("Accept", "*/*"), (name.upper(), "y")) == ["Accept"]


@pytest.mark.parametrize(
    "connection",
    [["X-Hop"], ["close, X-Hop"], ["keep-alive", "x-hop"], [", X-HOP ,"], ["upgrade", "close", "X-Hop"]],
)
def test_fields_that_connection_names_go(connection: list[str]) -> None:
    fields = [("Connection", value) for value in connection]

    assert dropped(*fields, ("X-Hop", "1"), ("X-Stays", "2"), ("x-hop", "3")) == ["X-Stays"]


@pytest.mark.parametrize(
    "name",
    """Host Via Content-Length Content-Type Date Authorization Cookie X-Request-ID Forwarded X-Forwarded-For
    X-Forwarded-Proto X-Forwarded-Host X-Real-IP""".split(),
)
def test_connection_cannot_take_away_what_the_gateway_manages(name: str) -> None:
    assert dropped(("Connection", f"close, {name.lower()}"), (name, "x")) == [name]


def test_members_of_a_list_come_from_all_its_fields() -> None:
    headers = Headers([("TE", "Trailers, ,gzip;q=1"), ("te", ""), ("TE", "x")])

    assert listed(headers, "TE") == ["trailers", "gzip;q=1", "x"]


def test_headers_is_a_class() -> None:
    assert isinstance(Headers(), Headers)


# -- heads ----------------------------------------------------------------------------------------------


def test_a_head_is_its_lines() -> None:
    headers = Headers([("A", "1"), ("b", "2"), ("A", "3")])

    assert (
        head_bytes("GET / HTTP/1.1", headers, "X: y\r\n") == b"GET / HTTP/1.1\r\nA: 1\r\nb: 2\r\nA: 3\r\nX: y\r\n\r\n"
    )
    assert head_bytes("GET / HTTP/1.1", Headers()) == b"GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize("clean", [True, False])
def test_bytes_that_are_not_utf8_come_out_as_they_came_in(clean: bool) -> None:
    raw = bytes(range(0x80, 0x100))
    value = raw.decode("utf-8", "surrogateescape")

    assert head_bytes("GET / HTTP/1.1", Headers({"A": value, "B": "\u00e9"}), clean=clean) == (
        b"GET / HTTP/1.1\r\nA: " + raw + b"\r\nB: \xc3\xa9\r\n\r\n"
    )


HOSTILE = ["\r\n", "\r", "\n", "\0", "\x7f", "\x1b", "\x0b", "\r\n\r\nGET / HTTP/1.1\r\n"]


@pytest.mark.parametrize("bad", HOSTILE)
def test_a_value_cannot_end_its_line(bad: str) -> None:
    with pytest.raises(HeaderInjection, match="the value of header 'X'"):
        head_bytes("GET / HTTP/1.1", Headers({"A": "b", "X": f"a{bad}b"}))


@pytest.mark.parametrize("bad", [*HOSTILE, ": 1", " ", "é", "\udcff"])
def test_a_name_is_a_token(bad: str) -> None:
    with pytest.raises(HeaderInjection, match="header name"):
        head_bytes("GET / HTTP/1.1", Headers({"A": "b", f"X{bad}": "c"}))


def test_a_name_is_not_empty() -> None:
    with pytest.raises(HeaderInjection, match="header name ''"):
        head_bytes("GET / HTTP/1.1", Headers({"": "c"}))


@pytest.mark.parametrize("clean", [True, False])
@pytest.mark.parametrize("bad", HOSTILE)
def test_a_start_line_cannot_end_early(bad: str, clean: bool) -> None:
    with pytest.raises(HeaderInjection, match="start line"):
        head_bytes(f"GET /{bad} HTTP/1.1", Headers({"A": "b"}), clean=clean)


def test_a_name_and_a_value_cannot_make_up_for_each_other() -> None:
    with pytest.raises(HeaderInjection):
        head_bytes("GET / HTTP/1.1", Headers({"A": "b\r", "C": "\nd"}))


@pytest.mark.parametrize("where", ["GET /\ud800 HTTP/1.1", "GET / HTTP/1.1"])
def test_a_character_that_has_no_bytes_is_refused(where: str) -> None:
    with pytest.raises(HeaderInjection):
        head_bytes(where, Headers({"A": "\ud800"}))


@pytest.mark.parametrize("value", [60, None, b"x"])
def test_a_value_that_is_no_text_is_refused(value: object) -> None:
    headers = Headers()
    headers["Retry-After"] = value  # type: ignore[assignment]

    with pytest.raises(HeaderInjection, match="Retry-After"):
        head_bytes("HTTP/1.1 429 Too Many Requests", headers)


names = st.text("abcXYZ09-_.!~", min_size=1, max_size=8).map(lambda name: f"X-{name}")
inner = st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]) | st.integers(0x80, 0xFF).map(
    lambda byte: chr(0xDC00 + byte)
)
values = st.text(inner, max_size=20).map(lambda value: value.strip(" \t"))


@given(st.lists(st.tuples(names, values), max_size=5))
def test_a_parser_reads_the_same_fields(pairs: list[tuple[str, str]]) -> None:
    pairs = [
        (name, value.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")) for name, value in pairs
    ]
    loop = asyncio.new_event_loop()
    parser = HttpRequestParser(BaseProtocol(loop), loop, 2**16, max_line_size=8190, max_field_size=8190)

    ((message, _),), _, _ = parser.feed_data(head_bytes("GET / HTTP/1.1", Headers([*pairs, ("Host", "a")])))

    loop.close()
    assert list(message.headers.items()) == [*pairs, ("Host", "a")]


@given(st.text(max_size=20), st.text(max_size=20), st.text(max_size=20))
def test_whatever_is_set_a_head_has_one_end_and_as_many_lines_as_fields(start: str, name: str, value: str) -> None:
    try:
        data = head_bytes(start, Headers([(name, value), ("B", "c")]))
    except HeaderInjection:
        return
    assert data.index(b"\r\n\r\n") == len(data) - 4
    assert data.split(b"\r\n")[1:] == [f"{name}: {value}".encode("utf-8", "surrogateescape"), b"B: c", b"", b""]
