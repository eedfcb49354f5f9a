"""What is sent on: prefixes stripped and added, templates filled, the query untouched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.errors import BadRequest, ConfigError
from spork_core.routing import capture_names, compile_rewrite

from .helpers import find, routes


def send(target: str, route: str, strip: str | None = None, add: str | None = None, path: str | None = None) -> str:
    """The upstream target of a request for ``target`` that ``route`` takes."""
    rewrite = compile_rewrite(strip, add, path, capture_names(route))
    assert rewrite is not None
    _, mark, query = target.partition("?")
    return rewrite(find(routes(route), target), mark + query)


def test_nothing_to_do_is_none() -> None:
    assert compile_rewrite(None, None, None, ()) is None
    assert compile_rewrite("/", "/", None, ()) is None


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ("/api/users/7", "/users/7"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/api?", "/?"),
        ("/api/%7Eme?a=%2F&b", "/%7Eme?a=%2F&b"),
        ("/apis/x", "/apis/x"),
        ("/a%70i/caf%c3%a9", "/caf%c3%a9"),
        ("/%61pi", "/"),
        ("/%61pis/x", "/%61pis/x"),
        ("/api//x", "//x"),
        ("/x/../api/y", "/y"),
        ("/other", "/other"),
    ],
)
def test_strip(target: str, sent: str) -> None:
    assert send(target, "/*", strip="/api") == sent


def test_strip_two_segments_with_a_slash_at_the_end_and_add() -> None:
    assert send("/api/v1/x?y", "/*", strip="/api/v1/", add="/new/") == "/new/x?y"
    assert send("/api/v1", "/*", strip="/api/v1", add="/new") == "/new/"
    assert send("/x", "/*", add="/new") == "/new/x"


@pytest.mark.parametrize(
    ("route", "template", "target", "sent"),
    [
        ("/users/{id}", "/v2/{id}/x", "/users/7?q", "/v2/7/x?q"),
        ("/users/{id}", "/{id}", "/users/a%20b%3Fé%FF", "/a%20b%3F%C3%A9%FF"),
        ("/users/{id}", "/{id}", "/users/a:b@c;d", "/a:b@c;d"),
        ("/docs/*", "/v2/{rest}", "/docs/a%7Eb//c", "/v2/a%7Eb//c"),
        ("/docs/*", "/v2/{rest}", "/docs/", "/v2/"),
        ("/docs/*", "/v2/{rest}", "/docs", "/v2"),
        ("/docs/*", "/{rest}", "/docs?", "/?"),
        ("/docs/*", "/v2/{rest}/end", "/docs/a", "/v2/a/end"),
        ("/docs/*", "/fixed", "/docs/a?b", "/fixed?b"),
        (r"~/v(?P<n>\d)/(?P<what>.*)", "/{what}/{n}", "/v1/a/b%20c", "/a/b%20c/1"),
        ("/u/{id}/*", "/{id}.json", "/u/7/x", "/7.json"),
        ("/u/{id}", "/.well-known/.{id}", "/u/7", "/.well-known/.7"),
    ],
)
def test_template(route: str, template: str, target: str, sent: str) -> None:
    assert send(target, route, path=template) == sent


def test_a_capture_cannot_become_a_dot_segment() -> None:
    with pytest.raises(BadRequest, match="dot segment"):
        send("/x..y", "~/x(?P<a>.*)y", path="/admin/{a}/x")


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        ((None, None, "/{nope}"), '"{nope}" is not captured'),
        ((None, None, "x"), "is not a path"),
        ((None, None, "/a b"), "is not a path to send"),
        ((None, None, "/a?b"), "is not a path to send"),
        ((None, None, "/{id"), "is not a path to send"),
        ((None, None, "/a/{id}/../b"), "is not a path to send"),
        ((None, None, "/../b"), "is not a path to send"),
        ((None, None, "/%zz"), "is not a path to send"),
        (("api", None, None), "is not a path"),
        (("/api/*", None, None), "is not plain text"),
        ((None, "/a?b", None), "is not plain text"),
        ((None, "/..", None), "is not plain text"),
        (("/a", None, "/b"), "path replaces"),
    ],
)
def test_a_faulty_rewrite_is_refused(arguments: tuple[str | None, str | None, str | None], found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_rewrite(*arguments, ("id",), at="$.routes.x.rewrite")
    assert found in str(caught.value)
    assert str(caught.value).startswith("$.routes.x.rewrite")


def test_capture_names() -> None:
    assert capture_names("/a/{b}/{c}/*") == ("b", "c", "rest")
    assert capture_names("~/(?P<x>a)(b)") == ("x",)
    assert capture_names("/a") == capture_names("wrong") == ()


@given(st.text(max_size=30))
def test_the_query_is_kept_byte_for_byte(query: str) -> None:
    assert send(f"/api/x?{query}", "/api/*", strip="/api") == f"/x?{query}"
    assert send(f"/api/x?{query}", "/api/*", path="/y/{rest}") == f"/y/x?{query}"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\\/%?# "), min_size=1))
def test_a_capture_comes_out_as_it_went_in(segment: str) -> None:
    if segment.partition(";")[0] in {".", ".."}:
        return
    once = send(f"/u/{segment}", "/u/{id}", path="/u/{id}")
    assert send(once, "/u/{id}", path="/u/{id}") == once
    assert find(routes("/u/{id}"), once).captures == {"id": segment}
