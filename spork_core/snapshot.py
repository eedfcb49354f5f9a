"""The snapshot: everything one config builds, immutable once built; a reload builds the next one beside it."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from inspect import isawaitable
from ssl import SSLError
from typing import Any, Final

from spork_core.clock import Clock
from spork_core.config.model import GatewayConfig, RouteConfig
from spork_core.engine import Engine
from spork_core.errors import ConfigError, ConfigProblem, MethodNotAllowed, Problem
from spork_core.exchange import Exchange, Response, RouteInfo
from spork_core.outbox import Outbox
from spork_core.pipeline import Pipeline
from spork_core.plan import Plan
from spork_core.plugin import GatewayView, LocalRoute, ResourceKey, Resources
from spork_core.problems import ProblemPages
from spork_core.registry import Instance, Registry, make_instance, order_problems
from spork_core.routing import Router, Rule, capture_names, compile_rewrite, compile_routes
from spork_core.upstream.service import Service

log = logging.getLogger("spork_core.snapshot")

STARTUP: Final = 60.0
"""Seconds that an instance has to start; a reload would wait for ever on one that hangs."""
SHUTDOWN: Final = 10.0
"""Seconds that it has to shut down."""

_ALLOW = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_AFTER_REFUSAL = ("on_error", "on_response", "on_complete")


class Door(Resources):
    """One instance's way to the resources of the current snapshot. It notes what the instance takes and gives: one that
    took what another gave must not outlive that other."""

    def __init__(self, shared: Resources) -> None:
        super().__init__()
        self.shared = shared
        self.taken: set[ResourceKey[Any]] = set()
        self.given: Mapping[ResourceKey[Any], Any] = self._values

    def __getitem__(self, key: ResourceKey[Any]) -> Any:
        self.taken.add(key)
        return self.shared[key]

    def __setitem__(self, key: ResourceKey[Any], value: Any) -> None:
        super().__setitem__(key, value)
        self.shared[key] = value

    def __contains__(self, key: ResourceKey[Any]) -> bool:
        self.taken.add(key)
        return key in self.shared


class Snapshot:
    """What exchanges run on. ``build`` makes it, ``start`` readies it, ``retire`` lets it end with its exchanges."""

    def __init__(
        self,
        config: GatewayConfig,
        *,
        instances: Mapping[str, Instance],
        services: Mapping[str, Service],
        plans: Mapping[str, Plan],
        router: Router[Plan],
        outer: Pipeline,
        resources: Resources,
        doors: dict[str, Door],
        clock: Clock,
    ) -> None:
        self.config = config
        self.instances = instances
        self.services = services
        self.plans = plans
        self.router = router
        self.resources = resources
        self.doors = doors
        """The way of each instance to the resources."""
        self.pages = ProblemPages(config.errors.type_base)
        self.engine = Engine(self.pages, clock)
        self.running = 0
        """Exchanges that run on it."""
        self.retired = False
        self.drained = asyncio.Event()
        self._outer = outer
        self._refused = outer.only(_AFTER_REFUSAL)
        self._options = Plan(pipeline=outer, handler=_options)

    def __repr__(self) -> str:
        return f"<Snapshot {len(self.plans)} routes, {self.running} running{', retired' if self.retired else ''}>"

    # -- exchanges ----------------------------------------------------------------------------------

    def plan(self, exchange: Exchange, target: str, max_forwards: int | None) -> Plan:
        """The plan of the request's route, or one that refuses. The outer chain sees what no route takes, too."""
        request = exchange.request
        if max_forwards is not None and request.method in ("OPTIONS", "TRACE"):  # RFC 9110 section 7.6.2
            if max_forwards == 0:
                if request.method == "OPTIONS":
                    return self._options
                return self._refusing(MethodNotAllowed("This gateway answers no TRACE.", headers={"Allow": _ALLOW}))
            request.headers["Max-Forwards"] = str(max_forwards - 1)
        if target == "*":
            return self._options
        try:
            match = self.router.find(request.method, request.host, target, request.headers)
        except Problem as problem:
            return self._refusing(problem)
        plan = match.value
        exchange.route = plan.info
        request.path = match.path
        exchange.captures = match.captures
        exchange.rest = match.rest
        return plan

    def _refusing(self, problem: Problem) -> Plan:
        return Plan(pipeline=self._outer, refuse=lambda _: problem)

    def refusal(self, problem: Problem) -> Plan:
        """The plan of something that never became a request: answered, logged, and seen by no hook of the way in."""
        return Plan(pipeline=self._refused, refuse=lambda _: problem)

    def has_same(self, plan: Plan) -> bool:
        """True when a route of another snapshot is the same here: its config, its service and every instance."""
        if plan.info is None:
            return False
        mine = self.plans.get(plan.info.name)
        return (
            mine is not None
            and mine.config == plan.config
            and mine.service is plan.service
            and mine.pipeline.chain == plan.pipeline.chain
        )

    def check_drained(self) -> None:
        """Says so when nothing runs on it any more."""
        if self.retired and self.running == 0:
            self.drained.set()

    # -- life ---------------------------------------------------------------------------------------

    async def start(self, view: Callable[[Resources], GatewayView]) -> None:
        """Starts the instances that do not run yet, in the order of the config. Raises ConfigError when one cannot;
        those started for it are shut down again."""
        begun: list[Instance] = []
        try:
            for name, instance in self.instances.items():
                if not instance.started:
                    begun.append(instance)
                    door = self.doors[name] = Door(self.resources)
                    async with asyncio.timeout(STARTUP):
                        await call_hook(instance, "startup", view(door))
                    instance.started = True
        except BaseException as error:
            for instance in reversed(begun):
                await _stop(instance, view(self.resources))
            if not isinstance(error, (Exception, SystemExit)):
                raise
            message = f"instance did not start: {type(error).__name__}: {error}"
            raise ConfigError([ConfigProblem(message, path=f"$.plugins.{begun[-1].name}")]) from error
        for door in self.doors.values():
            door.shared = self.resources
        for instance in self.instances.values():
            instance.users += 1
        for service in self.services.values():
            service.users += 1

    def retire(self) -> None:
        """No other exchange begins on it."""
        self.retired = True
        self.check_drained()

    async def close(self, view: GatewayView) -> None:
        """Shuts down the instances and services that no other snapshot uses."""
        for service in self.services.values():
            service.users -= 1
            if service.users == 0:
                service.close()
        for instance in reversed(tuple(self.instances.values())):
            instance.users -= 1
            if instance.users == 0:
                await _stop(instance, view)


