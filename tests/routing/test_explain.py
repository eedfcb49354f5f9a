"""The reasons that ``spork explain`` prints."""

import pytest
from multidict import CIMultiDict

from spork_core.errors import BadRequest
from spork_core.routing import Candidate, compile_routes

from .helpers import rule

ROUTER = compile_routes(
    [
        rule("users-api", "/api/users/{id}", hosts=("api.example.com",), methods=("GET", "PUT")),
        rule("me", "/api/users/me", methods=("GET",)),
        rule("legacy", "/api/users/{id}", headers={"X-Old": "1"}),
        rule("beta", "/api/users/{id}", query={"beta": "*"}),
        rule("docs", "/docs/*"),
        rule("all", "/*"),
    ]
)


def told(method: str, host: str, target: str, **headers: str) -> list[tuple[str, bool, str]]:
    candidates = ROUTER.explain(method, host, target, CIMultiDict(headers))
    return [(each.name, each.matched, each.why) for each in candidates]


def test_the_winner_the_losers_and_the_near_misses_in_order() -> None:
    assert told("PUT", "API.example.com:80", "/api/users/me") == [
        ("users-api", True, "matches host api.example.com, path /api/users/{id}, methods GET, PUT"),
        ("me", False, "method PUT not in GET"),
        ("legacy", False, 'header X-Old is not "1"'),
        ("beta", False, "query parameter beta is not present"),
        ("all", False, "lost to users-api: exact host beats any host"),
    ]


def test_every_rule_of_precedence_has_its_words() -> None:
    assert told("GET", "", "/api/users/me?beta=1", **{"X-Old": "1"}) == [
        ("users-api", False, "host api.example.com does not match a request without host"),
        ("me", True, "matches host any, path /api/users/me, methods GET"),
        ("legacy", False, "lost to me: exact path beats template"),
        ("beta", False, "lost to me: exact path beats template"),
        ("all", False, 'lost to me: exact path beats "/*"'),
    ]


def test_a_slip_of_the_keyboard_is_near() -> None:
    names = {name: why for name, _, why in told("GET", "", "/dcos/x")}
    assert names["docs"] == "path /docs/* does not match"


def test_faulty_paths_are_refused_as_for_a_request() -> None:
    with pytest.raises(BadRequest):
        told("GET", "", "/a%2Fb")


def test_a_candidate_can_be_compared() -> None:
    assert Candidate("a", True, "x") == Candidate("a", True, "x")


@pytest.mark.parametrize(
    ("better", "worse", "why"),
    [
        ({"hosts": ("*.a.b",)}, {"hosts": ("*.b",)}, "longer host suffix beats shorter"),
        ({"path": "/a/b/*"}, {"path": "/a/*"}, "longer prefix beats shorter"),
        ({"path": "/a/{x}/*"}, {"path": "/{x}/b/*"}, "text further left beats a capture"),
        ({"methods": ("GET",)}, {}, "methods beat no methods"),
        ({"headers": {"H": "*"}}, {}, "more header conditions"),
        ({"query": {"q": "*"}}, {}, "more query conditions"),
        ({"priority": 1}, {}, "higher priority"),
    ],
)
def test_why_lost(better: dict[str, object], worse: dict[str, object], why: str) -> None:
    router = compile_routes([rule("worse", **worse), rule("better", **better)])  # type: ignore[arg-type]
    winner, loser = router.explain("GET", "x.a.b", "/a/b/c?q", CIMultiDict(H="1"))
    assert (winner.name, winner.matched) == ("better", True)
    assert loser == Candidate("worse", False, f"lost to better: {why}")
