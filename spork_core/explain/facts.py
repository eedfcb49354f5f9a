"""What a compiled snapshot says about a request, without any of it being sent: shared by both kinds of explanation."""

from collections.abc import Iterator, Sequence
from typing import Final

from spork_core.config.model import GatewayConfig, RouteConfig
from spork_core.errors import BadRequest, Problem
from spork_core.exchange import Endpoint, Request
from spork_core.explain.model import (
    Asked,
    CandidateFact,
    EndpointFact,
    IdentityFact,
    LeftOut,
    Refused,
    Step,
    Upstream,
)
from spork_core.explain.redaction import shown_headers, shown_target, shown_value
from spork_core.hookspecs import KINDS
from spork_core.pipeline import Pipeline
from spork_core.plan import Plan
from spork_core.registry import Instance
from spork_core.snapshot import Snapshot

BEFORE_SENDING: Final = ("pre_auth", "authenticate", "authorize", "on_request", "serve")
ATTEMPT: Final = ("select_upstream", "before_attempt", "after_attempt", "should_retry")
OF_A_SERVICE: Final = (*ATTEMPT, "on_upstream_response")
OF_A_REFUSAL: Final = ("on_error", "on_response", "on_complete")


def hooks_of(plan: Plan) -> tuple[str, ...]:
    """The hooks that an exchange on ``plan`` may meet, in order."""
    if plan.refuse is not None:
        return ("pre_auth", *OF_A_REFUSAL)
    return tuple(hook for hook in KINDS if hook not in OF_A_SERVICE or plan.service is not None)


def candidates(snapshot: Snapshot, request: Request, target: str) -> tuple[CandidateFact, ...]:
    """The routes that take the request or nearly do, best first."""
    try:
        found = snapshot.router.explain(request.method, request.host, target, request.headers)
    except BadRequest:
        return ()  # the router refuses it in a moment, and says why
    return tuple(CandidateFact(candidate.name, candidate.matched, candidate.why) for candidate in found)


def steps(
    pipeline: Pipeline, hooks: Sequence[str], config: GatewayConfig, route: RouteConfig | None
) -> tuple[Step, ...]:
    """The implementations of ``hooks`` in the order they are called."""
    origins = _origins(config, route)
    return tuple(
        Step(hook, one.name, one.distribution or type(one.plugin).__name__, origins.get(one.name, ""), kind.kind.value)
        for hook, kind in ((hook, KINDS[hook]) for hook in hooks)
        for one in (reversed(pipeline.chain) if kind.reverse else pipeline.chain)
        if hook in one.impls
    )


def _origins(config: GatewayConfig, route: RouteConfig | None) -> dict[str, str]:
    """Instance → the chain that brings it."""
    origins = dict.fromkeys(config.chain, "outer chain")
    if route is not None:
        origins |= dict.fromkeys(route.chain, "route")
        service = config.services.get(route.service or "")
        if service is not None:
            origins |= dict.fromkeys(service.chain, f"service {route.service}")
    return origins


def left_out(config: GatewayConfig, plan: Plan) -> tuple[LeftOut, ...]:
    """What the config mentions and the chain has not."""
    return tuple(_left_out(config, plan))


def _left_out(config: GatewayConfig, plan: Plan) -> Iterator[LeftOut]:
    route = plan.config
    without = () if route is None else route.without
    for name in without:
        yield LeftOut(name, "the route says without")
    for name in _origins(config, route):
        if name not in without and not config.plugins[name].enabled:
            yield LeftOut(name, "enabled: false")
    for instance in plan.pipeline.chain:
        idle = _not_needed(instance)
        if idle:
            what = "its config needs no" if len(idle) == 1 else "its config needs none of"
            yield LeftOut(instance.name, f"{what} {', '.join(idle)}")


def _not_needed(instance: Instance) -> list[str]:
    """The exchange hooks that the plugin has and this instance's ``hooks()`` leaves out."""
    cls = type(instance.plugin)
    return [
        hook
        for hook in KINDS
        if hook not in instance.impls and getattr(getattr(cls, hook, None), "spork_impl", None) is not None
    ]


def asked(request: Request, target: str) -> Asked:
    """A request before any hook saw it. ``target``: as it came."""
    return Asked(
        request.method,
        shown_target(target),
        request.host,
        request.scheme,
        shown_headers(request.headers),
        request.client or None,
    )


def identity(plan: Plan, subject: str | None = None, scheme: str | None = None) -> IdentityFact:
    """The rule of a plan, and who is calling."""
    pipeline = plan.pipeline
    authenticators = tuple(one.name for one in pipeline.chain if "authenticate" in one.impls)
    return IdentityFact(plan.identity_required, authenticators, pipeline.challenges, subject, scheme)


def refused(problem: Problem, *, certain: bool = True, reason: str | None = None) -> Refused:
    """A problem as the client sees it, and with ``reason`` as the log does."""
    headers = tuple((str(name), shown_value(str(name), value)) for name, value in problem.headers)
    return Refused(problem.status, problem.title, problem.code, problem.detail, headers, certain, reason)


def upstream(
    config: GatewayConfig, plan: Plan, target: str, host: str, first: Endpoint | None, *, rewritten: bool = True
) -> Upstream:
    """What a plan with a service sends. ``target``, ``host``: what is on the wire. ``first``: the endpoint that is
    taken first; None: no one is. ``rewritten``: the route's rewrite had a say."""
    service, limits = plan.service, plan.limits
    assert service is not None
    assert limits is not None
    return Upstream(
        service=service.name,
        target=shown_target(target),
        host=host,
        set_headers=_set_headers(config, plan) if rewritten else {},
        removed_headers=plan.remove_headers if rewritten else (),
        endpoints=tuple(EndpointFact(one.url, one.weight, one is first) for one in service.endpoints),
        deciders=tuple(one.name for one in plan.pipeline.chain if "select_upstream" in one.impls),
        connect=limits.connect,
        response=limits.awaiting_head.seconds,
        idle=limits.stalled.seconds,
        total=limits.total,
    )


def _set_headers(config: GatewayConfig, plan: Plan) -> dict[str, str]:
    """Those of the route, each as the config says it: a reference stays one."""
    route = plan.info.name if plan.info is not None else ""
    return {
        name: config.references.get(("routes", route, "rewrite", "set_headers", name)) or shown_value(name, value)
        for name, value in (plan.set_headers or {}).items()
    }
