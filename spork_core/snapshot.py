"""The snapshot: everything one config builds, immutable once built; a reload builds the next one beside it."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from inspect import isawaitable
from time import perf_counter
from typing import Any, Final

from spork_core.attribution import place_in, words_of
from spork_core.clock import Clock
from spork_core.config.model import GatewayConfig
from spork_core.engine import Engine
from spork_core.errors import ConfigError, ConfigProblem, MethodNotAllowed, Problem
from spork_core.exchange import Exchange, Response
from spork_core.pipeline import SAMPLED, Pipeline
from spork_core.plan import Plan
from spork_core.plugin import GatewayView, ResourceKey, Resources
from spork_core.problems import ProblemPages
from spork_core.registry import Instance
from spork_core.routing import Router
from spork_core.upstream.service import Service

log = logging.getLogger("spork_core.snapshot")

STARTUP: Final = 60.0
"""Seconds that an instance has to start; a reload would wait for ever on one that hangs."""
SHUTDOWN: Final = 10.0
"""Seconds that it has to shut down."""

_BUSY: Final = 1000
"""So many exchanges a second are much to do: their hooks are measured by samples."""
_LOOKED_AT: Final = 512
"""How many there are in a second is looked at after so many."""

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
        self._turn = 0
        self._busy = False
        self._since = 0.0
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
        if plan.light is not None:
            self._turn = turn = self._turn + 1
            if not turn % _LOOKED_AT:
                now = perf_counter()
                self._busy, self._since = now - self._since < _LOOKED_AT / _BUSY, now
            if self._busy:
                plan = plan.light[1 if turn % SAMPLED else 0]
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

    async def start(self, view: Callable[[Resources], GatewayView], previous: "Snapshot | None" = None) -> None:
        """Starts the instances that do not run yet, those that give resources before the others, else in the order of
        the config, and hands them the state of those that they replace in ``previous``. Raises ConfigError when one
        cannot; those started for it are shut down again."""
        begun: list[Instance] = []
        try:
            for name, instance in sorted(self.instances.items(), key=_gives_nothing):
                if not instance.started:
                    begun.append(instance)
                    door = self.doors[name] = Door(self.resources)
                    async with asyncio.timeout(STARTUP):
                        await call_hook(instance, "startup", view(door))
                    instance.started = True
            if previous is not None:
                for instance in begun:
                    _hand_over(previous.instances.get(instance.name), instance)
        except BaseException as error:
            for instance in reversed(begun):
                await _stop(instance, view(self.resources))
            if isinstance(error, ConfigError) or not isinstance(error, Exception):
                raise
            late = begun[-1]
            place = place_in(error, type(late.plugin))
            message = f"instance did not start: {words_of(error)}, at {place}"
            raise ConfigError([ConfigProblem(message, path=f"$.plugins.{late.name}")]) from error
        for door in self.doors.values():
            door.shared = self.resources
        for instance in self.instances.values():
            instance.users += 1
            instance.refresh()
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
        for _, instance in sorted(self.instances.items(), key=_gives_nothing)[::-1]:
            instance.users -= 1
            if instance.users == 0:
                await _stop(instance, view)


async def call_hook(instance: Instance, hook: str, view: GatewayView) -> Any:
    """Calls a gateway hook of one instance, ``def`` or ``async def``; None when it has none.

    Raises what it raises: what is no Exception, and no cancellation that the caller is asked for, as a RuntimeError.
    """
    impl = instance.impls.get(hook)
    if impl is None:
        return None
    task = asyncio.current_task()
    before = 0 if task is None else task.cancelling()
    awaiting = False
    try:
        answer: Any = impl.function(*(view for _ in impl.argnames))
        awaiting = isawaitable(answer)
        return await answer if awaiting else answer
    except Exception:
        raise
    except BaseException as error:
        if awaiting and isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > before):
            raise
        if awaiting and isinstance(error, GeneratorExit):
            raise
        raise RuntimeError(f"{hook} raised {words_of(error)}") from error


def _gives_nothing(item: tuple[str, Instance]) -> bool:
    return not item[1].plugin.gives


def _hand_over(old: Instance | None, new: Instance) -> None:
    """Gives ``new`` the state of the instance of the same plugin that it replaces, if there is one. Raises
    ConfigError."""
    if old is None or type(old.plugin) is not type(new.plugin):
        return
    try:
        state = old.plugin.export_state()
        if state is not None:
            new.plugin.import_state(state)
    except BaseException as error:  # two defs: nothing else can have raised it
        message = f"the state of the instance before it could not be taken over: {words_of(error)}"
        raise ConfigError([ConfigProblem(message, path=f"$.plugins.{new.name}")]) from error


async def _stop(instance: Instance, view: GatewayView) -> None:
    instance.started = False
    try:
        async with asyncio.timeout(SHUTDOWN):
            await call_hook(instance, "shutdown", view)
    except Exception:
        log.exception("instance %s failed in shutdown", instance.name)


def _options(_: Exchange) -> Response:
    return Response(204, headers={"Allow": _ALLOW})
