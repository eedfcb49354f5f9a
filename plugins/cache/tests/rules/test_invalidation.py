"""What a change makes out of date (RFC 9111 section 4.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import invalidates

from spork_core.api import Headers

BASE = "http://a.example/x?y=1"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "TRACE", "QUERY"])
def test_safe_methods_change_nothing(method: str) -> None:
    assert invalidates(method, 200, BASE, Headers({"Location": "/z"})) == ()


@pytest.mark.parametrize(
    ("status", "changed"), [(200, True), (204, True), (303, True), (400, False), (404, False), (503, False)]
)
def test_only_a_success_changes(status: int, changed: bool) -> None:
    assert invalidates("PUT", status, BASE, Headers()) == ((BASE,) if changed else ())


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "MOVE", "get"])
def test_other_methods_may_change(method: str) -> None:
    assert invalidates(method, 200, BASE, Headers()) == (BASE,)


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        ("/z", "http://a.example/z"),
        ("z?q", "http://a.example/z?q"),
        ("http://A.example:80/z#frag", "http://a.example/z"),
        ("//a.example/z", "http://a.example/z"),
        ("", None),
        ("http://a.example", "http://a.example/"),
        ("https://a.example/z", None),
        ("http://b.example/z", None),
        ("http://a.example:81/z", None),
        ("http://me@a.example/z", None),
        ("http://a.example:port/z", None),
        ("http://[a/z", None),
        ("/" + "z" * 9000, None),
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_what_the_answer_points_at(name: str, reference: str, found: str | None) -> None:
    assert invalidates("POST", 201, BASE, Headers({name: reference})) == ((BASE,) if found is None else (BASE, found))


@given(st.text(max_size=40) | st.text("/:@[]?#a.%", max_size=20))
def test_another_origin_is_never_touched(reference: str) -> None:
    assert all(
        uri.startswith("http://a.example/") for uri in invalidates("PUT", 200, BASE, Headers({"Location": reference}))
    )
