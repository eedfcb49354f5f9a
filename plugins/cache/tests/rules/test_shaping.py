"""What a client gets from the store: conditions and ranges (RFC 9110 sections 13 and 14)."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Stored, shape
from spork_cache.rules.shaping import byte_range

from spork_core.api import Headers

Stores = Callable[..., Stored]
Dates = Callable[[float], str]
BOTH = {"ETag": '"a"', "Last-Modified": "Fri, 01 Jan 2027 00:00:00 GMT"}
SINCE = "If-Modified-Since"
NONE = "If-None-Match"


@pytest.mark.parametrize(
    ("fields", "request_fields", "status"),
    [
        pytest.param(BOTH, {}, 200, id="no-condition"),
        pytest.param(BOTH, {NONE: '"a"'}, 304, id="13.1.2-same"),
        pytest.param(BOTH, {NONE: '"b"'}, 200, id="13.1.2-other"),
        pytest.param(BOTH, {NONE: 'W/"a"'}, 304, id="13.1.2-weak-comparison"),
        pytest.param({"ETag": 'W/"a"'}, {NONE: '"a"'}, 304, id="13.1.2-weak-stored"),
        pytest.param(BOTH, {NONE: '"x", W/"a" ,"y"'}, 304, id="13.1.2-list"),
        pytest.param({"ETag": '"a,b"'}, {NONE: '"a,b"'}, 304, id="8.8.3-comma-inside"),
        pytest.param({"ETag": '"b"'}, {NONE: '"a,"b",c"'}, 200, id="13.1.2-broken-list"),
        pytest.param(BOTH, {NONE: "*"}, 304, id="13.1.2-any"),
        pytest.param({}, {NONE: "*"}, 304, id="13.1.2-any-without-tag"),
        pytest.param({}, {NONE: '"a"'}, 200, id="13.1.2-without-tag"),
        pytest.param(BOTH, {NONE: "a"}, 200, id="13.1.2-malformed"),
        pytest.param(BOTH, {NONE: '"b"', SINCE: BOTH["Last-Modified"]}, 200, id="13.2.2-tag-wins"),
        pytest.param(BOTH, {SINCE: BOTH["Last-Modified"]}, 304, id="13.1.3-same"),
        pytest.param(BOTH, {SINCE: "Fri, 01 Jan 2027 00:00:01 GMT"}, 304, id="13.1.3-later"),
        pytest.param(BOTH, {SINCE: "Thu, 31 Dec 2026 23:59:59 GMT"}, 200, id="13.1.3-earlier"),
        pytest.param(BOTH, {SINCE: "Friday, 01-Jan-27 00:00:00 GMT"}, 304, id="13.1.3-obsolete-form"),
        pytest.param(BOTH, {SINCE: "soon"}, 200, id="13.1.3-malformed"),
        pytest.param({}, {SINCE: "Fri, 01 Jan 2038 00:00:00 GMT"}, 304, id="4.3.2-by-date"),
        pytest.param(BOTH, {"Range": "bytes=0-1", NONE: '"a"'}, 304, id="13.2.2-before-range"),
        pytest.param(BOTH, {"Range": "bytes=0-1", NONE: '"b"'}, 206, id="13.2.2-then-range"),
    ],
)
def test_conditions(fields: dict[str, str], request_fields: dict[str, str], status: int, stored: Stores) -> None:
    assert shape("GET", Headers(request_fields), stored("max-age=60", fields), 10).status == status


@pytest.mark.parametrize("status", [404, 301, 204])
def test_conditions_are_about_what_succeeded(status: int, stored: Stores) -> None:
    kept = stored("max-age=60", BOTH, status=status)
    assert shape("GET", Headers({NONE: '"a"', "Range": "bytes=0-1"}), kept, 10).status == status


def test_fields_of_a_304(stored: Stores, date: Dates) -> None:
    fields = {"Content-Type": "a/b", "Content-Encoding": "br", "Content-Location": "/x", "Vary": "a", **BOTH}
    kept = stored("max-age=60", fields)
    answer = shape("GET", Headers({NONE: '"a"'}), kept, 10)
    assert set(answer.headers) == {"Content-Location", "Vary", "ETag", "Cache-Control", "Date"}
    assert (answer.first, answer.stop, answer.whole) == (0, 0, False)


def test_tags_in_several_lines_are_one_list(stored: Stores) -> None:
    asked = Headers([(NONE, '"x"'), (NONE, '"a"')])
    assert shape("GET", asked, stored("max-age=60", BOTH), 10).status == 304


def test_a_304_without_tag_keeps_last_modified(stored: Stores) -> None:
    kept = stored("max-age=60", {"Last-Modified": BOTH["Last-Modified"]})
    assert "Last-Modified" in shape("GET", Headers({SINCE: BOTH["Last-Modified"]}), kept, 10).headers


@pytest.mark.parametrize(
    ("text", "span"),
    [
        pytest.param("bytes=0-0", (0, 1), id="first"),
        pytest.param("Bytes= 2-4 ", (2, 5), id="space-and-case"),
        pytest.param("bytes=2-", (2, 10), id="open"),
        pytest.param("bytes=2-99", (2, 10), id="beyond-the-end"),
        pytest.param("bytes=-3", (7, 10), id="suffix"),
        pytest.param("bytes=-99", (0, 10), id="suffix-too-long"),
        pytest.param("bytes=,2-4,", (2, 5), id="empty-members"),
        pytest.param(f"bytes=0-{'9' * 500}", (0, 10), id="overflow-last"),
        pytest.param(f"bytes={'9' * 500}-", (0, 0), id="overflow-first"),
        pytest.param("bytes=10-", (0, 0), id="unsatisfiable"),
        pytest.param("bytes=-0", (0, 0), id="unsatisfiable-suffix"),
        pytest.param("bytes=4-2", None, id="backwards"),
        pytest.param("bytes=4-3", None, id="backwards-by-one"),
        pytest.param("bytes=0-1,3-4", None, id="several"),
        pytest.param("bytes=-", None, id="nothing"),
        pytest.param("bytes=", None, id="empty"),
        pytest.param("bytes=1-2x", None, id="letters"),
        pytest.param("bytes=--1", None, id="two-dashes"),
        pytest.param("bytes=+1-2", None, id="sign"),
        pytest.param("bytes=٠-١", None, id="other-digits"),
        pytest.param("items=0-1", None, id="other-unit"),
        pytest.param(f"bytes={'0' * 2000}-1", None, id="too-long"),
    ],
)
def test_ranges(text: str, span: tuple[int, int] | None) -> None:
    assert byte_range([text], 10) == span


def test_a_range_given_twice_is_ignored() -> None:
    assert byte_range(["bytes=0-1", "bytes=0-1"], 10) is None


@pytest.mark.parametrize(("text", "span"), [("bytes=0-", (0, 0)), ("bytes=-5", None), ("bytes=-0", (0, 0))])
def test_ranges_of_nothing(text: str, span: tuple[int, int] | None) -> None:
    assert byte_range([text], 0) == span


@given(st.text(max_size=30) | st.text("bytes=0123456789-, ", max_size=30).map("bytes={}".format), st.integers(0, 50))
def test_a_range_lies_inside_whatever_is_asked(text: str, length: int) -> None:
    span = byte_range([text], length)
    assert span is None or span == (0, 0) or 0 <= span[0] < span[1] <= length


def test_a_part_and_what_it_says(stored: Stores) -> None:
    answer = shape("GET", Headers({"Range": "bytes=2-4"}), stored("max-age=60", {"X-A": "1"}), 10)
    assert (answer.status, answer.first, answer.stop, answer.whole) == (206, 2, 5, False)
    assert (answer.headers["Content-Range"], answer.headers["X-A"]) == ("bytes 2-4/10", "1")


def test_beyond_the_end_is_416(stored: Stores) -> None:
    answer = shape("GET", Headers({"Range": "bytes=10-"}), stored("max-age=60", {"Content-Type": "a/b"}), 10)
    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */10")
    assert "Content-Type" not in answer.headers


@pytest.mark.parametrize(("method", "length"), [("HEAD", 10), ("GET", None)])
def test_no_range_for_head_nor_of_what_is_still_coming(method: str, length: int | None, stored: Stores) -> None:
    answer = shape(method, Headers({"Range": "bytes=0-1"}), stored(), length)
    assert (answer.status, answer.first, answer.stop, answer.whole) == (200, 0, length or 0, True)


@pytest.mark.parametrize(
    ("fields", "if_range", "status"),
    [
        pytest.param(BOTH, '"a"', 206, id="13.1.5-same-tag"),
        pytest.param(BOTH, '"b"', 200, id="13.1.5-other-tag"),
        pytest.param(BOTH, 'W/"a"', 200, id="13.1.5-weak"),
        pytest.param({"ETag": 'W/"a"'}, 'W/"a"', 200, id="13.1.5-both-weak"),
        pytest.param(BOTH, BOTH["Last-Modified"], 206, id="13.1.5-same-date"),
        pytest.param(BOTH, "Fri, 01 Jan 2027 00:00:01 GMT", 200, id="13.1.5-later-date-is-no-match"),
        pytest.param(BOTH, "a", 200, id="13.1.5-malformed"),
        pytest.param({"Date": BOTH["Last-Modified"], **BOTH}, BOTH["Last-Modified"], 200, id="8.8.2.2-weak-date"),
    ],
)
def test_if_range(fields: dict[str, str], if_range: str, status: int, stored: Stores) -> None:
    asked = Headers({"Range": "bytes=0-1", "If-Range": if_range})
    kept = stored("max-age=99999999", fields)
    assert shape("GET", asked, kept, 10).status == status


def test_if_range_given_twice_is_no_match(stored: Stores) -> None:
    asked = Headers([("Range", "bytes=0-1"), ("If-Range", '"a"'), ("If-Range", '"a"')])
    assert shape("GET", asked, stored("max-age=60", BOTH), 10).status == 200


def test_each_answer_has_fields_of_its_own(stored: Stores) -> None:
    kept = stored()
    for asked in ({}, {"Range": "bytes=0-1"}, {NONE: "*"}):
        shape("GET", Headers(asked), kept, 10).headers["X-New"] = "1"
    assert "X-New" not in kept.headers
