"""What a config builds: every fault at once, plans, and what a reload carries over."""

from pathlib import Path
from typing import Any, cast

import attrs
import pytest

from spork_core.build import build, chain_of
from spork_core.clock import Clock
from spork_core.config.model import (
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Limits,
    MatchConfig,
    RewriteConfig,
    RouteConfig,
    ServiceConfig,
    TimeoutOverrides,
    UpstreamTimeouts,
    UpstreamTLS,
)
from spork_core.errors import ConfigError, MethodNotAllowed, NotFound
from spork_core.exchange import Exchange, Identity, Request, Response
from spork_core.headers import Headers
from spork_core.plan import Plan
from spork_core.plugin import LocalRoute, Plugin
from spork_core.registry import Registry
from spork_core.snapshot import Snapshot
from tests.reference import plugin_of

USERS = ServiceConfig((EndpointConfig("http://127.0.0.1:9001"),))


def nothing(self: Any) -> None: ...


def answer(exchange: Exchange) -> Response:
    return Response(200, "local")


OFFERED: dict[str, type[Plugin[Any]]] = {
    "plain": plugin_of(pre_auth=nothing),
    "jwt": plugin_of(
        {"provides": ("identity",), "challenge": lambda self: "Bearer"}, authenticate=lambda self: Identity("a")
    ),
    "limit": plugin_of({"requires": ("identity",)}, on_request=nothing),
    "misspelt": plugin_of(on_requests=nothing),
    "local": plugin_of(
        local_routes=lambda self, gateway: [
            LocalRoute("/token", answer, ("POST",), "public"),
            LocalRoute("/keys", answer),
        ]
    ),
    "broken-local": plugin_of(local_routes=lambda self, gateway: 1 / 0),
}


def config(chain: tuple[str, ...] = (), *, use: tuple[str, ...] = tuple(OFFERED), **more: Any) -> GatewayConfig:
    """A config in which each offered plugin is an instance of its own name, if used."""
    used = [name for name in use if name not in ("misspelt", "broken-local", "local") or name in more.get("also", ())]
    more.pop("also", None)
    plugins = {name: InstanceConfig(name, name) for name in used} | more.pop("plugins", {})
    return GatewayConfig(services=more.pop("services", {"users": USERS}), plugins=plugins, chain=chain, **more)


def route(path: str = "/*", *chain: str, service: str | None = "users", **more: Any) -> RouteConfig:
    return RouteConfig(MatchConfig(path=path), service, chain=chain, **more)


def built(made: GatewayConfig, previous: Snapshot | None = None) -> Snapshot:
    return build(made, Registry(OFFERED), Clock(), lambda resources: cast(Any, None), previous)


async def started(made: GatewayConfig) -> Snapshot:
    snapshot = built(made)
    await snapshot.start(lambda resources: cast(Any, None))
    return snapshot


def faults(made: GatewayConfig) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        built(made)
    return [str(problem) for problem in refused.value.problems]


def planned(snapshot: Snapshot, path: str, method: str = "GET", host: str = "gw") -> tuple[Plan, Exchange]:
    exchange = Exchange(Request(method, path, host=host))
    return snapshot.plan(exchange, path, None), exchange


# -- chains ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "chain"),
    [
        (route(), ("a", "b", "s")),
        (route("/*", "r"), ("a", "b", "r", "s")),
        (route("/*", "r", without=("a",)), ("b", "r", "s")),
        (route("/*", "r", service=None), ("a", "b", "r")),
    ],
)
def test_a_chain_is_the_outer_one_then_the_routes_then_the_services(made: RouteConfig, chain: tuple[str, ...]) -> None:
    services = {"users": attrs.evolve(USERS, chain=("s",))}

    assert chain_of(GatewayConfig(chain=("a", "b"), services=services), made) == chain


def test_a_route_runs_its_chain_without_what_is_disabled() -> None:
    made = config(
        ("plain",),
        routes={"r": route("/*", "jwt", "off", "limit")},
        plugins={"off": InstanceConfig("off", "plain", False)},
    )
    snapshot = built(made)

    assert repr(snapshot.plans["r"].pipeline) == "<Pipeline plain → jwt → limit>"
    assert "off" not in snapshot.instances


def test_routes_with_the_same_chain_share_a_pipeline() -> None:
    plans = built(config(("plain",), routes={"a": route("/a"), "b": route("/b"), "c": route("/c", "jwt")})).plans

    assert plans["a"].pipeline is plans["b"].pipeline is not plans["c"].pipeline


# -- faults ---------------------------------------------------------------------------------------------


FAULTY = [
    "$.plugins.broken-local",
    "$.plugins.misspelt",
    "$.routes.limited.chain",
    "$.routes.other.match",
    "$.routes.secret.authenticate",
    "$.services.users.tls",
]


