"""The plugin in a gateway: who is refused when, and what clients and operators are told."""

from typing import Any

import http_sf
import pytest
from spork_rate_limit import RateLimit, RateLimitConfig
from spork_rate_limit.config import Tier, Tiers

from spork_core.api import LIMIT, Exchange, Identity, Plugin, Rate, Response, Unauthenticated, hookimpl
from spork_core.testing import Answer, gateway, scripts


class Names(Plugin):
    """Believes X-User: a name, and after a blank each role."""

    provides = ("identity",)

    def challenge(self) -> str:
        return "Name"

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        said = exchange.request.headers.get("X-User")
        if said == "nobody":
            raise Unauthenticated
        if said is None:
            return None
        name, *roles = said.split()
        plan = roles[0] if roles else 7
        return Identity(name, roles=frozenset(roles), claims={"account": {"plan": plan}, "plans": ["x", *roles]})


class Sees(Plugin):
    """Is there when an exchange is over."""

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        pass


def limit(rate: Any = "2/minute", **settings: Any) -> dict[str, Any]:
    return {"use": "rate-limit", "limit": rate, **settings}


def current(answer: Answer) -> list[tuple[str, dict[str, int]]]:
    """What ``RateLimit`` says, read by a structured field parser."""
    return list(http_sf.parse(answer.headers["RateLimit"].encode(), tltype="list"))


def policies(answer: Answer) -> list[tuple[str, dict[str, int]]]:
    return list(http_sf.parse(answer.headers["RateLimit-Policy"].encode(), tltype="list"))


async def test_clients_are_told_what_is_left_and_refused_past_it() -> None:
    async with gateway(plugins={"limit": limit()}) as gw:
        first, second, third = [await gw.get("/") for _ in range(3)]

        assert [current(answer) for answer in (first, second, third)] == [
            [("limit", {"r": 1, "t": 60})],
            [("limit", {"r": 0, "t": 60})],
            [("limit", {"r": 0, "t": 60})],
        ]
        assert policies(third) == [("limit", {"q": 2, "w": 60})]
        third.must_be_problem("too-many-requests", 429).must_have("Retry-After", "60")
        gw.upstream.must_have_got(2)


async def test_a_refusal_says_in_its_body_what_was_violated() -> None:
    async with gateway(plugins={"limit": limit("1/minute", policy="free plan")}) as gw:
        await gw.get("/")
        gw.clock.advance(18.5)

        problem = (await gw.get("/")).problem

        assert problem is not None
        assert problem["detail"] == "The limit of 1/minute is used up; try again in 42 seconds."
        told = {name: problem[name] for name in ("limit", "policy", "retry_after", "violated-policies")}
        assert told == {
            "limit": "1/minute",
            "policy": "free plan",
            "retry_after": 42,
            "violated-policies": ["free plan"],
        }


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra", "fixed-window"])
async def test_who_waits_as_told_is_served_again(algorithm: str) -> None:
    async with gateway(plugins={"limit": limit("3/minute", algorithm=algorithm)}) as gw:
        for _ in range(3):
            (await gw.get("/")).must_be(200)
            gw.clock.advance(0.3)
        refused = (await gw.get("/")).must_be(429)

        gw.clock.advance(int(refused.headers["Retry-After"]) - 1)
        (await gw.get("/")).must_be(429)
        gw.clock.advance(1)
        (await gw.get("/")).must_be(200)


async def test_a_burst_is_let_through_at_once_and_then_the_rate() -> None:
    async with gateway(plugins={"limit": limit("60/minute", algorithm="gcra", burst=3)}) as gw:
        assert [(await gw.get("/")).status for _ in range(4)] == [200, 200, 200, 429]
        gw.clock.advance(2)
        assert [(await gw.get("/")).status for _ in range(3)] == [200, 200, 429]


async def test_of_several_windows_all_hold_and_the_tightest_is_told() -> None:
    async with gateway(plugins={"limit": limit(["2/second", "3/minute"])}) as gw:
        first, second, third = [await gw.get("/") for _ in range(3)]
        gw.clock.advance(1)
        fourth, fifth = [await gw.get("/") for _ in range(2)]

        assert policies(first) == [("limit-second", {"q": 2, "w": 1}), ("limit-minute", {"q": 3, "w": 60})]
        assert current(second) == [("limit-second", {"r": 0, "t": 1})]
        third.must_be(429).must_have("Retry-After", "1")
        assert current(fourth.must_be(200)) == [("limit-minute", {"r": 0, "t": 59})]
        assert fifth.must_be(429).json()["violated-policies"] == ["limit-minute"]


