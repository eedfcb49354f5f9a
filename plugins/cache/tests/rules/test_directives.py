"""Cache-Control as it is really sent (RFC 9111 section 5.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules.directives import (
    RequestDirectives,
    ResponseDirectives,
    members,
    parse_request,
    parse_response,
    request_directives,
    response_directives,
)

from spork_core.api import Headers

CC = "Cache-Control"
TOO_MUCH = 1 << 31


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("max-age=60", {"max_age": 60}, id="plain"),
        pytest.param("MAX-Age=60, PUBLIC", {"max_age": 60, "public": True}, id="case"),
        pytest.param('max-age="60"', {"max_age": 60}, id="5.2-quoted-number"),
        pytest.param("max-age=0060", {"max_age": 60}, id="leading-zeros"),
        pytest.param("max-age=60,,\t, public ,", {"max_age": 60, "public": True}, id="empty-members"),
        pytest.param("max-age=60; public", {"max_age": 0}, id="semicolon"),
        pytest.param("max-age=2147483648", {"max_age": TOO_MUCH}, id="1.2.2-max"),
        pytest.param("max-age=99999999999999999999", {"max_age": TOO_MUCH}, id="1.2.2-overflow"),
        pytest.param(f"max-age={'9' * 1000}", {"max_age": TOO_MUCH}, id="1.2.2-overflow-long"),
        pytest.param("max-age=-1", {"max_age": 0}, id="4.2.1-negative"),
        pytest.param("max-age=1.5", {"max_age": 0}, id="4.2.1-fraction"),
        pytest.param("max-age=60s", {"max_age": 0}, id="4.2.1-unit"),
        pytest.param("max-age='60'", {"max_age": 0}, id="4.2.1-single-quotes"),
        pytest.param("max-age", {"max_age": 0}, id="4.2.1-no-number"),
        pytest.param("max-age=", {"max_age": 0}, id="4.2.1-empty"),
        pytest.param('max-age="60', {"max_age": 0}, id="4.2.1-quote-open"),
        pytest.param("max-age =60", {"max_age": 0}, id="space-before-equals"),
        pytest.param("max-age= 60", {"max_age": 0}, id="space-after-equals"),
        pytest.param("max-age=٦٠", {"max_age": 0}, id="other-digits"),
        pytest.param("max-age=60, max-age=60", {"max_age": 60}, id="4.2.1-twice-the-same"),
        pytest.param("max-age=60, max-age=10", {"max_age": 0}, id="4.2.1-twice-different"),
        pytest.param('x="max-age=3600", max-age=1', {"max_age": 1}, id="inside-quotes-before"),
        pytest.param('max-age=1, x="a, max-age=3600"', {"max_age": 1}, id="inside-quotes-after"),
        pytest.param('"max-age=3600", max-age=1', {"max_age": 1}, id="quoted-member"),
        pytest.param('x="\\", no-store"', {}, id="escaped-quote"),
        pytest.param('max-age=60, x="a, no-store', {"max_age": 60, "no_store": True}, id="quote-open-before-no-store"),
        pytest.param('x="a, max-age=60', {"max_age": 0}, id="quote-open-before-max-age"),
        pytest.param('x="a"b, "no-store', {"no_store": True}, id="quotes-in-odd-places"),
        pytest.param("no-store=1", {"no_store": True}, id="argument-where-none-belongs"),
        pytest.param("no-store foo", {"no_store": True}, id="two-words"),
        pytest.param("private", {"private": True}, id="5.2.2.7-private"),
        pytest.param('private="Set-Cookie, X-A"', {"private_fields": {"set-cookie", "x-a"}}, id="5.2.2.7-fields"),
        pytest.param("private=X-A", {"private_fields": {"x-a"}}, id="5.2.2.7-token"),
        pytest.param('private=""', {"private": True}, id="5.2.2.7-no-fields"),
        pytest.param('private="a b"', {"private": True}, id="5.2.2.7-no-names"),
        pytest.param('private="x-a', {"private": True}, id="5.2.2.7-quote-open"),
        pytest.param('private, private="x-a"', {"private": True}, id="5.2.2.7-both"),
        pytest.param('no-cache="X-A"', {"no_cache_fields": {"x-a"}}, id="5.2.2.4-fields"),
        pytest.param('no-cache="X-A", no-cache', {"no_cache": True}, id="5.2.2.4-both"),
        pytest.param(
            "must-revalidate, proxy-revalidate", {"must_revalidate": True, "proxy_revalidate": True}, id="5.2.2.2"
        ),
        pytest.param("s-maxage=5, must-understand", {"s_maxage": 5, "must_understand": True}, id="5.2.2.10"),
        pytest.param(
            "stale-while-revalidate=7, stale-if-error=9",
            {"stale_while_revalidate": 7, "stale_if_error": 9},
            id="5861",
        ),
        pytest.param("community=UCI, immutable, no-transform", {}, id="5.2.3-unknown"),
        pytest.param("", {}, id="nothing"),
        pytest.param("x" * 5000, {"no_store": True}, id="too-long"),
    ],
)
def test_response_directives(text: str, said: dict[str, object]) -> None:
    assert parse_response(text) == ResponseDirectives(**said)


def test_several_fields_are_one_list() -> None:
    fields = Headers([("Cache-Control", "max-age=60"), ("Cache-Control", "private")])
    assert response_directives(fields) == ResponseDirectives(max_age=60, private=True)
    assert request_directives(Headers([(CC, "max-age=60"), (CC, "no-store")])) == RequestDirectives(
        max_age=60, no_store=True
    )


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        pytest.param({}, {}, id="nothing"),
        pytest.param({"Cache-Control": "no-cache"}, {"no_cache": True}, id="5.2.1.4"),
        pytest.param(
            {"Cache-Control": "no-store, only-if-cached"}, {"no_store": True, "only_if_cached": True}, id="5.2.1.5"
        ),
        pytest.param({"Cache-Control": "max-age=x"}, {"max_age": 0}, id="5.2.1.1-broken-is-strict"),
        pytest.param({"Cache-Control": "max-stale"}, {"max_stale": TOO_MUCH}, id="5.2.1.2-any"),
        pytest.param({"Cache-Control": "max-stale=x"}, {"max_stale": 0}, id="5.2.1.2-broken-is-strict"),
        pytest.param({"Cache-Control": "max-stale=5, max-stale"}, {"max_stale": 0}, id="5.2.1.2-twice"),
        pytest.param({"Cache-Control": "min-fresh=x"}, {"min_fresh": TOO_MUCH}, id="5.2.1.3-broken-is-strict"),
        pytest.param({"Cache-Control": "x" * 5000}, {"no_cache": True}, id="too-long"),
        pytest.param({"Pragma": "x, No-Cache"}, {"no_cache": True}, id="5.4-pragma"),
        pytest.param({"Pragma": "no-cache=1"}, {}, id="5.4-pragma-other"),
        pytest.param({"Pragma": "no-cache", "Cache-Control": "max-age=5"}, {"max_age": 5}, id="5.4-cache-control-wins"),
    ],
)
def test_request_directives(fields: dict[str, str], asked: dict[str, object]) -> None:
    assert request_directives(Headers(fields)) == RequestDirectives(**asked)


@given(st.text(max_size=200) | st.text('max-age=private"no-store, \\\t;1', max_size=60))
def test_any_text_is_read_without_raising(text: str) -> None:
    parse_response(text)
    parse_request(text)


NAMES = st.from_regex(r"[a-z][a-z-]{0,11}", fullmatch=True)
ARGUMENTS = st.none() | st.from_regex(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,8}", fullmatch=True) | st.text(max_size=12)


@given(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=6))
def test_what_is_written_well_is_read_back(pairs: list[tuple[str, str | None]]) -> None:
    def written(name: str, argument: str | None) -> str:
        if argument is None:
            return name
        quoted = argument.replace("\\", "\\\\").replace('"', '\\"')
        return f'{name}="{quoted}"'

    assert list(members(", ".join(written(*pair) for pair in pairs))) == pairs
