"""The hooks: the moments in the life of an exchange, and of a gateway, at which a plugin may act.

Every exchange hook may be ``def`` or ``async def`` and may take any subset of its arguments. ``KINDS`` says how the
hooks' answers are used; order is the chain as the operator wrote it, or its reverse on the way out.
"""

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

import pluggy
from attrs import frozen

from spork_core.errors import Problem
from spork_core.events import Event
from spork_core.exchange import Attempt, Endpoint, Exchange, Identity, Response
from spork_core.metrics import Metric

if TYPE_CHECKING:
    from spork_core.plugin import GatewayView, LocalRoute

hookspec = pluggy.HookspecMarker("spork")
hookimpl = pluggy.HookimplMarker("spork")
"""Marks a plugin's method as the implementation of the hook of the same name."""


class Kind(Enum):
    """How the answers of a hook's implementations are used."""

    GATE = "gate"
    """Until the first Response, which ends the request's way in."""
    FIRST = "first"
    """Until the first answer that is not None."""
    MAP = "map"
    """Each may replace the response; the next sees the replaced one."""
    WATCH = "watch"
    """Answers are ignored, failures logged and counted: never changes the outcome."""


@frozen
class HookKind:
    """``kind`` of a hook; ``reverse``: called from the chain's end; ``answer``: the types it may give besides None."""

    kind: Kind
    answer: tuple[type, ...] = ()
    reverse: bool = False


KINDS: Final[dict[str, HookKind]] = {
    "pre_auth": HookKind(Kind.GATE, (Response,)),
    "authenticate": HookKind(Kind.FIRST, (Identity,)),
    "authorize": HookKind(Kind.GATE, (Response,)),
    "on_request": HookKind(Kind.GATE, (Response,)),
    "serve": HookKind(Kind.FIRST, (Response,)),
    "select_upstream": HookKind(Kind.FIRST, (Endpoint,)),
    "before_attempt": HookKind(Kind.GATE, (Response,)),
    "after_attempt": HookKind(Kind.WATCH, reverse=True),
    "should_retry": HookKind(Kind.FIRST, (float, int)),
    "on_upstream_response": HookKind(Kind.MAP, (Response,), reverse=True),
    "on_response": HookKind(Kind.MAP, (Response,), reverse=True),
    "on_error": HookKind(Kind.FIRST, (Response,)),
    "on_complete": HookKind(Kind.WATCH, reverse=True),
}
"""The exchange hooks, in the order of an exchange's life."""

GATEWAY_HOOKS: Final = ("startup", "shutdown", "health", "describe", "collect", "local_routes", "on_event")


class ExchangeHooks:
    """Fired for every exchange, in this order."""

    @hookspec
    def pre_auth(self, exchange: Exchange) -> Response | None:
        """After routing, before anybody knows who is calling: request id, address rules, CORS preflight, size
        limits."""

    @hookspec
    def authenticate(self, exchange: Exchange) -> Identity | None:
        """Says who is calling. None: not my kind of credential. Raise ``Unauthenticated``: mine, and bad; nobody else
        is asked. The first identity is kept in ``exchange.identity``."""

    @hookspec
    def authorize(self, exchange: Exchange) -> Response | None:
        """Decides whether the caller may do this. Raise ``Forbidden`` to refuse."""

    @hookspec
    def on_request(self, exchange: Exchange) -> Response | None:
        """Limits, validates or changes the request; wrap ``exchange.request.body`` to transform it as it streams."""

    @hookspec
    def serve(self, exchange: Exchange) -> Response | None:
        """Answers instead of the upstream: a cache hit, a mock, a token endpoint. None: not mine."""

    @hookspec
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        """Picks the endpoint of an attempt, one of ``attempt.choices``; asked again for each. None: not decided here;
        at the end the service's own balancing decides."""

    @hookspec
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> Response | None:
        """Just before a request is sent to ``attempt.endpoint``: breakers, bulkheads, signatures, trace headers."""

    @hookspec
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        """An attempt has its response head, or has failed (``attempt.error``): breaker verdicts, health, latency."""

    @hookspec
    def should_retry(self, exchange: Exchange, attempt: Attempt) -> float | None:
        """Seconds to wait before another attempt, or None for no opinion. Asked after a failed attempt and after a 5xx
        answer; the kernel refuses when the request cannot safely be repeated."""

    @hookspec
    def on_upstream_response(self, exchange: Exchange) -> Response | None:
        """The upstream's answer, before anything else: cache storage, validation. Not called for answers made here."""

    @hookspec
    def on_response(self, exchange: Exchange) -> Response | None:
        """Every answer once, refusals and error pages too: CORS and security headers, compression. Change
        ``exchange.response`` or return another."""

    @hookspec
    def on_error(self, exchange: Exchange, error: Problem) -> Response | None:
        """Turns a problem into an answer: branded pages, stale-if-error. At the end the kernel answers RFC 9457
        problem+json."""

    @hookspec
    def on_complete(self, exchange: Exchange) -> None:
        """Always, once, after the last byte or the abort: access log, metrics, span end. ``exchange.outcome`` is
        set."""


class GatewayHooks:
    """Fired for every instance when a snapshot starts or stops, is asked about itself, or when there is something to
    tell; never for an exchange."""

    @hookspec
    async def startup(self, gateway: "GatewayView") -> None:
        """Before the first exchange: connect, load, warm up. Raising keeps the old snapshot serving."""

    @hookspec
    async def shutdown(self, gateway: "GatewayView") -> None:
        """After the last exchange; called also when a startup failed half-way."""

    @hookspec
    def health(self, gateway: "GatewayView") -> Any:
        """None when well, else a sentence saying what is wrong; readiness shows it. May be ``async def``."""

    @hookspec
    def describe(self, gateway: "GatewayView") -> Any:
        """A JSON-able mapping about the running instance, for ``spork plugins`` and the admin listener."""

    @hookspec
    def collect(self, gateway: "GatewayView") -> Iterable[Metric]:
        """The instance's numbers, for whoever collects metrics: called for each scrape, in the event loop; a ``def``,
        and quick."""
        return ()

    @hookspec
    def local_routes(self, gateway: "GatewayView") -> "Iterable[LocalRoute]":
        """Paths that the instance answers itself, on the public or on the admin listener."""
        return ()

    @hookspec
    def on_event(self, gateway: "GatewayView", event: Event) -> None:
        """Something happened that an operator would want to know of: an instance was quarantined or works again, is
        past its budget, blocked the event loop, or told of something itself (``gateway.event``). A ``def``, and quick:
        it is called in the event loop."""
