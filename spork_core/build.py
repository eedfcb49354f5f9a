"""Builds snapshots: a config becomes instances, services, compiled chains and a router, or a list of everything wrong
with it.

What did not change is taken from the snapshot before, with its state.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from ssl import SSLError
from typing import Any

from spork_core.attribution import Metering
from spork_core.clock import Clock
from spork_core.config.model import GatewayConfig, RouteConfig
from spork_core.driving import handled
from spork_core.errors import ConfigError, ConfigProblem, SporkError
from spork_core.events import Events
from spork_core.exchange import RouteInfo
from spork_core.explain.explaining import ExplainingSnapshot
from spork_core.outbox import Outbox
from spork_core.pipeline import Pipeline
from spork_core.plan import Plan
from spork_core.plugin import GatewayView, LocalRoute, ResourceKey, Resources
from spork_core.registry import Instance, Registry, make_instance, order_problems
from spork_core.routing import Rule, capture_names, compile_rewrite, compile_routes
from spork_core.shared import STORE
from spork_core.snapshot import Door, Snapshot
from spork_core.store import MemoryStore, Store
from spork_core.upstream.service import Service


def build(
    config: GatewayConfig,
    registry: Registry,
    clock: Clock,
    view: Callable[[Resources], GatewayView],
    previous: Snapshot | None = None,
    outbox: Outbox | None = None,
    *,
    metering: Metering | None = None,
    events: Events | None = None,
    store: Store | None = None,
) -> Snapshot:
    """Builds the snapshot of ``config``; instances and services that did not change are taken from ``previous``.

    ``metering``: how hooks are measured; None: as ``config`` says, and nobody is told. ``store``: where no instance
    gives one; None: a memory of its own. Touches no network and starts nothing. Raises ConfigError with every fault.
    """
    metering = metering or Metering(config.attribution.hooks)
    events = events or Events(clock)
    problems: list[ConfigProblem] = []
    doors = {} if previous is None else _carried(config, previous, registry)
    resources = Resources()
    resources[STORE] = MemoryStore(clock) if store is None else store
    for door in doors.values():
        for resource, value in door.given.items():
            resources[resource] = value
    carried = {} if previous is None else {name: previous.instances[name] for name in doors}
    instances = _instances(config, registry, clock, events, carried, problems)
    problems.extend(_given_twice(instances))
    services = _services(config, previous, outbox, problems)
    pipelines: dict[tuple[tuple[str, ...], bool], Pipeline] = {}

    def pipeline(names: Sequence[str], where: str, marks: bool = False) -> Pipeline:
        key = (tuple(name for name in names if name in instances), marks)
        found = pipelines.get(key)
        if found is None:
            chain = [instances[name] for name in key[0]]
            problems.extend(order_problems(chain, where))
            found = pipelines[key] = Pipeline(chain, metering=metering, marks=marks)
        return found

    outer = pipeline(config.chain, "$.chain")
    plans: dict[str, Plan] = {}
    rules: list[Rule[Plan]] = []
    for name, route in config.routes.items():
        plan = _plan(name, route, config, services, pipeline, problems)
        plan.lighten()
        plans[name] = plan
        match = route.match
        rules.append(
            Rule(
                name=name,
                value=plan,
                hosts=match.host,
                path=match.path,
                methods=match.methods,
                headers=match.headers,
                query=match.query,
                priority=route.priority,
            )
        )
    for instance in instances.values():
        for local in local_routes(instance, view(resources), problems):
            if local.listener == "public":
                name = f"{instance.name}:{local.path}"
                plan = Plan(RouteInfo(name, local.path, None), outer, handler=handled(local.handler))
                rules.append(Rule(name=name, value=plan, path=local.path, methods=local.methods))
    try:
        router = compile_routes(rules)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    make = Snapshot if config.explain is None else partial(ExplainingSnapshot, events=events)
    return make(
        config,
        instances=instances,
        services=services,
        plans=plans,
        router=router,
        outer=outer,
        resources=resources,
        doors=doors,
        clock=clock,
    )


def _carried(config: GatewayConfig, previous: Snapshot, registry: Registry) -> dict[str, Door]:
    """The doors of the instances that a reload carries over: same config, and the same givers of what they took."""
    doors = {
        name: door
        for name, door in previous.doors.items()
        if (wanted := config.plugins.get(name)) and wanted.enabled and wanted == previous.instances[name].config
    }
    while True:
        lost = {key for name, door in previous.doors.items() if name not in doors for key in door.given}
        lost |= _coming(config, registry, doors)
        bereft = [name for name, door in doors.items() if not lost.isdisjoint(door.taken)]
        if not bereft:
            return doors
        for name in bereft:
            del doors[name]


def _coming(config: GatewayConfig, registry: Registry, carried: Mapping[str, Door]) -> set[ResourceKey[Any]]:
    """What instances will give that are not carried over."""
    coming: set[ResourceKey[Any]] = set()
    for name, wanted in config.plugins.items():
        if wanted.enabled and name not in carried:
            try:
                coming.update(registry.plugin_class(wanted.use).gives)
            except (SporkError, KeyError):
                pass  # ``make_instance`` says what is wrong with it
    return coming


def _given_twice(instances: Mapping[str, Instance]) -> Iterator[ConfigProblem]:
    givers: dict[ResourceKey[Any], str] = {}
    for name, instance in instances.items():
        for key in instance.plugin.gives:
            other = givers.setdefault(key, name)
            if other != name:
                message = f'gives the resource "{key.name}", and so does "{other}"'
                yield ConfigProblem(message, path=f"$.plugins.{name}", remedy="keep one of them; disable the other")


def _instances(
    config: GatewayConfig,
    registry: Registry,
    clock: Clock,
    events: Events,
    carried: Mapping[str, Instance],
    problems: list[ConfigProblem],
) -> dict[str, Instance]:
    instances: dict[str, Instance] = {}
    for name, wanted in config.plugins.items():
        if not wanted.enabled:
            continue
        if name in carried:
            instances[name] = carried[name]
            continue
        try:
            instances[name] = make_instance(wanted, registry, clock, events)
        except ConfigError as error:
            problems.extend(error.problems)
    return instances


def _services(
    config: GatewayConfig, previous: Snapshot | None, outbox: Outbox | None, problems: list[ConfigProblem]
) -> dict[str, Service]:
    services: dict[str, Service] = {}
    for name, wanted in config.services.items():
        old = previous.services.get(name) if previous is not None else None
        if old is not None and old.config == wanted and not old.outdated:
            services[name] = old
            continue
        try:
            services[name] = Service(name, wanted, outbox)
        except (OSError, SSLError) as error:
            problems.append(ConfigProblem(f"TLS files cannot be used: {error}", path=f"$.services.{name}.tls"))
    return services


def _plan(
    name: str,
    route: RouteConfig,
    config: GatewayConfig,
    services: Mapping[str, Service],
    pipeline: Callable[[Sequence[str], str, bool], Pipeline],
    problems: list[ConfigProblem],
) -> Plan:
    path = f"$.routes.{name}"
    service = services.get(route.service) if route.service is not None else None
    compiled = pipeline(chain_of(config, route), f"{path}.chain", route.server_timing)
    if route.authenticate == "required" and compiled.authenticate is None:
        problems.append(
            ConfigProblem(
                "the route requires an identity, and no instance of its chain authenticates",
                path=f"{path}.authenticate",
                remedy="add one that does (such as jwt) to its chain, or write authenticate: optional",
            )
        )
    rewrite = route.rewrite
    compiled_rewrite = None
    try:
        compiled_rewrite = compile_rewrite(
            rewrite.strip_prefix,
            rewrite.add_prefix,
            rewrite.path,
            capture_names(route.match.path),
            at=f"{path}.rewrite",
        )
    except ConfigError as error:
        problems.extend(error.problems)
    return Plan(
        RouteInfo(name, route.match.path, route.service),
        compiled,
        service,
        service.limits_for(route.timeouts) if service is not None else None,
        compiled_rewrite,
        rewrite.host,
        rewrite.set_headers or None,
        rewrite.remove_headers,
        compiled.authenticate is not None if route.authenticate is None else route.authenticate == "required",
        config.limits.body if route.body_limit is None else route.body_limit,
        route.upgrade,
        route.server_timing,
        config=route,
    )


def chain_of(config: GatewayConfig, route: RouteConfig) -> tuple[str, ...]:
    """The names of a route's chain in order: the outer chain without ``without``, the route's, its service's."""
    service = config.services.get(route.service) if route.service is not None else None
    return (
        *(name for name in config.chain if name not in route.without),
        *route.chain,
        *(service.chain if service is not None else ()),
    )


def local_routes(instance: Instance, view: GatewayView, problems: list[ConfigProblem]) -> list[LocalRoute]:
    """The paths an instance answers itself; a failure to say so becomes a problem."""
    impl = instance.impls.get("local_routes")
    if impl is None:
        return []
    try:
        routes: Any = impl.function(*(view for _ in impl.argnames))
        return list(routes)
    except (Exception, SystemExit) as error:
        message = f"local_routes failed: {type(error).__name__}: {error}"
        problems.append(ConfigProblem(message, path=f"$.plugins.{instance.name}"))
        return []
