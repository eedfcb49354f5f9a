"""Which route takes a request: paths, hosts, conditions, 404 and 405."""

import pytest
from multidict import CIMultiDict

from spork_core.errors import HeadersTooLarge, MethodNotAllowed, NotFound, UriTooLong
from spork_core.routing import compile_routes

from .helpers import find, routes, rule


@pytest.mark.parametrize(
    ("path", "target", "matches"),
    [
        ("/a", "/a", True),
        ("/a", "/a?x=1", True),
        ("/a", "/a/", False),
        ("/a", "/A", False),
        ("/a/", "/a/", True),
        ("/a/", "/a", False),
        ("/", "/", True),
        ("/", "/?", True),
        ("/café", "/caf%c3%a9", True),
        ("/café", "/café", True),
        ("/~me", "/%7Eme", True),
        ("/a:b", "/a%3Ab", False),
        ("/a/*", "/a", True),
        ("/a/*", "/a/", True),
        ("/a/*", "/a/b/c", True),
        ("/a/*", "/a//b", True),
        ("/a/*", "/ab", False),
        ("/a/*", "//a/b", False),
        ("/*", "/", True),
        ("/*", "//x", True),
        ("/u/{id}", "/u/7", True),
        ("/u/{id}", "/u/", False),
        ("/u/{id}", "/u", False),
        ("/u/{id}", "/u/7/", False),
        ("/u/{id}/*", "/u/7", True),
        ("/u/{id}/*", "/u/7/x", True),
        ("/u/{id}/*", "/u//x", False),
        (r"~/v\d/.*", "/v1/x", True),
        (r"~/v\d", "/v1/x", False),
        (r"~/[a-z]+", "/%61b", True),
    ],
)
def test_path(path: str, target: str, matches: bool) -> None:
    router = routes(path)
    if matches:
        assert find(router, target).value == path
    else:
        with pytest.raises(NotFound):
            find(router, target)


@pytest.mark.parametrize(
    ("target", "captures", "rest"),
    [
        ("/u/7/o/a%20b/x/y", {"id": "7", "order": "a b"}, "x/y"),
        ("/u/%41/o/%ff", {"id": "A", "order": "\udcff"}, ""),
        ("/u/7/o/1/x%2Ey/", {"id": "7", "order": "1"}, "x%2Ey/"),
        ("/u/7/o/1//", {"id": "7", "order": "1"}, "/"),
        ("/u/8/../7/o/1/%78", {"id": "7", "order": "1"}, "x"),
    ],
)
def test_captures_are_decoded_and_the_rest_is_raw(target: str, captures: dict[str, str], rest: str) -> None:
    match = find(routes("/u/{id}/o/{order}/*"), target)
    assert (match.captures, match.rest) == (captures, rest)


def test_named_groups_of_a_regex_are_captures() -> None:
    match = find(routes(r"~/v(?P<major>\d+)(?P<beta>-beta)?/(?P<what>.*)"), "/v2/a%20b/c")
    assert match.captures == {"major": "2", "beta": "", "what": "a b/c"}


@pytest.mark.parametrize(
    ("target", "rest"), [("/docs", ""), ("/docs/", ""), ("/docs/a/b?c=/d", "a/b"), ("/d%6Fcs/%2e%2E/docs/a", "a")]
)
def test_rest_of_a_prefix(target: str, rest: str) -> None:
    assert find(routes("/docs/*"), target).rest == rest


@pytest.mark.parametrize(
    ("pattern", "host", "matches"),
    [
        ("api.example.com", "API.Example.COM", True),
        ("API.example.com", "api.example.com:8443", True),
        ("api.example.com", "api.example.com.", True),
        ("api.example.com", "api.example.com.:80", True),
        ("api.example.com", "api.example.com:x", False),
        ("api.example.com", "x.api.example.com", False),
        ("api.example.com", "", False),
        ("*.example.com", "a.example.com", True),
        ("*.example.com", "a.b.example.com", True),
        ("*.example.com", "example.com", False),
        ("*.example.com", ".example.com", False),
        ("*.example.com", "badexample.com", False),
        ("*.example.com", "a." * 4000 + "example.com", False),
        ("127.0.0.1", "127.0.0.1:80", True),
        ("::1", "[::1]:8080", True),
        ("[0:0::1]", "[::1]", True),
        ("[::1]", "[::1]x", False),
        ("[::1]", "[::1", False),
        ("[::1]", "[nonsense]", False),
        ("*", "anything:1", True),
    ],
)
def test_host(pattern: str, host: str, matches: bool) -> None:
    router = compile_routes([rule("it", hosts=(pattern,))])
    for _ in range(2):  # the second time from memory
        if matches:
            assert find(router, "/x", host=host).value == "it"
        else:
            with pytest.raises(NotFound):
                find(router, "/x", host=host)


def test_memory_of_hosts_is_bounded() -> None:
    router = compile_routes([rule("it", hosts=("*.example.com",))])
    for i in range(3000):
        find(router, "/", host=f"h{i}.example.com")
    with pytest.raises(NotFound):
        find(router, "/", host="a" * 300 + ".example.com")
    assert len(router._memo) <= 1024
    assert max(map(len, router._memo)) <= 262