async def test_of_several_instances_the_tightest_is_told_and_all_policies() -> None:
    async with gateway(plugins={"all": limit("2/second", by="route"), "each": limit("9/minute")}) as gw:
        answer = await gw.get("/")

        assert current(answer) == [("all", {"r": 1, "t": 1})]
        assert policies(answer) == [("all", {"q": 2, "w": 1}), ("each", {"q": 9, "w": 60})]


async def test_a_window_that_is_no_whole_second_is_told_without_its_length() -> None:
    async with gateway(plugins={"limit": limit("2/500ms")}) as gw:
        assert policies(await gw.get("/")) == [("limit", {"q": 2})]


async def test_the_services_own_limits_stay() -> None:
    theirs = scripts.answer(200, "ok", {"RateLimit": '"svc";r=5;t=9', "RateLimit-Policy": '"svc";q=9'})
    async with gateway(plugins={"limit": limit()}, upstream=theirs) as gw:
        answer = await gw.get("/")

        assert [name for name, _ in current(answer)] == ["svc", "limit"]
        assert [name for name, _ in policies(answer)] == ["svc", "limit"]


async def test_legacy_fields_replace_the_services() -> None:
    theirs = scripts.answer(200, "ok", {"X-RateLimit-Remaining": "9"})
    async with gateway(plugins={"limit": limit(headers="legacy")}, upstream=theirs) as gw:
        answer = (await gw.get("/")).must_not_have("RateLimit").must_not_have("RateLimit-Policy")

        answer.must_have("X-RateLimit-Limit", "2").must_have("X-RateLimit-Remaining", "1")
        answer.must_have("X-RateLimit-Reset", "60")


async def test_without_headers_a_refusal_has_retry_after_only() -> None:
    async with gateway(plugins={"limit": limit("1/minute", headers="none")}) as gw:
        (await gw.get("/")).must_not_have("RateLimit")
        (await gw.get("/")).must_be(429).must_have("Retry-After", "60").must_not_have("RateLimit")


async def test_errors_behind_the_limit_have_the_fields_too() -> None:
    async with gateway(plugins={"limit": limit()}, upstream=scripts.closes_at_once()) as gw:
        assert current((await gw.get("/")).must_be(502)) == [("limit", {"r": 1, "t": 60})]


async def test_each_identity_has_its_own_count_and_what_was_refused_before_is_not_counted() -> None:
    async with gateway(plugins={"names": Names, "limit": limit("1/minute", by="identity")}) as gw:
        (await gw.get("/", headers={"X-User": "nobody"})).must_be(401).must_not_have("RateLimit")
        for name in ("ann", "bob"):
            (await gw.get("/", headers={"X-User": name})).must_be(200)
        (await gw.get("/", headers={"X-User": "ann"})).must_be(429)


async def test_who_has_no_identity_where_it_is_optional_is_counted_by_address() -> None:
    anybody = {"all": {"match": {"path": "/*"}, "service": "up", "authenticate": "optional"}}
    async with gateway(plugins={"names": Names, "limit": limit("1/minute", by="identity")}, routes=anybody) as gw:
        (await gw.get("/")).must_be(200)
        (await gw.get("/", headers={"X-User": "127.0.0.1"})).must_be(200)
        (await gw.get("/")).must_be(429)


async def test_a_limit_by_key_counts_what_was_accepted() -> None:
    async with gateway(plugins={"names": Names, "limit": limit("1/minute", by="key")}) as gw:
        (await gw.get("/", headers={"X-User": "nobody", "X-Api-Key": "a"})).must_be(401)
        for key in ("a", "b"):
            (await gw.get("/", headers={"X-User": "ann", "X-Api-Key": key})).must_be(200)
        (await gw.get("/", headers={"X-User": "ann", "X-Api-Key": "a"})).must_be(429)
    async with gateway(plugins={"limit": limit("1/minute", by="key")}) as gw:  # nobody checks it: as sent
        (await gw.get("/", headers={"X-Api-Key": "a"})).must_be(200)
        (await gw.get("/", headers={"X-Api-Key": "b"})).must_be(200)


@pytest.mark.parametrize("by", ["roles", "claims.account.plan", "claims.plans"])
async def test_a_tier_has_its_own_limit(by: str) -> None:
    tiers = {"by": by, "limits": {"gold": ["3/second", "5/minute"], "silver": "2/minute"}}
    plugins = {"names": Names, "limit": limit("1/minute", by="identity", tiers=tiers)}
    async with gateway(plugins=plugins) as gw:
        for user, quota in (("ann gold", 3), ("bob silver", 2), ("cat", 1), ("dan bronze", 1)):
            answers = [await gw.get("/", headers={"X-User": user}) for _ in range(quota + 1)]
            assert [answer.status for answer in answers] == [200] * quota + [429]
            assert policies(answers[0])[0][1]["q"] == quota


