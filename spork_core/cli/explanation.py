"""What becomes of a request, found out on the compiled snapshot without sending anything.

The request goes through the parser, the router and the rewrite that a real one meets, so what they refuse is refused
here in the same words. Hooks are named, not called: what a plugin would say is its own affair.
"""

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

import attrs

from spork_core.config.model import GatewayConfig, RouteConfig
from spork_core.errors import BadRequest, NotFound, PayloadTooLarge, Problem, Unauthenticated
from spork_core.exchange import Exchange
from spork_core.forwarded import Forwarding
from spork_core.gateway import Gateway
from spork_core.hookspecs import KINDS
from spork_core.pipeline import Pipeline
from spork_core.plan import Plan
from spork_core.registry import Instance
from spork_core.server.heads import ClientRequest, HeadParser

_PEER = "127.0.0.1"
_BEFORE_SENDING = ("pre_auth", "authenticate", "authorize", "on_request", "serve")
_ATTEMPT = ("select_upstream", "before_attempt", "after_attempt", "should_retry", "on_upstream_response")
_OF_A_REFUSAL = ("on_error", "on_response", "on_complete")


@attrs.frozen
class Asked:
    """A request as it would be sent. ``target`` is what stands on the request line, ``host`` the Host field."""

    method: str
    target: str
    host: str
    scheme: str
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, method: str, url: str, headers: Sequence[tuple[str, str]], host: str) -> "Asked":
        """What a client makes of a URL, or of a path (then ``host`` is asked). Raises ValueError."""
        url = url.partition("#")[0]  # a fragment stays with the client
        if url.startswith("/") or url == "*":
            scheme, authority, target = "http", host, url
        else:
            parts = urlsplit(url if "://" in url else f"http://{url}")
            if parts.scheme not in ("http", "https", "ws", "wss") or not parts.hostname:
                raise ValueError(f'"{url}" is no URL of a gateway')
            scheme = "https" if parts.scheme in ("https", "wss") else "http"
            authority = parts.netloc.rpartition("@")[2]
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query or url.endswith("?") else "")
        named = [value for name, value in headers if name.lower() == "host"]
        others = tuple(header for header in headers if header[0].lower() != "host")
        return cls(method, target, named[-1] if named else authority, scheme, others)

    def head(self) -> bytes:
        """The request's head, byte for byte."""
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "surrogateescape")


@attrs.frozen
class Step:
    """One implementation of a hook that is called. ``origin``: where the chain has the instance from."""

    hook: str
    instance: str
    plugin: str
    origin: str


@attrs.frozen
class LeftOut:
    """An instance, or hooks of one, that could have been in the chain, and why they are not."""

    instance: str
    why: str


@attrs.frozen
class Refused:
    """What the gateway itself would answer. ``certain``: whatever the plugins do; else only when none changes it."""

    status: int
    title: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...]
    certain: bool = True


@attrs.frozen
class Identity:
    """The route's rule. ``by``: the instances that authenticate; ``challenges``: what a 401 carries."""

    required: bool
    by: tuple[str, ...]
    challenges: tuple[str, ...]


@attrs.frozen
class EndpointFact:
    """An endpoint of the service. ``next``: a fresh gateway takes it first."""

    url: str
    weight: int
    next: bool


@attrs.frozen
class Upstream:
    """What is sent, and where. Times in seconds, None: no limit."""

    service: str
    target: str
    host: str
    set_headers: dict[str, str]
    removed_headers: tuple[str, ...]
    endpoints: tuple[EndpointFact, ...]
    deciders: tuple[str, ...]
    connect: float
    response: float
    idle: float
    total: float | None


@attrs.frozen
class CandidateFact:
    """A route that takes the request or nearly does."""

    route: str
    matched: bool
    why: str


@attrs.frozen
class Explanation:
    """All of it. ``route``: None when none takes the request; ``answers``: who does when no service is asked."""

    asked: Asked
    route: str | None
    candidates: tuple[CandidateFact, ...]
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...]
    identity: Identity | None
    upstream: Upstream | None
    answers: str
    refused: Refused | None
    body_limit: int | None
    upgrade: str | None


def explain(gateway: Gateway, asked: Asked) -> Explanation:
    """What becomes of ``asked``; touches no network and changes nothing but the turn of a round robin."""
    config, snapshot = gateway.config, gateway.snapshot
    forwarding = Forwarding(config.trusted_proxies)
    trusted = forwarding.trusts(_PEER)
    try:
        request = HeadParser(config.limits).parse(asked.head(), trusted=trusted)
    except Problem as problem:
        plan = snapshot.refusal(problem)
        steps = _steps(plan.pipeline, _OF_A_REFUSAL, config, None)
        return _refused(asked, problem, (), steps, ())
    request.arrived(_PEER, None, trusted=trusted)
    request.scheme = asked.scheme
    if request.forwarded:
        seen = forwarding.see(request.headers, _PEER, request.scheme, request.host)
        request.client, request.scheme, request.host = seen.address, seen.scheme, seen.host
    target = request.raw_target
    candidates = _candidates(gateway, request, target)
    exchange = Exchange(request)
    plan = snapshot.plan(exchange, target, request.max_forwards)
    route = plan.config
    if plan.refuse is not None:
        steps = _steps(plan.pipeline, ("pre_auth", *_OF_A_REFUSAL), config, None)
        return _refused(asked, plan.refuse(exchange), candidates, steps, _left_out(gateway, plan))
    return _served(gateway, asked, request, exchange, plan, route, candidates)


