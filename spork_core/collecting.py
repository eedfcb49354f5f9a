"""Collects the numbers of one process's gateway: the kernel's own, then those that the instances tell."""

import logging
import platform
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from spork_core import __version__
from spork_core.attribution import HookStats, place_in, words_of
from spork_core.metrics import Metric
from spork_core.plugin import GatewayView
from spork_core.registry import Instance
from spork_core.upstream.pool import Pool

if TYPE_CHECKING:
    from spork_core.gateway import Gateway

log = logging.getLogger("spork_core.collecting")


def collected(gateway: "Gateway", view: GatewayView) -> Iterator[Metric]:
    """Every metric. An instance that fails to tell its own is logged, and the others are collected all the same."""
    yield from _process(gateway)
    yield from _upstream(gateway)
    yield from _instances(gateway)
    for instance in gateway.snapshot.instances.values():
        impl = instance.impls.get("collect")
        if impl is None or not instance.started:
            continue
        try:
            told: Any = impl.function(*(view for _ in impl.argnames))
            yield from tuple(told)
        except (Exception, SystemExit) as error:
            place = place_in(error, impl.function)
            instance.failures += 1
            instance.last_failure = f"collect at {place}: {words_of(error)}"
            log.exception("instance %s failed in collect at %s", instance.name, place)


def _process(gateway: "Gateway") -> Iterator[Metric]:
    python = platform.python_version()
    yield Metric(
        "build_info", "gauge", "What runs: always 1.", ("version", "python"), {(__version__, python): 1}, across="max"
    )
    yield Metric(
        "http_requests_in_flight",
        "gauge",
        "Exchanges that run, those of upgraded connections included.",
        (),
        {(): sum(snapshot.running for snapshot in gateway.snapshots())},
    )
    front, admin = gateway.front, gateway.admin
    yield Metric(
        "connections",
        "gauge",
        "Client connections that are open.",
        ("listener",),
        {
            ("public",): 0 if front is None else len(front.connections),
            ("admin",): 0 if admin is None else len(admin.connections),
        },
    )
    yield Metric(
        "connections_refused",
        "counter",
        "Client connections turned away because there were too many.",
        (),
        {(): 0 if front is None else front.refused},
    )
    tunnels = 0 if front is None else len(front.tunnels)
    yield Metric("tunnels", "gauge", "Upgraded connections, such as WebSockets, that are open.", (), {(): tunnels})
    yield Metric(
        "config_reloads",
        "counter",
        "Reloads of the config since the start, by what became of them.",
        ("result",),
        {("success",): gateway.reloads, ("failure",): gateway.reload_failures},
    )
    yield Metric(
        "config_last_reload_successful",
        "gauge",
        "1 when the last reload took effect, or there was none.",
        (),
        {(): gateway.last_reload_error is None},
        across="min",
    )
    yield Metric(
        "config_last_reload_success_timestamp_seconds",
        "gauge",
        "When the config in effect was taken, in seconds since the epoch.",
        (),
        {(): gateway.configured_at},
        across="min",
    )
    yield Metric("events", "counter", "Events for the operator since the start.", (), {(): gateway.events.count})


def _upstream(gateway: "Gateway") -> Iterator[Metric]:
    pools = [(service.name, pool) for service in gateway.snapshot.services.values() for pool in service.pools]

    def by_endpoint(count: Callable[[Pool], float]) -> dict[tuple[str, ...], float]:
        return {(service, pool.endpoint.url): count(pool) for service, pool in pools}

    states: dict[str, Callable[[Pool], float]] = {
        "active": lambda pool: pool.open - pool.idle,
        "idle": lambda pool: pool.idle,
    }
    yield Metric(
        "upstream_connections",
        "gauge",
        "Connections to an endpoint, by what they do.",
        ("service", "endpoint", "state"),
        {(*at, state): value for state, count in states.items() for at, value in by_endpoint(count).items()},
    )
    yield Metric(
        "upstream_requests_waiting",
        "gauge",
        "Requests that wait for a connection to an endpoint.",
        ("service", "endpoint"),
        by_endpoint(lambda pool: pool.waiting),
    )


def _instances(gateway: "Gateway") -> Iterator[Metric]:
    instances = list(gateway.snapshot.instances.values())
    stats = [stats for instance in instances for stats in instance.stats.values()]
    hooks: tuple[tuple[str, str, Callable[[HookStats], float]], ...] = (
        ("hook_calls", "Calls of a hook of an instance.", lambda one: one.calls),
        ("hook_own_seconds", "Time that a hook of an instance ran, its waiting left out.", lambda one: one.own),
        ("hook_waiting_seconds", "Time that a hook of an instance awaited something.", lambda one: one.waiting),
    )
    for name, text, read in hooks:
        yield Metric(
            name, "counter", text, ("instance", "hook"), {(one.instance, one.hook): read(one) for one in stats}
        )

    def by_instance(count: Callable[[Instance], float]) -> dict[tuple[str, ...], float]:
        return {(instance.name,): count(instance) for instance in instances}

    yield Metric(
        "instance_failures",
        "counter",
        "How often a hook of an instance crashed, timed out or answered with a wrong type.",
        ("instance",),
        by_instance(lambda one: one.failures),
    )
    yield Metric(
        "instance_isolated",
        "gauge",
        "1 while an instance is left out because it failed too often.",
        ("instance",),
        by_instance(lambda one: one.isolation.effect is not None),
        across="max",
    )
