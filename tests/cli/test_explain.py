"""``spork explain``: routes, hooks, rewrite and refusals of a request that is never sent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Spork

USER = "http://api.example.com/api/users/4"


@pytest.fixture
def explained(run: Spork, config: Path) -> Any:
    """The explanation of a request, from its JSON."""
    return lambda *arguments: json.loads(run("explain", *arguments, "--json").stdout)


def test_the_hooks_are_in_the_order_they_are_called(explained: Any) -> None:
    found = explained("GET", "/rest/x")

    assert [(step["hook"], step["instance"], step["origin"]) for step in found["steps"]] == [
        ("pre_auth", "request-id", "outer chain"),
        ("on_request", "stamp", "service spare"),
        ("on_response", "request-id", "outer chain"),
        ("on_complete", "access-log", "outer chain"),
    ]


def test_the_way_out_goes_back_through_the_chain(explained: Any) -> None:
    found = explained("GET", USER)

    assert [step["instance"] for step in found["steps"] if step["hook"] == "on_response"] == ["tag", "request-id"]


def test_what_is_left_out_says_why(explained: Any) -> None:
    assert explained("GET", USER)["left_out"] == [
        {"instance": "access-log", "why": "the route says without"},
        {"instance": "secure", "why": "enabled: false"},
        {"instance": "tag", "why": "its config needs no on_request"},
    ]


def test_the_upstream_request_is_the_rewritten_one(explained: Any) -> None:
    upstream = explained("GET", f"{USER}?a=%20b")["upstream"]

    assert upstream["service"] == "users"
    assert upstream["target"] == "/users/4?a=%20b"
    assert upstream["host"] == "api.example.com"
    assert upstream["set_headers"] == {"X-From": "gateway"}
    assert [fact["url"] for fact in upstream["endpoints"] if fact["next"]] == ["http://127.0.0.1:9002"]


def test_a_route_sets_host_and_a_service_its_timeouts(explained: Any) -> None:
    upstream = explained("GET", "/rest/x")["upstream"]

    assert upstream["host"] == "rest.internal"
    assert (upstream["connect"], upstream["total"]) == (5.0, 20.0)


def test_routes_that_nearly_match_say_why_not(explained: Any) -> None:
    found = explained("DELETE", USER)

    assert {"route": "user", "matched": False, "why": "method DELETE not in GET, PUT"} in found["candidates"]


@pytest.mark.parametrize(
    ("arguments", "status", "word"),
    [
        (("GET", "/nowhere"), 404, "No route matches"),
        (("DELETE", USER), 405, "GET, PUT"),
        (("GET", "/rest/a%2Fb"), 400, '"%2F"'),
        (("GET", "/rest", "-H", "Expect: magic"), 417, "100-continue"),
        (("CONNECT", "/rest"), 501, "CONNECT"),
        (("GET", "/rest", "-H", "A: " + "x" * 20000), 431, "longer than 16384 bytes"),
        (("PUT", USER, "-H", "Content-Length: 2000"), 413, "longer than 1024 bytes"),
    ],
)
def test_refusals_are_the_gateways_own(explained: Any, arguments: tuple[str, ...], status: int, word: str) -> None:
    refused = explained(*arguments)["refused"]

    assert refused["status"] == status
    assert word in refused["detail"]


def test_a_405_carries_allow(explained: Any) -> None:
    assert explained("DELETE", USER)["refused"]["headers"] == [["Allow", "GET, PUT"]]


def test_a_refused_head_meets_only_the_hooks_of_the_way_out(explained: Any) -> None:
    found = explained("CONNECT", "/rest")

    assert [step["hook"] for step in found["steps"]] == ["on_response", "on_complete"]


def test_a_host_header_decides_over_the_url(explained: Any) -> None:
    assert explained("GET", "/api/users/4", "-H", "host: API.example.com:80")["route"] == "user"


def test_the_text_shows_it_all(run: Spork, config: Path) -> None:
    output = run("explain", "GET", USER).output

    for line in (
        "→  user   matches host api.example.com, path /api/users/{id}, methods GET, PUT",
        "on_response  tag         route        spork-headers 0.1.0     map",
        "access-log  the route says without",
        "request     GET /users/4",
        "picked by   weighted round robin; another one when a connection cannot be made",
        "timeouts    connect 5s, response 15s, idle 5m, total none",
        "body limit  1KiB",
    ):
        assert line in output


def test_the_text_of_a_refusal_names_status_and_headers(run: Spork, config: Path) -> None:
    output = run("explain", "DELETE", USER).output

    assert "405 Method Not Allowed (method-not-allowed): This path accepts GET, PUT.\nAllow: GET, PUT\n" in output


@pytest.mark.parametrize("arguments", [("GET", "ftp://x/y"), ("GET", "/", "-H", "no colon"), ("GET", "http://[::1/")])
def test_what_is_no_request_is_a_usage_error(run: Spork, config: Path, arguments: tuple[str, ...]) -> None:
    assert run("explain", *arguments).exit_code == 2


def test_the_identity_rule_is_told(run: Spork, config: Path) -> None:
    assert "Identity\noptional (no instance authenticates)" in run("explain", "GET", "/rest/x").output
