"""Sample requests: made of a route's match, or named; each takes the route it is for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.config import loads
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing.faults.samples import Sample, Underivable, derived, named

REGEX = r'"~/v\\d++/(?:a|b)/[0-9a-f]{8}"'


def gateway(routes: str) -> Gateway:
    registry = Registry({})
    text = f"services: {{s: {{endpoints: [http://127.0.0.1:1]}}}}\nroutes: {{{routes}}}"
    return Gateway(loads(text, plugins=registry), registry)


@pytest.mark.parametrize(
    ("match", "wanted", "host"),
    [
        ("{}", "GET /", "gateway.test"),
        ("{path: /exact}", "GET /exact", "gateway.test"),
        ("{path: /a/*}", "GET /a/x", "gateway.test"),
        ('{path: "/users/{id}/posts"}', "GET /users/1/posts", "gateway.test"),
        ('{path: "/users/{id}/*"}', "GET /users/1/x", "gateway.test"),
        (f"{{path: {REGEX}}}", "GET /v0/a/00000000", "gateway.test"),
        ('{host: "*.example.com", path: /x}', "GET /x", "www.example.com"),
        ("{host: [api.example.com, b.example.com]}", "GET /", "api.example.com"),
        ("{path: /x, methods: [DELETE, PUT]}", "DELETE /x", "gateway.test"),
        ("{path: /x, methods: [HEAD, GET]}", "GET /x", "gateway.test"),
        ('{path: /x, query: {v: "1 2", w: "*"}}', "GET /x?v=1%202&w=x", "gateway.test"),
    ],
)
def test_a_sample_is_made_of_the_match(match: str, wanted: str, host: str) -> None:
    sample = derived(gateway(f"r: {{match: {match}, service: s}}"), "r")
    assert (str(sample), sample.host) == (wanted, host)


def test_header_conditions_are_met_and_content_is_sent_where_it_belongs() -> None:
    made = gateway('r: {match: {methods: [POST], headers: {X-V: "2", X-T: "~[ab]{3}", X-Any: "*"}}, service: s}')
    assert derived(made, "r", (("Authorization", "Bearer a"),)).render() == (
        b"POST / HTTP/1.1\r\nHost: gateway.test\r\nX-V: 2\r\nX-T: aaa\r\nX-Any: x\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer a\r\nContent-Length: 2\r\n\r\n{}"
    )


def test_the_more_particular_route_is_avoided() -> None:
    """given a route below another, when a sample of the outer one is made, then it does not take the inner one"""
    made = gateway("all: {match: {}, service: s}, root: {match: {path: /}, service: s}")
    assert str(derived(made, "all")) == "GET /x"


def test_a_route_that_cannot_be_reached_says_which_one_is() -> None:
    made = gateway("a: {match: {path: /x}, service: s, priority: 1}, b: {match: {path: '~/x'}, service: s}")
    with pytest.raises(Underivable, match="requests made of its match take a"):
        derived(made, "b")


def test_a_regex_that_nothing_of_a_url_matches() -> None:
    with pytest.raises(Underivable, match='no text was found that "~/€" matches'):
        derived(gateway('r: {match: {path: "~/€"}, service: s}'), "r")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [("/x?a=1", ("GET /x?a=1", "gateway.test")), ("http://api.example.com/x", ("GET /x", "api.example.com"))],
)
def test_a_named_request_finds_its_route(url: str, wanted: tuple[str, str]) -> None:
    sample = named(gateway("r: {match: {path: /x}, service: s}"), "GET", url)
    assert (sample.route, str(sample), sample.host) == ("r", *wanted)


def test_a_named_request_that_no_route_takes() -> None:
    with pytest.raises(Underivable, match=r"GET /y at .* takes no route"):
        named(gateway("r: {match: {path: /x}, service: s}"), "GET", "/y")


PIECES = st.lists(st.sampled_from(["a", "b", "{x}", "{y}", "1"]), max_size=3, unique=True)
PATHS = st.builds(
    lambda pieces, end: "/" + "/".join(pieces) + end if pieces else "/*", PIECES, st.sampled_from(["", "/*"])
)


@given(st.dictionaries(st.sampled_from(["r", "s", "t"]), PATHS, min_size=1))
def test_every_sample_takes_its_route(paths: dict[str, str]) -> None:
    """given routes, when a sample can be made of one, then the gateway itself sends it there"""
    routes = ", ".join(
        f'{name}: {{match: {{path: "{path}", headers: {{X-R: {name}}}}}, service: s}}' for name, path in paths.items()
    )
    made = gateway(routes)
    for name in paths:
        sample = derived(made, name)
        assert isinstance(sample, Sample)
        assert sample.route == name
