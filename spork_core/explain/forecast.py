"""What becomes of a request, found out on the compiled snapshot without sending anything.

The request goes through the parser, the router and the rewrite that a real one meets, so what they refuse is refused
here in the same words. Hooks are named, not called: what a plugin would say is its own affair.
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

import attrs

from spork_core.errors import NotFound, PayloadTooLarge, Problem, Unauthenticated
from spork_core.exchange import Exchange
from spork_core.explain import facts
from spork_core.explain.model import FORMAT, Asked, CandidateFact, Explanation
from spork_core.explain.redaction import Hider, shown_target, shown_value
from spork_core.forwarded import Forwarding
from spork_core.plan import Plan
from spork_core.server.heads import HeadParser
from spork_core.snapshot import Snapshot

_PEER = "127.0.0.1"


@attrs.frozen
class Inquiry:
    """A request as it would be sent. ``target`` is what stands on the request line, ``host`` the Host field."""

    method: str
    target: str
    host: str
    scheme: str
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, method: str, url: str, headers: Sequence[tuple[str, str]], host: str) -> "Inquiry":
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

    def shown(self) -> Asked:
        """Without its credentials."""
        headers = tuple((name, shown_value(name, value)) for name, value in self.headers)
        return Asked(self.method, shown_target(self.target), self.host, self.scheme, headers)


def forecast(snapshot: Snapshot, inquiry: Inquiry) -> Explanation:
    """What becomes of ``inquiry``; touches no network and changes nothing but the turn of a round robin."""
    return Hider(snapshot.config).hide(_forecast(snapshot, inquiry))


def _forecast(snapshot: Snapshot, inquiry: Inquiry) -> Explanation:
    config = snapshot.config
    forwarding = Forwarding(config.trusted_proxies)
    trusted = forwarding.trusts(_PEER)
    try:
        request = HeadParser(config.limits).parse(inquiry.head(), trusted=trusted)
    except Problem as problem:
        return _refused(snapshot, inquiry, snapshot.refusal(problem), problem, facts.OF_A_REFUSAL)
    request.client = request.peer = _PEER
    request.tls, request.trusted, request.scheme = None, trusted, inquiry.scheme
    if request.forwarded:
        seen = forwarding.see(request.headers, _PEER, request.scheme, request.host)
        request.client, request.scheme, request.host = seen.address, seen.scheme, seen.host
    target = request.raw_target
    candidates = facts.candidates(snapshot, request, target)
    exchange = Exchange(request)
    plan = snapshot.plan(exchange, target, request.max_forwards)
    if plan.refuse is not None:
        return _refused(snapshot, inquiry, plan, plan.refuse(exchange), facts.hooks_of(plan), candidates)
    found = _served(snapshot, inquiry, exchange, plan, request.length)
    return attrs.evolve(found, candidates=candidates, upgrade=request.upgrade if plan.upgrade else None)


def _served(snapshot: Snapshot, inquiry: Inquiry, exchange: Exchange, plan: Plan, length: int | None) -> Explanation:
    config, pipeline = snapshot.config, plan.pipeline
    refused, upstream, answers = None, None, ""
    hooks: Sequence[str] = facts.hooks_of(plan)
    try:
        if plan.body_limit is not None and length is not None and length > plan.body_limit:
            raise PayloadTooLarge(f"The request's content is longer than {plan.body_limit} bytes.")
        if plan.service is not None:
            target = plan.target(exchange)
            first = plan.service.pick()
            host = exchange.request.headers.get("Host") or first.authority
            upstream = facts.upstream(config, plan, target, host, first.endpoint)
        elif plan.handler is not None:
            answers = plan.info.name if plan.info is not None else "the gateway itself"
        elif pipeline.serve is None:
            raise NotFound("Nothing on this route answers this request.")
        else:
            answers = "the serve hooks"
    except Problem as problem:
        refused = facts.refused(problem)
        # The limit is looked at before anybody is asked; the rest shows when there is nothing left but to send.
        reached = facts.BEFORE_SENDING[:1] if isinstance(problem, PayloadTooLarge) else facts.BEFORE_SENDING
        hooks = (*reached, *facts.OF_A_REFUSAL)
    if refused is None and plan.identity_required:
        challenges = [("WWW-Authenticate", challenge) for challenge in pipeline.challenges]
        refused = facts.refused(Unauthenticated("This request needs credentials.", headers=challenges), certain=False)
    return Explanation(
        format=FORMAT,
        live=False,
        id=None,
        asked=inquiry.shown(),
        route=plan.info.name if plan.info is not None else None,
        candidates=(),
        steps=facts.steps(pipeline, hooks, config, plan.config),
        left_out=facts.left_out(config, plan),
        identity=facts.identity(plan),
        upstream=upstream,
        answers=answers,
        refused=refused,
        body_limit=plan.body_limit,
        upgrade=None,
    )


def _refused(
    snapshot: Snapshot,
    inquiry: Inquiry,
    plan: Plan,
    problem: Problem,
    hooks: Sequence[str],
    candidates: tuple[CandidateFact, ...] = (),
) -> Explanation:
    config = snapshot.config
    return Explanation(
        format=FORMAT,
        live=False,
        id=None,
        asked=inquiry.shown(),
        route=None,
        candidates=candidates,
        steps=facts.steps(plan.pipeline, hooks, config, None),
        left_out=facts.left_out(config, plan) if "pre_auth" in hooks else (),
        identity=None,
        upstream=None,
        answers="",
        refused=facts.refused(problem),
        body_limit=None,
        upgrade=None,
    )
