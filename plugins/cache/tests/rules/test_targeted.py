"""Targeted fields (RFC 9213): one valid field for this cache replaces Cache-Control and Expires."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Policy, Stored
from spork_cache.rules.directives import ResponseDirectives
from spork_cache.rules.targeted import effective_directives, parse_targeted

from spork_core.api import Headers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("max-age=60", {"max_age": 60}, id="number"),
        pytest.param("max-age=60;x=1, must-revalidate;y", {"max_age": 60, "must_revalidate": True}, id="parameters"),
        pytest.param('private="x-a, x-b"', {"private_fields": {"x-a", "x-b"}}, id="string"),
        pytest.param("private", {"private": True}, id="flag"),
        pytest.param("no-store=?0, max-age=1", {"max_age": 1}, id="flag-false"),
        pytest.param("none", {}, id="unknown-only-is-valid"),
        pytest.param("max-age=1, max-age=9", {"max_age": 9}, id="8941-last-wins"),
        pytest.param('max-age="60", s-maxage=5', {"s_maxage": 5}, id="2.1-wrong-type"),
        pytest.param("max-age=60.5, public", {"public": True}, id="2.1-decimal"),
        pytest.param("max-age=-5, public", {"public": True}, id="2.1-negative"),
        pytest.param("max-age=99999999999", {"max_age": 1 << 31}, id="overflow"),
    ],
)
def test_valid_fields(text: str, said: dict[str, object]) -> None:
    assert parse_targeted(text) == ResponseDirectives(**said)


@pytest.mark.parametrize(
    "text", ["", "max-age=60, &&&", "MaX-aGe=60", "max-age =60", 'private="a', "a, b,", "ü", "a" * 5000]
)
def test_invalid_or_empty_fields_are_ignored(text: str) -> None:
    assert parse_targeted(text) is None


@given(st.text(max_size=60) | st.text('max-age=1?0;,"\\ (', max_size=30))
def test_any_text_is_read_without_raising(text: str) -> None:
    parse_targeted(text)


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        pytest.param({"Cache-Control": "max-age=1", "CDN-Cache-Control": "max-age=60"}, 60, id="2.2-wins"),
        pytest.param({"CDN-Cache-Control": "max-age=60", "Spork-Cache-Control": "max-age=9"}, 9, id="2.2-own-first"),
        pytest.param({"CDN-Cache-Control": "max-age=60", "Spork-Cache-Control": "&"}, 60, id="2.2-next-when-invalid"),
        pytest.param({"Cache-Control": "max-age=7", "CDN-Cache-Control": "&"}, 7, id="2.2-invalid"),
        pytest.param([("CDN-Cache-Control", "public"), ("CDN-Cache-Control", "max-age=5")], 5, id="several-lines"),
        pytest.param({"Cache-Control": "max-age=7", "Other-Cache-Control": "max-age=60"}, 7, id="not-ours"),
    ],
)
def test_which_field_counts(fields: Any, seconds: int) -> None:
    assert effective_directives(Headers(fields), Policy())[0].max_age == seconds


def test_a_targeted_field_stores_what_cache_control_forbids(store: Callable[..., Stored | str]) -> None:
    kept = store({"Cache-Control": "no-store", "CDN-Cache-Control": "max-age=60"})
    assert isinstance(kept, Stored)


def test_expires_does_not_count_beside_a_targeted_field(
    store: Callable[..., Stored | str], date: Callable[[float], str]
) -> None:
    assert store({"CDN-Cache-Control": "foo", "Expires": date(60)}) == "no-freshness"
