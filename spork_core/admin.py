"""The admin listener: liveness, readiness, a description of what runs, reload, and the paths that plugins add."""

import asyncio
import os
from collections.abc import Callable, Mapping
from math import isfinite
from typing import TYPE_CHECKING, Any

import attrs

from spork_core import __version__
from spork_core.attribution import words_of
from spork_core.build import local_routes
from spork_core.driving import handled
from spork_core.engine import Engine
from spork_core.errors import Forbidden, NotFound, Problem
from spork_core.exchange import Exchange, Response, RouteInfo
from spork_core.pipeline import EMPTY_PIPELINE
from spork_core.plan import Plan
from spork_core.plugin import GatewayView
from spork_core.problems import ProblemPages
from spork_core.routing import Router, Rule, compile_routes
from spork_core.snapshot import Snapshot, call_hook

if TYPE_CHECKING:
    from spork_core.gateway import Gateway

_HEALTH_SECONDS = 1.0
_SAFE = frozenset(("GET", "HEAD", "OPTIONS", "TRACE"))
"""Methods that change nothing (RFC 9110 section 9.2.1)."""
_DEEPEST = 20
"""So deep may lie what a plugin tells of itself."""


class AdminSite:
    """What the admin listener's exchanges run on: a router over local paths, no chain."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.pages = ProblemPages()
        self.engine = Engine(self.pages, gateway.clock)
        self.running = 0
        self.retired = False
        self._router: Router[Plan] = compile_routes(())
        self._health: asyncio.Task[dict[str, str | None]] | None = None
        self._health_until = 0.0

    def compile(self, snapshot: Snapshot, view: GatewayView) -> Router[Plan]:
        """The paths of the admin listener while ``snapshot`` serves: its own, and those of the instances. Raises
        ConfigError."""
        own: tuple[tuple[str, tuple[str, ...], Callable[[Exchange], Any]], ...] = (
            ("/livez", ("GET", "HEAD"), self._livez),
            ("/readyz", ("GET", "HEAD"), self._readyz),
            ("/status", ("GET", "HEAD"), self._status),
            ("/reload", ("POST",), self._reload),
        )
        rules = [self._rule(path, methods, handler) for path, methods, handler in own]
        taken = {path for path, _, _ in own}
        for instance in snapshot.instances.values():
            for local in local_routes(instance, view, []):
                if local.listener == "admin" and local.path not in taken:
                    taken.add(local.path)
                    rules.append(self._rule(local.path, local.methods, local.handler))
        return compile_routes(rules)

    def adopt(self, router: Router[Plan]) -> None:
        """Answers by what ``compile`` made."""
        self._router = router
        self._health = None

    @staticmethod
    def _rule(path: str, methods: tuple[str, ...], handler: Callable[[Exchange], Any]) -> Rule[Plan]:
        plan = Plan(RouteInfo(f"admin:{path}", path, None), EMPTY_PIPELINE, handler=handled(handler))
        return Rule(name=path, value=plan, path=path, methods=methods)

    # -- what a Listening asks of a snapshot --------------------------------------------------------

    def plan(self, exchange: Exchange, target: str, max_forwards: int | None) -> Plan:
        """The plan of a local path, or one that refuses."""
        request = exchange.request
        origin = request.headers.get("Origin")
        if origin is not None and request.method not in _SAFE and origin.partition("://")[2] != request.host:
            # A page that the operator has open can send this, and must not reload or purge anything.
            return self.refusal(Forbidden("Pages of other origins may not change anything here."))
        try:
            match = self._router.find(request.method, "", target, request.headers)
        except NotFound:
            known = "/livez, /readyz, /status, /reload"
            return self.refusal(NotFound(f"Nothing is here; the admin listener has {known} and what plugins add."))
        except Problem as problem:
            return self.refusal(problem)
        exchange.route = match.value.info
        exchange.captures = match.captures
        return match.value

    def refusal(self, problem: Problem) -> Plan:
        """The plan of a request that is refused."""
        return Plan(refuse=lambda _: problem)

    def check_drained(self) -> None:
        """Nothing waits for it."""

    # -- the paths ----------------------------------------------------------------------------------

    def _livez(self, _: Exchange) -> Response:
        return Response(200, "ok\n", {"Cache-Control": "no-store"})

    async def _readyz(self, exchange: Exchange) -> Response:
        """200 when exchanges are served, 503 while starting and draining and when an instance says it is not well."""
        gateway = self._gateway
        health = await self._checked() if gateway.ready else {}
        ill = {name: word for name, word in health.items() if word is not None}
        ready = gateway.ready and not ill
        headers = {"Cache-Control": "no-store"}
        if "verbose" in (exchange.request.query or ""):
            checks = {"gateway": None if gateway.ready else "starting or draining", **health}
            return Response.json(
                {"status": "ok" if ready else "unavailable", "checks": {n: w or "ok" for n, w in checks.items()}},
                200 if ready else 503,
                headers,
            )
        if ready:
            return Response(200, "ok\n", headers)
        return Response(503, "".join(f"{n}: {w}\n" for n, w in ill.items()) or "not ready\n", headers)

    async def _checked(self) -> dict[str, str | None]:
        """What each instance says of its health, asked at most once a second however many probes there are."""
        loop = asyncio.get_running_loop()
        if self._health is None or (self._health.done() and loop.time() >= self._health_until):
            self._health = loop.create_task(self._ask_health())
            self._health_until = loop.time() + _HEALTH_SECONDS
        return await asyncio.shield(self._health)

    async def _ask_health(self) -> dict[str, str | None]:
        view = self._gateway.view()
        found: dict[str, str | None] = {}
        for name, instance in self._gateway.snapshot.instances.items():
            if "health" not in instance.impls:
                continue
            try:
                async with asyncio.timeout(_HEALTH_SECONDS):
                    word = await call_hook(instance, "health", view)
            except TimeoutError:
                word = f"no answer within {_HEALTH_SECONDS:g} s"
            except Exception as error:
                word = words_of(error)
            found[name] = None if word is None else str(word)
        return found

    async def _status(self, _: Exchange) -> Response:
        """What runs: versions, counts, instances with what they say of themselves, services with their pools."""
        gateway, front = self._gateway, self._gateway.front
        snapshot = gateway.snapshot
        instances = {}
        for name, instance in snapshot.instances.items():
            try:
                says = await call_hook(instance, "describe", gateway.view())
            except Exception as error:
                says = f"describe failed: {type(error).__name__}"
            instances[name] = {
                "use": instance.config.use,
                "distribution": instance.distribution,
                "on_failure": instance.on_failure,
                "state": instance.isolation.state,
                "why": instance.isolation.why or None,
                "isolated": instance.isolation.times,
                "failures": instance.failures,
                "last_failure": instance.last_failure,
                "hooks": {
                    hook: {"calls": stats.calls, "own_seconds": stats.own, "waiting_seconds": stats.waiting}
                    for hook, stats in instance.stats.items()
                },
                "describe": _plain(says),
            }
        services = {
            service.name: [
                {"endpoint": pool.endpoint.url, "open": pool.open, "idle": pool.idle, "waiting": pool.waiting}
                for pool in service.pools
            ]
            for service in snapshot.services.values()
        }
        return Response.json(
            {
                "version": __version__,
                "pid": os.getpid(),
                "worker": gateway.slot,
                "ready": gateway.ready,
                "reloads": gateway.reloads,
                "reload_failures": gateway.reload_failures,
                "last_reload_error": gateway.last_reload_error,
                "connections": 0 if front is None else len(front.connections),
                "connections_refused": 0 if front is None else front.refused,
                "exchanges": snapshot.running,
                "routes": len(snapshot.plans),
                "events": [_plain(attrs.asdict(event, recurse=False)) for event in gateway.events],
                "events_count": gateway.events.count,
                "instances": instances,
                "services": services,
            },
            headers={"Cache-Control": "no-store"},
        )

    def _reload(self, _: Exchange) -> Response:
        if self._gateway.on_reload is None:
            return Response(409, "This gateway was started without a config file.\n")
        self._gateway.on_reload()
        return Response(202, "Reload begun; GET /status tells how it went.\n")


def _plain(value: object, depth: int = 0) -> Any:
    """``value`` as JSON can say it. What plugins say of themselves must not keep the others from being heard."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and isfinite(value)):
        return value
    if depth < _DEEPEST and isinstance(value, Mapping):
        return {str(key): _plain(inner, depth + 1) for key, inner in value.items()}
    if depth < _DEEPEST and isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner, depth + 1) for inner in value]
    try:
        return str(value)
    except Exception:  # of a plugin's class
        return f"a {type(value).__name__}"