@pytest.mark.parametrize(
    ("conditions", "target", "headers", "matches"),
    [
        ({"headers": {"X-V": "2"}}, "/", {"x-v": "2"}, True),
        ({"headers": {"X-V": "2"}}, "/", {"x-v": "20"}, False),
        ({"headers": {"X-V": "2"}}, "/", {}, False),
        ({"headers": {"X-V": "*"}}, "/", {"X-V": ""}, True),
        ({"headers": {"X-V": "~[0-9]+"}}, "/", {"X-V": "42"}, True),
        ({"headers": {"X-V": "~[0-9]+"}}, "/", {"X-V": "42x"}, False),
        ({"query": {"v": "2"}}, "/?v=2", {}, True),
        ({"query": {"v": "2"}}, "/?a=1&v=%32&v=3", {}, True),
        ({"query": {"v": "2"}}, "/?v=3&v=2", {}, False),
        ({"query": {"v": "2"}}, "/?V=2", {}, False),
        ({"query": {"v": "*"}}, "/?v", {}, True),
        ({"query": {"v": "*"}}, "/", {}, False),
        ({"query": {"v": "~a.*"}}, "/?v=a+b", {}, True),
        ({"headers": {"A": "1"}, "query": {"b": "2"}}, "/?b=2", {"A": "1"}, True),
        ({"headers": {"A": "1"}, "query": {"b": "2"}}, "/?b=2", {"A": "2"}, False),
    ],
)
def test_conditions(conditions: dict[str, object], target: str, headers: dict[str, str], matches: bool) -> None:
    router = routes(other=rule("other"), it=rule("it", **conditions))
    assert find(router, target, headers=headers).value == ("it" if matches else "other")


def test_lines_of_one_header_are_joined() -> None:
    router = compile_routes([rule("it", headers={"Accept": "a, b"})])
    headers = CIMultiDict([("accept", "a"), ("Accept", "b")])
    assert router.find("GET", "", "/", headers).value == "it"


def test_unmet_conditions_fall_through_to_the_next_best_route() -> None:
    table = [
        rule("exact", "/a/b", hosts=("h.example.com",), methods=("PUT",)),
        rule("prefix", "/a/*", hosts=("h.example.com",), headers={"X": "1"}),
        rule("template", "/a/{x}", hosts=("h.example.com",), query={"q": "1"}),
        rule("regex", "~/a/.", hosts=("h.example.com",), methods=("POST",)),
        rule("wild", "/a/*", hosts=("*.example.com",), methods=("DELETE",)),
        rule("any", "/*"),
    ]
    router = compile_routes(table)

    def taken(method: str = "GET", target: str = "/a/b", **headers: str) -> str:
        return find(router, target, method, "h.example.com", headers).value

    assert taken("PUT") == "exact"
    assert taken("PUT", "/a/%62") == "exact"
    assert taken(X="1") == "prefix"
    assert taken(target="/a/b?q=1") == "template"
    assert taken("POST") == "regex"
    assert taken("DELETE") == "wild"
    assert taken() == "any"


def test_not_found() -> None:
    with pytest.raises(NotFound) as caught:
        find(routes("/a", r"/b/*"), "/c")
    assert (caught.value.status, caught.value.headers) == (404, ())


def test_method_not_allowed_names_the_methods_of_all_routes_that_match_otherwise() -> None:
    router = compile_routes(
        [
            rule("one", "/a/b", methods=("PUT", "POST")),
            rule("two", "/a/*", methods=("DELETE",)),
            rule("header", "/a/*", methods=("PATCH",), headers={"X": "1"}),
            rule("host", "/a/*", methods=("TRACE",), hosts=("h",)),
            rule("elsewhere", "/c", methods=("GET",)),
        ]
    )
    with pytest.raises(MethodNotAllowed) as caught:
        find(router, "/a/b")
    assert caught.value.headers == (("Allow", "DELETE, POST, PUT"),)


def test_methods_are_case_sensitive_and_head_is_not_get() -> None:
    router = compile_routes([rule("it", methods=("GET",))])
    for method in ("get", "HEAD"):
        with pytest.raises(MethodNotAllowed):
            find(router, "/", method)


def test_a_text_too_long_for_a_regex_is_refused_not_skipped() -> None:
    router = routes("/*", "~/admin.*", deep=rule("deep", "/q", query={"x": "~a"}, headers={"Y": "~b"}))
    with pytest.raises(UriTooLong):
        find(router, "/admin" + "x" * 2048)
    with pytest.raises(UriTooLong):
        find(router, "/q?x=" + "a" * 2049, headers={"Y": "b"})
    with pytest.raises(HeadersTooLarge):
        find(router, "/q", headers={"Y": "b" * 2049})


def test_a_deep_hostile_path_costs_no_more_than_the_deepest_route() -> None:
    router = routes("/a/*", "/{x}/{y}", "/a/b/{c}/*")
    assert find(router, "/a" + "/" * 8000).value == "/a/*"
    with pytest.raises(NotFound):
        find(router, "/" + "x/" * 4000)


def test_the_same_answer_object_serves_all_requests_of_a_literal_route() -> None:
    router = routes("/a")
    assert find(router, "/a") is find(router, "/a?x=1")


def test_repr_says_how_much_there_is() -> None:
    assert repr(compile_routes([rule("a"), rule("b", hosts=("h", "*.h"))])) == "<Router 2 routes, 2 hosts>"
