"""Routes that are refused at load: each with its place, and all of them at once."""

import pytest

from spork_core.errors import ConfigError
from spork_core.routing import compile_routes
from spork_core.routing.regex import RegexFault, compile_regex, literal_prefix

from .helpers import rule


@pytest.mark.parametrize(
    ("faulty", "place", "found"),
    [
        ({"path": "a"}, "path", "is not a path"),
        ({"path": ""}, "path", "is not a path"),
        ({"path": "/a/*/b"}, "path", '"*" in'),
        ({"path": "/a/{id}.json"}, "path", "neither text nor a capture"),
        ({"path": "/a/{}"}, "path", "neither text nor a capture"),
        ({"path": "/{a}/{a}"}, "path", "captures a name twice"),
        ({"path": "/{rest}/*"}, "path", '"rest"'),
        ({"path": "/a?b=1"}, "path", 'holds a "?"'),
        ({"path": "/a/../b"}, "path", "no request can match"),
        ({"path": "/a/."}, "path", "dot segment"),
        ({"path": "/a%2Fb"}, "path", '"%2F"'),
        ({"path": "/a%zz"}, "path", '"%zz"'),
        ({"path": "~("}, "path", "is not a regular expression"),
        ({"path": "~(a+)+"}, "path", "exponential"),
        ({"hosts": ("a.com:80",)}, "host", "names a port"),
        ({"hosts": ("a.*.com",)}, "host", "wildcard elsewhere"),
        ({"hosts": ("*a.com",)}, "host", "wildcard elsewhere"),
        ({"hosts": ("a b",)}, "host", "is not a host name"),
        ({"hosts": ("",)}, "host", "is not a host name"),
        ({"hosts": ("bücher.example",)}, "host", "is not ASCII"),
        ({"methods": ("get",)}, "methods", "case-sensitive"),
        ({"methods": ("A B",)}, "methods", "is not a method"),
        ({"headers": {"X": "~["}}, "headers.X", "is not a regular expression"),
        ({"query": {"q": "x" * 2049}}, "query.q", "longer than 2048"),
    ],
)
def test_fault(faulty: dict[str, object], place: str, found: str) -> None:
    with pytest.raises(ConfigError) as caught:
        compile_routes([rule("it", **faulty)])  # type: ignore[arg-type]
    problem = caught.value.problems[0]
    assert problem.path == f"$.routes.it.match.{place}"
    assert found in problem.message


def test_all_faults_are_told_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        compile_routes([rule("a", "x"), rule("b"), rule("c"), rule("d", hosts=("x:1", "y:2"))])
    assert len(caught.value.problems) == 4


def test_only_known_escapes_can_be_allowed() -> None:
    with pytest.raises(ConfigError, match='"%41" is not an escape'):
        compile_routes([], allow_encoded=frozenset({"%41"}))


@pytest.mark.parametrize(
    "pattern",
    [
        "(a+)+",
        "(a*)*b",
        "(a|aa)+",
        "(?:a?)*x",
        "(?P<x>[a-z]+)*",
        "((a+)b)+",
        "(a{1,5}){2,}",
        "(a+){30}",
        "(?:[^/]+/?)+",
        ".*.*.*x",
        "/.*/a/.*/b/.*",
        r"/\w*\w*\w*x",
        r"/[^/]*[a-z]*\d{1,99}x",
        "(?x) a b",
        "a?" * 23 + "a" * 23,
        r"/[^/]*(?:a|b)\w*(?:a|b).*",
        "/a*b*+c*",
        "(?:/[^/]++)*(?:/[^/]++)*(?:/[^/]++)*x",
        "[",
    ],
)
def test_a_regex_that_can_be_slow_is_refused(pattern: str) -> None:
    with pytest.raises(RegexFault):
        compile_regex(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"/v\d+/[^/]+/items/\d+",
        "/files/.*\\.(?:jpg|png)",
        "/(?P<lang>en|fr)/.*",
        "(?:/[^/]++)*+",
        "(?:/[^/]++)*",
        "/a(?:b{3}){2}",
        "(?i)/a[]*+]+",
        "/(?=x).*",
        "/(?P<a>x)(?P=a)*",
        "/[^/]+/[^/]+/[^/]+/[^/]+",
        r"/a\(b\)+",
        "/x{}",
        "/(?:jpe?g|png|svgz?)",
        "/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{12}/[a-z]{1,20}",
    ],
)
def test_a_harmless_regex_is_accepted(pattern: str) -> None:
    compile_regex(pattern)


@pytest.mark.parametrize(
    ("pattern", "prefix"),
    [
        (r"/a/\d+", "/a/"),
        (r"^/a\.b/.*", "/a.b/"),
        ("/ab?c", "/a"),
        ("/ab*", "/a"),
        ("/a|/b", ""),
        ("(?i)/a", ""),
        ("/abc", "/abc"),
        ("", ""),
    ],
)
def test_the_text_a_regex_surely_begins_with(pattern: str, prefix: str) -> None:
    assert literal_prefix(pattern) == prefix