def test_all_faults_are_told_at_once() -> None:
    found = faults(
        config(
            also=("misspelt", "broken-local"),
            services={"users": ServiceConfig((EndpointConfig("https://u"),), tls=UpstreamTLS(ca=Path("nowhere.pem")))},
            routes={
                "limited": route("/a", "limit"),
                "secret": route("/b", authenticate="required"),
                "one": route("/c"),
                "other": route("/c"),
            },
        )
    )
    assert sorted(fault.partition(": ")[0] for fault in found) == FAULTY


def test_a_required_identity_needs_someone_who_authenticates() -> None:
    (fault,) = faults(config(routes={"r": route("/*", "plain", authenticate="required")}))

    assert fault.startswith("$.routes.r.authenticate: the route requires an identity, and no instance of its chain")
    assert fault.endswith("or write authenticate: optional")


def test_two_routes_that_cannot_be_told_apart_are_refused_with_both_names() -> None:
    (fault,) = faults(config(routes={"one": route("/a/{x}"), "two": route("/a/{y}")}))

    assert "one" in fault
    assert "two" in fault


def test_a_local_route_may_not_hide_a_route() -> None:
    (fault,) = faults(
        config(
            also=("local",), routes={"mine": attrs.evolve(route(), match=MatchConfig(path="/token", methods=("POST",)))}
        )
    )

    assert "local:/token" in fault


# -- plans ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chain", "rule", "required"),
    [((), None, False), (("jwt",), None, True), (("jwt",), "optional", False), (("jwt",), "required", True)],
)
def test_an_identity_is_required_where_somebody_authenticates(chain: Any, rule: Any, required: bool) -> None:
    plan = built(config(routes={"r": route("/*", *chain, authenticate=rule)})).plans["r"]

    assert (plan.identity_required, plan.pipeline.challenges) == (required, ("Bearer",) if chain else ())


def test_a_plan_holds_what_the_config_decided() -> None:
    made = route("/a/*", timeouts=TimeoutOverrides(total=3.0), upgrade=False)
    snapshot = built(config(routes={"r": made}, limits=Limits(body=10)))
    plan = snapshot.plans["r"]

    assert (plan.info.name, plan.info.path, plan.info.service) == ("r", "/a/*", "users")  # type: ignore[union-attr]
    assert (plan.body_limit, plan.upgrade, plan.config) == (10, False, made)
    assert plan.service is snapshot.services["users"]
    assert (plan.limits.total, plan.limits.connect) == (3.0, UpstreamTimeouts().connect)  # type: ignore[union-attr]


@pytest.mark.parametrize(("own", "limit"), [(None, 10), (5, 5), (0, 0)])
def test_a_routes_body_limit_comes_before_the_gateways(own: int | None, limit: int) -> None:
    assert built(config(routes={"r": route(body_limit=own)}, limits=Limits(body=10))).plans["r"].body_limit == limit


@pytest.mark.parametrize(
    ("rewrite", "path", "target"),
    [
        (RewriteConfig(), "/api/a%20b?x=%20", "/api/a%20b?x=%20"),
        (RewriteConfig(strip_prefix="/api"), "/api/a%20b?x", "/a%20b?x"),
        (RewriteConfig(add_prefix="/v2"), "/api/a", "/v2/api/a"),
        (RewriteConfig(path="/v2/{rest}"), "/api/a/b?", "/v2/a/b?"),
    ],
)
def test_a_target_is_rewritten(rewrite: RewriteConfig, path: str, target: str) -> None:
    snapshot = built(config(routes={"r": route("/api/*", rewrite=rewrite)}))
    raw, mark, query = path.partition("?")
    exchange = Exchange(Request("GET", raw, query if mark else None))

    assert snapshot.plan(exchange, path, None).target(exchange) == target


def test_a_rewrite_changes_headers_and_host() -> None:
    rewrite = RewriteConfig(host="inner", set_headers={"X-A": "1"}, remove_headers=("x-b",))
    plan = built(config(routes={"r": route(rewrite=rewrite)})).plans["r"]
    exchange = Exchange(Request(headers=Headers([("Host", "gw"), ("X-B", "2"), ("X-B", "3"), ("x-a", "0")])))
    plan.target(exchange)

    assert sorted(exchange.request.headers.items()) == [("Host", "inner"), ("X-A", "1")]


# -- routing --------------------------------------------------------------------------------------------


def test_a_match_fills_the_exchange() -> None:
    snapshot = built(config(routes={"r": route("/users/{id}"), "s": route("/static/*")}))

    plan, exchange = planned(snapshot, "/users/a%20b")
    assert (plan.info, exchange.captures) == (exchange.route, {"id": "a b"})
    _, exchange = planned(snapshot, "/static/x/y%20")
    assert exchange.rest.strip("/") == "x/y%20"