async def test_of_several_tiers_the_first_counts() -> None:
    tiers = {"by": "roles", "limits": {"gold": "3/minute", "silver": "2/minute"}}
    async with gateway(plugins={"names": Names, "limit": limit(by="identity", tiers=tiers)}) as gw:
        assert policies(await gw.get("/", headers={"X-User": "ann silver gold"}))[0][1]["q"] == 3


async def test_a_method_may_cost_more_or_nothing() -> None:
    async with gateway(plugins={"limit": limit("5/minute", costs={"POST": 3, "OPTIONS": 0})}) as gw:
        assert current(await gw.post("/", body=b"x")) == [("limit", {"r": 2, "t": 60})]
        (await gw.options("/")).must_be(200).must_not_have("RateLimit")
        (await gw.post("/", body=b"x")).must_be(429)
        (await gw.get("/")).must_be(200)


async def test_dry_run_refuses_nobody_and_tells_operators_only() -> None:
    async with gateway(plugins={"limit": limit("1/minute", dry_run=True)}) as gw:
        for _ in range(3):
            (await gw.get("/")).must_be(200).must_not_have("RateLimit")

        assert gw.metrics()["rate_limit_requests"][("limit", "excused")] == 2


async def test_other_instances_are_told_of_a_refusal() -> None:
    async with gateway(plugins={"sees": Sees, "limit": limit("1/minute")}) as gw:
        for _ in range(2):
            await gw.get("/")
        assert [call.exchange.get(LIMIT) for call in gw.transcript.of("sees", "on_complete")] == [
            None,
            "limited:1/minute",
        ]


async def test_counts_go_on_over_a_reload_that_changes_the_limit() -> None:
    async with gateway(plugins={"limit": limit("2/minute")}) as gw:
        await gw.get("/")
        await gw.reload(plugins={"limit": limit("3/minute")})
        assert current(await gw.get("/")) == [("limit", {"r": 1, "t": 60})]
        await gw.reload(plugins={"limit": limit("1/minute")})
        assert current((await gw.get("/")).must_be(429)) == [("limit", {"r": 0, "t": 60})]


async def test_counts_begin_anew_when_callers_are_told_apart_otherwise() -> None:
    async with gateway(plugins={"limit": limit("2/minute")}) as gw:
        await gw.get("/")
        await gw.reload(plugins={"limit": limit("2/minute", by="route")})
        assert current(await gw.get("/")) == [("limit", {"r": 1, "t": 60})]


async def test_operators_see_what_it_does() -> None:
    async with gateway(plugins={"limit": limit("1/minute")}) as gw:
        for _ in range(3):
            await gw.get("/")

        numbers = gw.metrics()

        assert numbers["rate_limit_requests"] == {
            ("limit", "allowed"): 1,
            ("limit", "limited"): 2,
            ("limit", "excused"): 0,
            ("limit", "uncounted"): 0,
        }
        assert numbers["rate_limit_callers"] == {("limit",): 1}


def test_operators_can_ask_what_it_holds_callers_to() -> None:
    tiers = Tiers("roles", {"gold": Tier((Rate(5, 1.0), Rate(9, 60.0)))})
    asked = RateLimit(RateLimitConfig(limit=(Rate(1, 60.0),), by=("identity",), tiers=tiers), "limit")

    assert asked.describe(None) == {  # type: ignore[arg-type]  # it asks nothing of the gateway
        "limit": ["1/minute"],
        "tiers": {"gold": ["5/second", "9/minute"]},
        "by": ["identity"],
        "algorithm": "sliding-window",
        "dry_run": False,
        "counts_in": "process",
        "store_problem": None,
        "callers": 0,
        "decisions": {"allowed": 0, "limited": 0, "excused": 0, "uncounted": 0},
    }


async def test_what_another_instance_answers_itself_is_counted_too() -> None:
    class Mock(Plugin):
        """Answers all."""

        @hookimpl
        def serve(self, exchange: Exchange) -> Response:
            return Response(200, "mocked")

    async with gateway(plugins={"limit": limit("1/minute"), "mock": Mock}) as gw:
        (await gw.get("/")).must_say("mocked").must_have("RateLimit", '"limit";r=0;t=60')
        (await gw.get("/")).must_be(429)