def _served(
    gateway: Gateway,
    asked: Asked,
    request: ClientRequest,
    exchange: Exchange,
    plan: Plan,
    route: RouteConfig | None,
    candidates: tuple[CandidateFact, ...],
) -> Explanation:
    pipeline = plan.pipeline
    refused, upstream, answers = None, None, ""
    hooks: Sequence[str] = [hook for hook in KINDS if hook not in _ATTEMPT or plan.service is not None]
    try:
        if plan.body_limit is not None and request.length is not None and request.length > plan.body_limit:
            raise PayloadTooLarge(f"The request's content is longer than {plan.body_limit} bytes.")
        if plan.service is not None:
            upstream = _upstream(plan, exchange)
        elif plan.handler is not None:
            answers = plan.info.name if plan.info is not None else "the gateway itself"
        elif pipeline.serve is None:
            raise NotFound("Nothing on this route answers this request.")
        else:
            answers = "the serve hooks"
    except Problem as problem:
        refused = _facts_of(problem)
        # The limit is looked at before anybody is asked; the rest shows when there is nothing left but to send.
        reached = _BEFORE_SENDING[:1] if isinstance(problem, PayloadTooLarge) else _BEFORE_SENDING
        hooks = (*reached, *_OF_A_REFUSAL)
    authenticators = tuple(i.name for i in pipeline.chain if "authenticate" in i.impls)
    if refused is None and plan.identity_required:
        challenges = [("WWW-Authenticate", challenge) for challenge in pipeline.challenges]
        refused = _facts_of(Unauthenticated("This request needs credentials.", headers=challenges), certain=False)
    return Explanation(
        asked=asked,
        route=plan.info.name if plan.info is not None else None,
        candidates=candidates,
        steps=tuple(_steps(pipeline, hooks, gateway.config, route)),
        left_out=tuple(_left_out(gateway, plan)),
        identity=Identity(plan.identity_required, authenticators, pipeline.challenges),
        upstream=upstream,
        answers=answers,
        refused=refused,
        body_limit=plan.body_limit,
        upgrade=request.upgrade if plan.upgrade else None,
    )


def _refused(
    asked: Asked,
    problem: Problem,
    candidates: tuple[CandidateFact, ...],
    steps: Iterator[Step],
    left_out: "Iterator[LeftOut] | tuple[LeftOut, ...]",
) -> Explanation:
    return Explanation(
        asked=asked,
        route=None,
        candidates=candidates,
        steps=tuple(steps),
        left_out=tuple(left_out),
        identity=None,
        upstream=None,
        answers="",
        refused=_facts_of(problem),
        body_limit=None,
        upgrade=None,
    )


def _facts_of(problem: Problem, certain: bool = True) -> Refused:
    return Refused(problem.status, problem.title, problem.code, problem.detail, tuple(problem.headers), certain)


def _candidates(gateway: Gateway, request: ClientRequest, target: str) -> tuple[CandidateFact, ...]:
    try:
        found = gateway.snapshot.router.explain(request.method, request.host, target, request.headers)
    except BadRequest:
        return ()  # the router refuses it in a moment, and says why
    return tuple(CandidateFact(candidate.name, candidate.matched, candidate.why) for candidate in found)


def _steps(
    pipeline: Pipeline, hooks: Sequence[str], config: GatewayConfig, route: RouteConfig | None
) -> Iterator[Step]:
    origins = _origins(config, route)
    for hook in hooks:
        chain = pipeline.chain if not KINDS[hook].reverse else tuple(reversed(pipeline.chain))
        for instance in chain:
            if hook in instance.impls:
                plugin = instance.distribution or type(instance.plugin).__name__
                yield Step(hook, instance.name, plugin, origins.get(instance.name, ""))


def _origins(config: GatewayConfig, route: RouteConfig | None) -> dict[str, str]:
    """Instance → the chain that brings it."""
    origins = dict.fromkeys(config.chain, "outer chain")
    if route is not None:
        origins |= dict.fromkeys(route.chain, "route")
        service = config.services.get(route.service or "")
        if service is not None:
            origins |= dict.fromkeys(service.chain, f"service {route.service}")
    return origins


def _left_out(gateway: Gateway, plan: Plan) -> Iterator[LeftOut]:
    config, route = gateway.config, plan.config
    if route is not None:
        for name in route.without:
            yield LeftOut(name, "the route says without")
    without = () if route is None else route.without
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


def _upstream(plan: Plan, exchange: Exchange) -> Upstream:
    """Raises BadRequest when the rewrite refuses."""
    service, limits = plan.service, plan.limits
    assert service is not None
    assert limits is not None
    target = plan.target(exchange)
    first = service.pick()
    return Upstream(
        service=service.name,
        target=target,
        host=exchange.request.headers.get("Host") or first.authority,
        set_headers=dict(plan.set_headers or {}),
        removed_headers=plan.remove_headers,
        endpoints=tuple(
            EndpointFact(endpoint.url, endpoint.weight, endpoint is first.endpoint) for endpoint in service.endpoints
        ),
        deciders=tuple(i.name for i in plan.pipeline.chain if "select_upstream" in i.impls),
        connect=limits.connect,
        response=limits.awaiting_head.seconds,
        idle=limits.stalled.seconds,
        total=limits.total,
    )