async def call_hook(instance: Instance, hook: str, view: GatewayView) -> Any:
    """Calls a gateway hook of one instance, ``def`` or ``async def``; None when it has none. Raises what it raises."""
    impl = instance.impls.get(hook)
    if impl is None:
        return None
    answer = impl.function(*(view for _ in impl.argnames))
    return await answer if isawaitable(answer) else answer


async def _stop(instance: Instance, view: GatewayView) -> None:
    instance.started = False
    try:
        async with asyncio.timeout(SHUTDOWN):
            await call_hook(instance, "shutdown", view)
    except (Exception, SystemExit):
        log.exception("instance %s failed in shutdown", instance.name)


def _options(_: Exchange) -> Response:
    return Response(204, headers={"Allow": _ALLOW})


# -- building -------------------------------------------------------------------------------------------


def build(
    config: GatewayConfig,
    registry: Registry,
    clock: Clock,
    view: Callable[[Resources], GatewayView],
    previous: Snapshot | None = None,
    outbox: Outbox | None = None,
) -> Snapshot:
    """Builds the snapshot of ``config``; instances and services that did not change are taken from ``previous``.

    Touches no network and starts nothing. Raises ConfigError with every fault.
    """
    problems: list[ConfigProblem] = []
    doors = {} if previous is None else _carried(config, previous)
    resources = Resources()
    for door in doors.values():
        for resource, value in door.given.items():
            resources[resource] = value
    carried = {} if previous is None else {name: previous.instances[name] for name in doors}
    instances = _instances(config, registry, carried, problems)
    services = _services(config, previous, outbox, problems)
    pipelines: dict[tuple[str, ...], Pipeline] = {}

    def pipeline(names: Sequence[str], where: str) -> Pipeline:
        key = tuple(name for name in names if name in instances)
        found = pipelines.get(key)
        if found is None:
            chain = [instances[name] for name in key]
            problems.extend(order_problems(chain, where))
            found = pipelines[key] = Pipeline(chain)
        return found

    outer = pipeline(config.chain, "$.chain")
    plans: dict[str, Plan] = {}
    rules: list[Rule[Plan]] = []
    for name, route in config.routes.items():
        plan = _plan(name, route, config, services, pipeline, problems)
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
                plan = Plan(RouteInfo(name, local.path, None), outer, handler=local.handler)
                rules.append(Rule(name=name, value=plan, path=local.path, methods=local.methods))
    try:
        router = compile_routes(rules)
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return Snapshot(
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


def _carried(config: GatewayConfig, previous: Snapshot) -> dict[str, Door]:
    """The doors of the instances that a reload carries over: same config, and the same givers of what they took."""
    doors = {
        name: door
        for name, door in previous.doors.items()
        if (wanted := config.plugins.get(name)) and wanted.enabled and wanted == previous.instances[name].config
    }
    while True:
        lost = {key for name, door in previous.doors.items() if name not in doors for key in door.given}
        bereft = [name for name, door in doors.items() if not lost.isdisjoint(door.taken)]
        if not bereft:
            return doors
        for name in bereft:
            del doors[name]


def _instances(
    config: GatewayConfig, registry: Registry, carried: Mapping[str, Instance], problems: list[ConfigProblem]
) -> dict[str, Instance]:
    instances: dict[str, Instance] = {}
    for name, wanted in config.plugins.items():
        if not wanted.enabled:
            continue
        if name in carried:
            instances[name] = carried[name]
            continue
        try:
            instances[name] = make_instance(wanted, registry)
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
    pipeline: Callable[[Sequence[str], str], Pipeline],
    problems: list[ConfigProblem],
) -> Plan:
    path = f"$.routes.{name}"
    service = services.get(route.service) if route.service is not None else None
    compiled = pipeline(chain_of(config, route), f"{path}.chain")
    if route.identity == "required" and compiled.authenticate is None:
        problems.append(
            ConfigProblem(
                "the route requires an identity, and no instance of its chain authenticates",
                path=f"{path}.identity",
                remedy="add one that does (such as jwt) to its chain, or write identity: optional",
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
        compiled.authenticate is not None if route.identity is None else route.identity == "required",
        config.limits.body if route.body_limit is None else route.body_limit,
        route.upgrade,
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
