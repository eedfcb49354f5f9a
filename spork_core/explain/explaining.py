"""A snapshot that answers requests which bring a token with what became of them.

Rules of this file
1. A request without the header pays one lookup for it; a gateway whose config says nothing of ``explain`` has an
   ordinary snapshot, pays nothing, and passes the header on like any other.
2. The header is taken out before anybody looks at the request: no hook, no log and no upstream sees a token.
3. What is explained is a real exchange on the route's own chain, measured and watched; only its answer is replaced,
   after ``on_response``, and the content of that answer is discarded unread.
"""

from collections.abc import Callable
from typing import Any, Final

from attrs import define, field, fields
from multidict import istr

from spork_core.clock import Clock
from spork_core.config.model import GatewayConfig
from spork_core.errors import BadRequest, ExplainRefused, Problem
from spork_core.events import Events
from spork_core.exchange import Exchange, Request, Response
from spork_core.explain import facts, tokens
from spork_core.explain.redaction import Hider
from spork_core.explain.telling import Telling
from spork_core.headers import version_of
from spork_core.plan import Plan
from spork_core.snapshot import Snapshot

_HEADER: Final = istr(tokens.HEADER)
_plan: Final = Snapshot.plan  # found once, where super() would look it up for each request


@define(eq=False)
class _Told(Plan):
    """The plan of one exchange that is told of."""

    telling: Telling = field(kw_only=True)

    def target(self, exchange: Exchange) -> str:
        target = Plan.target(self, exchange)
        self.telling.rewritten = target
        return target


class ExplainingSnapshot(Snapshot):
    """A snapshot whose config has ``explain``."""

    def __init__(self, config: GatewayConfig, *, clock: Clock, events: Events, **parts: Any) -> None:
        super().__init__(config, clock=clock, **parts)
        assert config.explain is not None
        self._secret = config.explain.secret.reveal()
        self._clock = clock
        self._events = events
        self._hider = Hider(config)

    def plan(self, exchange: Exchange, target: str, max_forwards: int | None) -> Plan:
        if _HEADER in exchange.request.headers:
            return self._explained(exchange, target, max_forwards)
        return _plan(self, exchange, target, max_forwards)

    def _explained(self, exchange: Exchange, target: str, max_forwards: int | None) -> Plan:
        request = exchange.request
        checked = request.unchanged == version_of(request.headers)
        given = request.headers.popall(_HEADER)
        request.raw = b""  # the token stands in it
        if checked:  # by the parser; what code made has yet to be
            request.unchanged = version_of(request.headers)
        plan = _plan(self, exchange, target, max_forwards)
        try:
            token = self._token(given)
            tokens.check(token, request.method, request.path)
            _check_can_be_told(request)
        except Problem as problem:
            return self._refusing(problem)
        asked, found = facts.asked(request, target), facts.candidates(self, request, target)
        telling = Telling(self, plan, asked, found, token, self._hider, self._clock, self._events)
        parts = {part.name: getattr(plan, part.name) for part in fields(Plan) if part.init}
        parts["pipeline"] = plan.pipeline.observed(telling.trace.called, telling.trace.calling)
        told = _Told(**parts, telling=telling)
        told.plain = False
        told.finish = _after(plan.finish, telling.finish)
        return told

    def _token(self, given: list[str]) -> tokens.Token:
        if len(given) != 1:
            raise ExplainRefused(f"There is more than one {tokens.HEADER}; send one.")
        return tokens.read(given[0].strip(" \t"), self._secret, self._clock.time())


def _check_can_be_told(request: Request) -> None:
    """Raises BadRequest for requests whose answer has no room for an explanation."""
    if request.upgrade is not None:
        raise BadRequest(
            f"A request to switch to another protocol cannot be explained: send it without Upgrade, or without "
            f"{tokens.HEADER}."
        )
    if request.method == "HEAD":
        raise BadRequest("The answer to HEAD has no content, and so no explanation: ask with GET.")


def _after(
    first: Callable[[Exchange, Response], Response] | None, then: Callable[[Exchange, Response], Response]
) -> Callable[[Exchange, Response], Response]:
    if first is None:
        return then
    return lambda exchange, response: then(exchange, first(exchange, response))
