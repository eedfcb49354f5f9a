"""The normal form of paths, and the paths that are refused."""

from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.errors import BadRequest
from spork_core.routing import compile_routes, normalise_path
from spork_core.routing.paths import is_clean

from .helpers import find, routes, rule

SEGMENT = st.text(st.sampled_from("ab./%2eEfF5cC0;:é~\udcff"), max_size=8)
PATHS = st.lists(SEGMENT, max_size=5).map(lambda segments: "/" + "/".join(segments))


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("/a/b", "/a/b"),
        ("/%41%7e%2D", "/A~-"),
        ("/a%3ab%20", "/a%3Ab%20"),
        ("/%2541", "/%2541"),
        ("/é\udcff", "/%C3%A9%FF"),
        ("//a//", "//a//"),
        ("/...", "/..."),
        ("/.well-known/x", "/.well-known/x"),
        ("/a.b/c..d", "/a.b/c..d"),
    ],
)
def test_the_copy_that_is_matched(raw: str, normal: str) -> None:
    assert normalise_path(raw) == (normal, False)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("/a/../b", "/b"),
        ("/a/./b", "/a/b"),
        ("/a/.", "/a/"),
        ("/a/..", "/"),
        ("/a/b/..", "/a/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/a//../b", "/a/b"),
        ("/%2e", "/"),
    ],
)
def test_dot_segments_are_removed_and_the_result_is_forwarded(raw: str, normal: str) -> None:
    match = find(routes("/*"), raw + "?q=/../x")
    assert (match.path, match.collapsed) == (normal, True)


def test_without_dot_segments_the_raw_path_is_forwarded() -> None:
    match = find(routes("/A/*"), "/%41/%7e%3a//é")
    assert (match.path, match.collapsed) == ("/%41/%7e%3a//é", False)


def test_a_protected_path_cannot_be_reached_through_an_open_one() -> None:
    router = routes("/open/*", "/admin/*", "/*")
    for raw in ("/open/../admin/x", "/open/%2e%2e/admin/x", "/open/x/../../admin/./x", "/%61dmin/x", "/admin//x"):
        assert find(router, raw).value == "/admin/*"


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ("/a%2fb", '"%2F"'),
        ("/a%5Cb", '"%5C"'),
        ("/a%00", '"%00"'),
        ("/a%", "invalid percent escape"),
        ("/a%2", "invalid percent escape"),
        ("/a%zz", '"%zz"'),
        ("/a%<x", "invalid percent escape."),
        ("/a\\b", "backslash"),
        ("/a\x00", "control"),
        ("/a\tb", "control"),
        ("/a\x7f", "control"),
        ("/a b", "space"),
        ("/a#b", "fragment"),
        ("/..", "climbs"),
        ("/a/../../b", "climbs"),
        ("/%2e%2e/b", "climbs"),
        ("/a/..;/b", "disguised"),
        ("/a/%2e.;x=1/b", "disguised"),
        ("/\ud800", "not Unicode"),
        ("*", "absolute path"),
        ("", "absolute path"),
        ("http://h/a", "absolute path"),
    ],
)
def test_what_servers_read_differently_is_refused(raw: str, named: str) -> None:
    with pytest.raises(BadRequest) as caught:
        find(routes("/*", "/a/*"), raw + "?x=1")
    assert named in caught.value.detail


def test_an_escape_can_be_allowed_and_is_no_separator() -> None:
    router = compile_routes(
        [rule("all"), rule("admin", "/a/admin"), rule("id", "/{id}/b")], allow_encoded=frozenset({"%2f"})
    )
    assert find(router, "/a%2fadmin").value == "all"
    assert find(router, "/x%2Fy").path == "/x%2Fy"
    for refused in ("/a%5cb", "/a/..%2Fb", "/a%2F../b", "/a%2f%2e%2e%2fb", "/x%2Fy/b"):
        with pytest.raises(BadRequest):
            find(router, refused)


@given(PATHS)
def test_normalising_twice_is_normalising_once(path: str) -> None:
    try:
        normal, _ = normalise_path(path)
    except BadRequest:
        return
    assert normalise_path(normal) == (normal, False)


@given(PATHS)
def test_the_copy_decodes_to_the_bytes_of_the_raw_path(path: str) -> None:
    try:
        normal, collapsed = normalise_path(path)
    except BadRequest:
        return
    if not collapsed:
        assert unquote_to_bytes(normal) == unquote_to_bytes(path.encode("utf-8", "surrogateescape"))


@given(PATHS)
def test_a_clean_path_is_its_own_normal_form(path: str) -> None:
    if is_clean(path):
        assert normalise_path(path) == (path, False)


@given(PATHS)
def test_what_is_forwarded_is_what_was_matched(path: str) -> None:
    try:
        match = find(routes("/*"), path)
    except BadRequest:
        return
    normal, _ = normalise_path(path)
    assert normalise_path(match.path) == (normal, False)
    assert match.collapsed or match.path == path
