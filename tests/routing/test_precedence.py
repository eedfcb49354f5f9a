"""Each rule of precedence, what cannot be told apart, and what can never match."""

import pytest

from spork_core.errors import ConfigError
from spork_core.routing import compile_routes

from .helpers import find, routes, rule

HOSTS = [
    rule("any"),
    rule("wild", hosts=("*.b.c",)),
    rule("longer", hosts=("*.a.b.c",)),
    rule("exact", hosts=("x.a.b.c",)),
]
PATHS = ["/*", "~/a/.*", "/{x}/{y}", "/{x}/*", "/a/{y}", "/*", "/b/*", "/b/c/*", "/b/c/d"]


@pytest.mark.parametrize(
    ("host", "winner"), [("x.a.b.c", "exact"), ("y.a.b.c", "longer"), ("y.b.c", "wild"), ("b.c", "any"), ("", "any")]
)
def test_exact_host_then_longest_wildcard_then_any(host: str, winner: str) -> None:
    assert find(compile_routes(HOSTS), "/", host=host).value == winner


def test_a_route_for_a_host_and_for_any_counts_as_exact_there() -> None:
    router = compile_routes([rule("both", hosts=("*", "h")), rule("any", "/a")])
    assert [find(router, "/a", host=host).value for host in ("h", "i")] == ["both", "any"]


def test_host_beats_path_and_conditions() -> None:
    router = compile_routes([rule("host", hosts=("h",)), rule("path", "/a", methods=("GET",), priority=9)])
    assert find(router, "/a", host="h").value == "host"


@pytest.mark.parametrize(
    ("target", "winner"),
    [
        ("/b/c/d", "/b/c/d"),
        ("/b/c/e", "/b/c/*"),
        ("/b/x", "/b/*"),
        ("/a/x", "/a/{y}"),
        ("/c/x", "/{x}/{y}"),
        ("/c/x/y", "/{x}/*"),
        ("/c", "/{x}/*"),
        ("/a/x/y", "/{x}/*"),
        ("/a//", "/{x}/*"),
        ("/", "/*"),
    ],
)
def test_exact_then_longest_prefix_then_template_then_regex_then_all(target: str, winner: str) -> None:
    assert find(routes(*dict.fromkeys(PATHS)), target).value == winner


def test_regex_is_the_last_resort_but_for_all() -> None:
    assert find(routes("/*", "~/a/.*", "/a/{x}"), "/a/b/c").value == "~/a/.*"


