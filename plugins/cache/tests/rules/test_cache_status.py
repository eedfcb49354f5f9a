"""The Cache-Status field (RFC 9211), read back with an independent parser."""

from typing import Any

import http_sf
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import append, forward, hit, name_item

from spork_core.api import Headers


def read(text: str) -> list[tuple[str, dict[str, Any]]]:
    return [(str(item), params) for item, params in http_sf.parse(text.encode(), tltype="list")]


@pytest.mark.parametrize(
    ("text", "params"),
    [
        (hit("spork", 30), {"hit": True, "ttl": 30}),
        (hit("spork", -5), {"hit": True, "ttl": -5}),
        (forward("spork", "uri-miss"), {"fwd": "uri-miss"}),
        (
            forward("spork", "stale", status=304, stored=True, collapsed=True, ttl=60, detail="no-cache"),
            {"fwd": "stale", "fwd-status": 304, "ttl": 60, "stored": True, "collapsed": True, "detail": "no-cache"},
        ),
        (forward("spork", "", detail="only-if-cached"), {"detail": "only-if-cached"}),
    ],
)
def test_members(text: str, params: dict[str, Any]) -> None:
    [(name, found)] = read(text)
    assert (name, {key: value if isinstance(value, int) else str(value) for key, value in found.items()}) == (
        "spork",
        params,
    )


def test_our_member_comes_after_those_nearer_to_the_origin() -> None:
    headers = Headers([("Cache-Status", "origin; hit"), ("Cache-Status", "cdn; fwd=miss")])
    append(headers, hit("spork", 1))
    assert headers.getall("Cache-Status") == ["origin; hit, cdn; fwd=miss, spork; hit; ttl=1"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_name_and_detail_are_written_well(name: str, detail: str) -> None:
    [(_, params)] = read(forward(name_item(name), "miss", detail=detail))
    assert ("detail" in params) is bool(detail)
