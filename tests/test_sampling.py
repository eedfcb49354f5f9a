"""While there is much to do, hooks are measured by samples: one exchange stands for eight."""

from collections import Counter
from typing import Any, cast

import pytest

from spork_core import snapshot as module
from spork_core.attribution import Metering
from spork_core.build import build
from spork_core.clock import Clock
from spork_core.config.model import BudgetConfig, GatewayConfig, InstanceConfig, MatchConfig, RouteConfig
from spork_core.errors import NotFound
from spork_core.exchange import Exchange, Request, Response
from spork_core.pipeline import SAMPLED, Pipeline
from spork_core.plan import Plan
from spork_core.registry import Registry
from spork_core.snapshot import Snapshot
from tests.reference import instance_of, plugin_of


def serves(self: Any) -> Response:
    return Response()


def built(**more: Any) -> Snapshot:
    made = GatewayConfig(
        plugins={"p": InstanceConfig("p", "p", budget=more.pop("budget", None))},
        routes={"all": RouteConfig(MatchConfig(), chain=("p",), **more)},
    )
    registry = Registry({"p": plugin_of(serve=serves)})
    return build(made, registry, Clock(), lambda _: cast(Any, None), metering=Metering(True))


def plan(snapshot: Snapshot) -> Plan:
    return snapshot.plan(Exchange(Request()), "/", None)


def test_with_little_to_do_every_exchange_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter(range(1, 1000))
    monkeypatch.setattr(module, "perf_counter", lambda: next(seconds))
    snapshot = built()

    assert {plan(snapshot) for _ in range(3000)} == {snapshot.plans["all"]}


def test_with_much_to_do_one_of_eight_is_and_stands_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "perf_counter", lambda: 1.0)
    snapshot = built()
    for _ in range(2000):
        plan(snapshot)
    instance = snapshot.instances["p"]

    taken: Counter[Plan] = Counter()
    for _ in range(800):
        chosen = plan(snapshot)
        taken[chosen] += 1
        assert chosen.pipeline.serve is not None
        chosen.pipeline.serve(Exchange(Request()))

    assert snapshot.plans["all"].light is not None
    weighty, unmeasured = snapshot.plans["all"].light
    assert taken == {weighty: 800 // SAMPLED, unmeasured: 800 - 800 // SAMPLED}
    assert instance.stats["serve"].calls == 800


@pytest.mark.parametrize("more", [{"server_timing": True}, {"budget": BudgetConfig(1.0)}])
def test_where_somebody_reads_the_times_every_exchange_is_measured(more: dict[str, Any]) -> None:
    assert built(**more).plans["all"].light is None


def test_an_isolated_instance_is_left_out_of_the_light_plans_too() -> None:
    snapshot = built()
    instance = snapshot.instances["p"]
    assert snapshot.plans["all"].light is not None

    instance.isolation.effect = "skip"
    instance.isolation._until = 1e12
    instance._changed()

    for light in snapshot.plans["all"].light:
        assert light.pipeline.serve is not None
        assert light.pipeline.serve(Exchange(Request())) is None


def test_a_forgiven_failure_leaves_the_next_instance_its_error() -> None:
    def fails(self: Any) -> None:
        raise ValueError

    def page(self: Any, error: Exception) -> Response:
        return Response(reason=str(error))

    chain = [instance_of(plugin_of(on_error=fails), on_failure="open"), instance_of(plugin_of(on_error=page), "q")]
    phase = Pipeline(chain).on_error
    assert phase is not None
    assert phase(Exchange(Request()), NotFound("not here")).reason == "not here"