@pytest.mark.parametrize(
    ("target", "winner"),
    [("/a/b/x", "/a/b/{z}"), ("/a/y/c", "/a/{y}/c"), ("/a/b/c", "/a/b/{z}"), ("/z/b/c", "/{x}/b/c")],
)
def test_templates_text_further_left_wins(target: str, winner: str) -> None:
    assert find(routes("/{x}/b/c", "/a/{y}/c", "/a/b/{z}"), target).value == winner


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ({"methods": ("GET",)}, {"headers": {"A": "1", "B": "*"}, "query": {"q": "1"}, "priority": 5}),
        ({"headers": {"A": "1", "B": "*"}}, {"headers": {"A": "1"}, "query": {"q": "1"}, "priority": 5}),
        ({"query": {"q": "1", "r": "*"}}, {"query": {"q": "1"}, "priority": 5}),
        ({"priority": 1}, {}),
        ({}, {"priority": -1}),
    ],
)
@pytest.mark.parametrize("path", ["/a/b", "/a/*", "/{x}/b", "~/a/.", "/*"])
def test_methods_then_headers_then_query_then_priority(
    better: dict[str, object], worse: dict[str, object], path: str
) -> None:
    router = compile_routes([rule("worse", path, **worse), rule("better", path, **better)])
    assert find(router, "/a/b?q=1&r=2", headers={"A": "1", "B": "2"}).value == "better"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"path": "/a"}, {"path": "/a"}),
        ({"path": "/a/*"}, {"path": "/%61/*"}),
        ({"path": "/u/{id}"}, {"path": "/u/{name}"}),
        ({"path": "~/a.*"}, {"path": "~/.*b"}),
        ({"path": "~/a/.*"}, {"path": "~/a/b.*"}),
        ({"hosts": ("a", "b")}, {"hosts": ("B.", "c")}),
        ({"hosts": ()}, {"hosts": ("*",)}),
        ({"methods": ("GET", "PUT")}, {"methods": ("PUT",)}),
        ({"headers": {"A": "1"}}, {"headers": {"B": "1"}}),
        ({"headers": {"A": "~[0-9]"}}, {"headers": {"a": "1"}}),
        ({"query": {"A": "1"}}, {"query": {"a": "2"}}),
    ],
)
def test_routes_that_cannot_be_told_apart_are_refused(one: dict[str, object], two: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_routes([rule("first", **one), rule("second", **two)])  # type: ignore[arg-type]
    (problem,) = caught.value.problems
    assert 'routes "first" and "second" cannot be told apart' in problem.message
    assert "priority" in problem.remedy
    assert problem.path == "$.routes.second.match"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"path": "/a"}, {"path": "/a/"}),
        ({"path": "/{x}/b"}, {"path": "/a/{y}"}),
        ({"path": "~/a/.*"}, {"path": "~/b/.*"}),
        ({"path": "~/a.*", "priority": 1}, {"path": "~/.*b"}),
        ({"hosts": ("a",)}, {"hosts": ("b",)}),
        ({"methods": ("GET",)}, {"methods": ("PUT",)}),
        ({"headers": {"A": "1"}}, {"headers": {"a": "2"}}),
        ({"headers": {"A": "~[a-z]"}}, {"headers": {"A": "1"}}),
        ({"query": {"v": "1"}}, {"query": {"v": "2"}}),
    ],
)
def test_routes_that_can_be_told_apart_are_accepted(one: dict[str, object], two: dict[str, object]) -> None:
    compile_routes([rule("first", **one), rule("second", **two)])  # type: ignore[arg-type]


def test_every_ambiguous_pair_is_named_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_routes([rule(name, hosts=("h1", "h2")) for name in "abc"])
    pairs = [problem.message.split(" cannot")[0] for problem in caught.value.problems]
    assert pairs == ['routes "a" and "b"', 'routes "a" and "c"', 'routes "b" and "c"']


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"path": "/u/*"}, {"path": "/u/{id}"}),
        ({"path": "/u/*"}, {"path": r"~/u/v\d+"}),
        ({"path": "/u/*", "methods": ("GET", "PUT")}, {"path": "/u/{id}", "methods": ("GET",)}),
        ({"path": "/u", "priority": 1}, {"path": "/u"}),
        ({"path": "/u/*", "headers": {"a": "1"}}, {"path": "/u/{id}", "headers": {"A": "1"}}),
    ],
)
def test_a_route_that_can_never_match_is_a_warning(wide: dict[str, object], narrow: dict[str, object]) -> None:
    router = compile_routes([rule("narrow", **narrow), rule("wide", **wide)])  # type: ignore[arg-type]
    (warning,) = router.warnings
    assert warning.startswith('route "narrow" (')
    assert 'can never match: "wide" (' in warning


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"path": "/u/*", "methods": ("GET",)}, {"path": "/u/{id}"}),
        ({"path": "/u/*", "hosts": ("h",)}, {"path": "/u/{id}"}),
        ({"path": "/u/*", "hosts": ("h",)}, {"path": "/u/{id}", "hosts": ("h", "i")}),
        ({"path": "/u/*", "query": {"a": "1"}}, {"path": "/u/{id}"}),
        ({"path": "/u/*"}, {"path": r"~/u\d"}),
        ({"path": "/*"}, {"path": "/{id}"}),
    ],
)
def test_a_route_that_may_match_is_no_warning(wide: dict[str, object], narrow: dict[str, object]) -> None:
    assert not compile_routes([rule("narrow", **narrow), rule("wide", **wide)]).warnings  # type: ignore[arg-type]