@pytest.mark.parametrize(("path", "method", "problem"), [("/b", "GET", NotFound), ("/a", "PUT", MethodNotAllowed)])
def test_what_no_route_takes_runs_the_outer_chain_and_is_refused(path: str, method: str, problem: type) -> None:
    only = attrs.evolve(route(), match=MatchConfig(path="/a", methods=("GET",)))
    plan, exchange = planned(built(config(("plain",), routes={"r": only})), path, method)

    assert (repr(plan.pipeline), exchange.route) == ("<Pipeline plain>", None)
    assert plan.refuse is not None
    assert isinstance(plan.refuse(exchange), problem)


@pytest.mark.parametrize(
    ("method", "path", "left", "allow"), [("OPTIONS", "*", None, True), ("OPTIONS", "/a", 0, True)]
)
def test_options_for_the_gateway_itself(method: str, path: str, left: int | None, allow: bool) -> None:
    snapshot = built(config(("plain",), routes={"r": route()}))
    exchange = Exchange(Request(method, path))
    plan = snapshot.plan(exchange, path, left)

    assert plan.handler is not None
    assert ("Allow" in plan.handler(exchange).headers) is allow
    assert repr(plan.pipeline) == "<Pipeline plain>"


@pytest.mark.parametrize(("method", "left", "sent"), [("OPTIONS", 3, "2"), ("TRACE", 1, "0"), ("GET", 3, "3")])
def test_max_forwards_counts_down_for_options_and_trace(method: str, left: int, sent: str) -> None:
    exchange = Exchange(Request(method, "/a", headers=Headers({"Max-Forwards": str(left)})))
    built(config(routes={"r": route()})).plan(exchange, "/a", left)

    assert exchange.request.headers["Max-Forwards"] == sent


def test_trace_for_the_gateway_itself_is_refused() -> None:
    exchange = Exchange(Request("TRACE", "/a"))
    plan = built(config(routes={"r": route()})).plan(exchange, "/a", 0)

    assert plan.refuse is not None
    assert plan.refuse(exchange).status == 405


def test_a_public_local_route_runs_in_the_outer_chain_an_admin_one_is_not_public() -> None:
    snapshot = built(config(("plain",), also=("local",), routes={"r": route("/x")}))
    plan, exchange = planned(snapshot, "/token", "POST")

    assert plan.handler is not None
    assert plan.handler(exchange).body.data == b"local"
    assert (repr(plan.pipeline), plan.service) == ("<Pipeline plain>", None)
    assert exchange.route is not None
    assert (exchange.route.name, exchange.route.service) == ("local:/token", None)
    assert planned(snapshot, "/keys")[0].refuse is not None


# -- carried over ---------------------------------------------------------------------------------------


async def test_what_did_not_change_is_carried_over() -> None:
    first = config(("plain",), routes={"a": route("/a", "jwt"), "b": route("/b")})
    old = await started(first)
    new = built(attrs.evolve(first, routes={**first.routes, "b": route("/b", "jwt")}), old)

    assert new.instances["jwt"] is old.instances["jwt"]
    assert new.services["users"] is old.services["users"]
    assert (new.has_same(old.plans["a"]), new.has_same(old.plans["b"])) == (True, False)


@pytest.mark.parametrize("change", [{"on_failure": "open"}, {"timeout": 1.0}, {"use": "limit"}])
async def test_an_instance_whose_config_changed_is_made_anew(change: dict[str, Any]) -> None:
    first = config(use=("plain", "jwt"), routes={"a": route("/a", "jwt")})
    old = await started(first)
    plugins = {**first.plugins, "plain": attrs.evolve(first.plugins["plain"], **change)}
    new = built(attrs.evolve(first, plugins=plugins), old)

    assert new.instances["plain"] is not old.instances["plain"]
    assert new.instances["jwt"] is old.instances["jwt"]
    assert new.has_same(old.plans["a"])


async def test_a_route_with_another_service_instance_or_policy_is_not_the_same() -> None:
    first = config(("plain",), routes={"a": route("/a")})
    old = await started(first)
    elsewhere = {"users": ServiceConfig((EndpointConfig("http://127.0.0.1:9002"),))}
    other = {**first.plugins, "plain": InstanceConfig("plain", "plain", on_failure="open")}

    assert not built(attrs.evolve(first, services=elsewhere), old).has_same(old.plans["a"])
    assert not built(attrs.evolve(first, plugins=other), old).has_same(old.plans["a"])
    assert not built(attrs.evolve(first, routes={}), old).has_same(old.plans["a"])
    assert not old.has_same(planned(old, "/nowhere")[0])


async def test_a_build_that_fails_leaves_the_old_one_alone() -> None:
    first = config(("plain",), routes={"a": route("/a")})
    old = await started(first)
    instances = dict(old.instances)
    with pytest.raises(ConfigError):
        built(attrs.evolve(first, routes={"a": route("/a", authenticate="required")}), old)

    assert (dict(old.instances), repr(old)) == (instances, "<Snapshot 1 routes, 0 running>")
