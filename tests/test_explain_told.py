"""What the explanation of a real request tells: hooks, attempts, answer; and that a forecast has the same keys."""

import asyncio
import json
import logging
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from spork_core.api import Attempt, Endpoint, Exchange, Forbidden, Identity, Response
from spork_core.config.model import EndpointConfig, RewriteConfig, ServiceConfig
from spork_core.config.policy import QuarantineConfig
from spork_core.explain.forecast import Inquiry, forecast
from spork_core.explain.model import Explanation, from_dict
from tests.explaining import SECRET, Knows, decisions, explained, explaining, plugin, request, whys
from tests.laws.tree import ROOT
from tests.wire.conftest import upstream


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures are what the test is about."""
    with caplog.at_level(logging.CRITICAL, "spork_core"):
        yield


# -- what is told ---------------------------------------------------------------------------------------


async def test_the_answer_is_json_that_nobody_keeps_and_the_token_goes_no_further() -> None:
    seen: list[bool] = []
    look = plugin(pre_auth=lambda self, exchange: seen.append("X-Spork-Explain" in exchange.request.headers))
    async with upstream() as backend, explaining(backend, plugins={"look": look}) as gate:
        message = await gate.ask(request())

        assert message.values(b"content-type") == [b"application/json"]
        assert message.values(b"cache-control") == [b"no-store"]
        backend.last.must_not_have("X-Spork-Explain")
        assert seen == [False]


async def test_each_hook_is_told_with_what_it_decided_and_changed() -> None:
    def pre_auth(self: object, exchange: Exchange) -> None:
        exchange.request.headers["X-Tenant"] = "blue"
        del exchange.request.headers["X-Debug"]
        exchange.request.path = "/other"

    async def authenticate(self: object, exchange: Exchange) -> Identity:
        await asyncio.sleep(0)
        exchange.request.headers["X-Token"] = "t0p"
        return Identity("alice", "key")

    def select_upstream(self: object, exchange: Exchange, attempt: Attempt) -> Endpoint:
        return attempt.choices[0]

    def on_response(self: object, exchange: Exchange) -> Response:
        return Response(404, "gone", {"Set-Cookie": "a=b"})

    hooks = (pre_auth, authenticate, select_upstream, on_response)
    acts = plugin(**{hook.__name__: hook for hook in hooks})
    async with upstream() as backend, explaining(backend, plugins={"acts": acts}) as gate:
        found = await explained(gate, "GET /x", "X-Debug: 1", "Authorization: Bearer b")

    assert decisions(found) == [
        "pre_auth acts none",
        "authenticate acts identity",
        "select_upstream acts endpoint",
        "on_response acts response",
    ]
    first, second, third, last = found["steps"]
    assert first["request_headers"] == [
        {"name": "X-Debug", "before": "1", "after": None},
        {"name": "X-Tenant", "before": None, "after": "blue"},
    ]
    assert first["changed"] == ["request.path"]
    assert second["request_headers"] == [{"name": "X-Token", "before": None, "after": "***"}]
    assert second["decision"]["value"] == "alice"
    assert second["own"] > 0
    assert second["waiting"] > 0
    assert third["decision"]["value"] == backend.url
    assert (last["decision"]["status"], last["changed"]) == (404, ["response", "response.status"])
    assert {"name": "Set-Cookie", "before": None, "after": "***"} in last["response_headers"]
    assert found["identity"]["subject"] == "alice"
    assert found["upstream"]["target"] == "/other"
    assert found["answers"] == "acts (on_response)"
    assert ["Authorization", "***"] in found["asked"]["headers"]
    assert found["asked"]["target"] == "/x"


async def test_the_answer_of_the_service_is_told_without_its_content() -> None:
    answer = b"HTTP/1.1 201 Made\r\nContent-Length: 6\r\nDate: now\r\nSet-Cookie: s=1\r\n\r\nhidden"
    async with upstream(answer) as backend, explaining(backend, route={"server_timing": True}) as gate:
        message = await gate.ask(request())
        again = await gate.ask(request())

    found = json.loads(message.body)
    assert found["answer"] == {
        "status": 201,
        "reason": "Made",
        "source": "upstream",
        "headers": [
            ["Date", "now"],
            ["Set-Cookie", "***"],
            ["Server-Timing", dict(found["answer"]["headers"])["Server-Timing"]],
            ["Content-Length", "6"],
            ["Via", "1.1 spork"],
        ],
        "body_length": 6,
    }
    assert b"hidden" not in message.body
    assert [one["reused"] for one in (*found["attempts"], *json.loads(again.body)["attempts"])] == [False, True]


async def test_attempts_that_failed_are_told_with_why() -> None:
    async with upstream() as backend:
        dead = EndpointConfig("http://127.0.0.1:1")
        service = {"up": ServiceConfig((dead, EndpointConfig(backend.url)))}
        async with explaining(backend, services=service) as gate:
            found = await explained(gate)

    assert [(one["endpoint"], one["status"], one["error"]) for one in found["attempts"]] == [
        ("http://127.0.0.1:1", None, "upstream-connect-failed"),
        (backend.url, 200, None),
    ]
    assert "127.0.0.1:1" in found["attempts"][0]["reason"]
    assert [fact["next"] for fact in found["upstream"]["endpoints"]] == [True, False]


async def test_what_no_route_takes_is_told_with_the_routes_that_came_near() -> None:
    async with upstream() as backend, explaining(backend, match={"path": "/users"}) as gate:
        found = await explained(gate, "GET /user")

    assert (found["route"], found["refused"]["status"], found["answer"]["status"]) == (None, 404, 404)
    assert found["candidates"] == [{"route": "all", "matched": False, "why": "path /users does not match"}]
    assert (found["attempts"], found["upstream"], found["answers"]) == ([], None, "the gateway itself")


# -- hooks that are not reached -------------------------------------------------------------------------


def forbids(self: object, exchange: Exchange) -> None:
    raise Forbidden("Not you.")


def nothing(self: object, exchange: Exchange) -> None:
    """Has nothing to say."""


def attempts(self: object, exchange: Exchange, attempt: Attempt) -> None:
    """Has nothing to say of attempts."""


async def test_a_refusal_ends_the_way_in_and_each_hook_behind_says_so() -> None:
    first = plugin(authorize=forbids, on_complete=nothing)
    behind = plugin(authorize=nothing, on_request=nothing, after_attempt=attempts, on_error=nothing)
    async with upstream() as backend, explaining(backend, plugins={"rbac": first, "b": behind}) as gate:
        found = await explained(gate)
        backend.must_not_be_reached()

    assert decisions(found) == [
        "authorize rbac problem",
        "authorize b –",
        "on_request b –",
        "after_attempt b –",
        "on_error b none",
        "on_complete rbac –",
    ]
    refused = "rbac refused (403 forbidden)"
    assert whys(found) == {
        "authorize b": f"{refused} before it",
        "on_request b": f"{refused} in authorize",
        "after_attempt b": f"{refused} in authorize",
        "on_complete rbac": "it is called when the answer is out",
    }
    assert (found["answers"], found["refused"]["detail"]) == ("rbac (authorize)", "Not you.")


async def test_an_answer_of_a_plugin_leaves_the_service_unasked() -> None:
    cache = plugin(serve=lambda self, exchange: Response(200, "cached"))
    behind = plugin(serve=nothing, before_attempt=attempts, on_error=nothing, on_response=nothing)
    async with upstream() as backend, explaining(backend, plugins={"cache": cache, "b": behind}) as gate:
        found = await explained(gate)
        backend.must_not_be_reached()

    assert whys(found) == {
        "serve b": "cache answered before it",
        "before_attempt b": "cache answered in serve",
        "on_error b": "there was no problem",
    }
    assert found["answers"] == "cache (serve)"


async def test_hooks_of_an_attempt_are_told_once_for_each() -> None:
    once = iter((0.0,))
    retry = plugin(
        after_attempt=attempts,
        should_retry=lambda self, exchange, attempt: next(once, None),
        on_upstream_response=nothing,
    )
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    async with upstream(busy) as backend, explaining(backend, plugins={"retry": retry}) as gate:
        found = await explained(gate)

    assert [(step["hook"], step["attempt"], step["decision"]["kind"]) for step in found["steps"]] == [
        ("after_attempt", 1, "none"),
        ("should_retry", 1, "delay"),
        ("after_attempt", 2, "none"),
        ("should_retry", 2, "none"),
        ("on_upstream_response", None, "none"),
    ]


@pytest.mark.parametrize(("on_failure", "status", "kept"), [("open", 200, True), ("closed", 500, False)])
async def test_a_failure_is_told_by_the_policy_and_with_no_secret_of_the_config(
    quiet: None, on_failure: str, status: int, kept: bool
) -> None:
    def fails(self: object, exchange: Exchange) -> None:
        raise ValueError(f"cannot reach db://{SECRET}@host")

    plugins = {"bad": plugin(on_request=fails), "b": plugin(on_request=nothing)}
    async with (
        upstream() as backend,
        explaining(backend, plugins=plugins, instances={"bad": {"on_failure": on_failure}}, faults=True) as gate,
    ):
        found = await explained(gate)

    assert found["steps"][0]["decision"]["detail"] == "ValueError: cannot reach db://***@host"
    assert found["answer"]["status"] == status
    assert found["steps"][1]["reached"] is kept
    assert SECRET not in json.dumps(found)


async def test_an_instance_that_is_held_is_told_with_why(quiet: None) -> None:
    def fails(self: object, exchange: Exchange) -> None:
        raise ValueError

    isolated = {"on_failure": "open", "quarantine": QuarantineConfig(failures=1, ratio=0.0)}
    async with (
        upstream() as backend,
        explaining(
            backend, plugins={"bad": plugin(on_request=fails)}, instances={"bad": isolated}, faults=True
        ) as gate,
    ):
        first, second = await explained(gate), await explained(gate)

    assert [event["kind"] for event in first["events"]] == ["quarantined"]
    assert (decisions(second), second["events"]) == (["on_request bad held"], [])
    assert second["isolated"] == [
        {"instance": "bad", "state": "quarantined", "why": "it failed in 1 of 1 exchanges within 10s"}
    ]


async def test_an_instance_that_is_held_and_refuses_is_told_as_the_refusal(quiet: None) -> None:
    def fails(self: object, exchange: Exchange) -> None:
        raise ValueError

    isolated = {"on_failure": "closed", "quarantine": QuarantineConfig(enabled=True, failures=1, ratio=0.0)}
    plugins = {"bad": plugin(on_request=fails), "b": plugin(on_request=nothing)}
    async with (
        upstream() as backend,
        explaining(backend, plugins=plugins, instances={"bad": isolated}, faults=True) as gate,
    ):
        await explained(gate)
        found = await explained(gate)

    assert found["steps"][0]["decision"]["status"] == 503
    assert whys(found) == {"on_request b": "bad refused (503 plugin-isolated) before it"}
    assert (found["refused"]["code"], found["answers"]) == ("plugin-isolated", "bad (on_request)")


async def test_an_exception_that_cannot_even_be_printed_breaks_nothing(quiet: None) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    def fails(self: object, exchange: Exchange) -> None:
        raise Odd

    async with upstream() as backend, explaining(backend, plugins={"odd": plugin(pre_auth=fails)}, faults=True) as gate:
        found = await explained(gate)

    assert (decisions(found), found["answer"]["status"]) == (["pre_auth odd failure"], 500)


# -- foretold and told ----------------------------------------------------------------------------------


def differences(one: Any, other: Any, at: str = "$") -> list[str]:
    """Where one has a key that the other has not; below a null of either, nothing is known."""
    found = []
    if isinstance(one, dict) and isinstance(other, dict):
        found = [f"{at}.{key}" for key in one.keys() ^ other.keys()]
        for key in one.keys() & other.keys():
            found += differences(one[key], other[key], f"{at}.{key}")
    elif isinstance(one, list) and isinstance(other, list):
        for mine, its in zip(one, other, strict=False):
            found += differences(mine, its, f"{at}[]")
    return found


REQUESTS = {
    "served": ("GET", "/users/7?a=1"),
    "no route": ("GET", "/nowhere"),
    "wrong method": ("DELETE", "/users/7"),
    "asterisk": ("OPTIONS", "*"),
}


@pytest.mark.parametrize(("method", "target"), REQUESTS.values(), ids=REQUESTS)
async def test_what_is_foretold_has_the_keys_of_what_is_told(method: str, target: str) -> None:
    plugins = {"a": Knows, "b": plugin(on_request=nothing, on_response=nothing, on_error=nothing)}
    match = {"path": "/users/*", "methods": ("GET",)}
    rewrite = {"rewrite": RewriteConfig(add_prefix="/v1")}
    async with upstream() as backend, explaining(backend, plugins=plugins, match=match, route=rewrite) as gate:
        told = await explained(gate, f"{method} {target}")
        foretold = json.loads(forecast(gate.gateway.snapshot, Inquiry(method, target, "a", "http")).as_json())

    assert list(foretold) == list(told)
    assert differences(foretold, told) == []
    for name in ("route", "candidates", "left_out", "body_limit"):
        assert foretold[name] == told[name]
    assert [(step["hook"], step["instance"]) for step in foretold["steps"]] == [
        (step["hook"], step["instance"]) for step in told["steps"]
    ]


async def test_an_explanation_survives_the_way_through_json() -> None:
    async with upstream() as backend, explaining(backend, plugins={"a": Knows}) as gate:
        found = await explained(gate)

    back = from_dict(found)
    assert isinstance(back, Explanation)
    assert json.loads(back.as_json()) == found


@pytest.mark.parametrize("data", [{}, {"format": 2}, {"format": 1}, {"format": 1, "live": 3, "steps": "x"}])
def test_what_is_no_explanation_is_not_taken_for_one(data: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"format|keys"):
        from_dict(data)


def test_the_page_about_it_names_every_key() -> None:
    page = (ROOT / "docs" / "how-to" / "explain-a-request.md").read_text(encoding="utf-8")

    assert [field.name for field in attrs.fields(Explanation) if f"`{field.name}`" not in page] == []
