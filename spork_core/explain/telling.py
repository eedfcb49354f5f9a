"""Makes the explanation of a real exchange, when its answer is ready, and answers with it instead."""

import logging

from spork_core.clock import Clock, HttpDate
from spork_core.errors import InternalError, Problem, UpstreamMalformed
from spork_core.events import Events
from spork_core.exchange import Attempt, Exchange, Response
from spork_core.explain import facts
from spork_core.explain.account import account
from spork_core.explain.model import (
    FORMAT,
    AnswerFact,
    Asked,
    AttemptFact,
    CandidateFact,
    EventFact,
    Explanation,
    IsolatedFact,
    Times,
    Upstream,
)
from spork_core.explain.redaction import Hider, shown_headers
from spork_core.explain.tokens import HEADER, Token
from spork_core.explain.trace import Trace
from spork_core.headers import HeaderInjection, Headers
from spork_core.plan import Plan
from spork_core.server.output import NO_CONTENT, response_head
from spork_core.snapshot import Snapshot

log = logging.getLogger("spork_core.explain")


class Telling:
    """One exchange that is explained. ``plan``: the route's own. ``asked``: the request before any hook. ``token``:
    what it brought."""

    def __init__(
        self,
        snapshot: Snapshot,
        plan: Plan,
        asked: Asked,
        candidates: tuple[CandidateFact, ...],
        token: Token,
        hider: Hider,
        clock: Clock,
        events: Events,
    ) -> None:
        self.rewritten: str | None = None
        """The target that the route's rewrite came to; None: it was not asked."""
        self._snapshot = snapshot
        self._plan = plan
        self._asked = asked
        self._candidates = candidates
        self._token = token
        self._hider = hider
        self._clock = clock
        self._events = events
        self._event_count = events.count
        chain = plan.pipeline.chain
        self._isolated = tuple(
            IsolatedFact(one.name, one.isolation.state, one.isolation.why)
            for one in chain
            if one.isolation.effect is not None
        )
        self._expected = facts.steps(plan.pipeline, facts.hooks_of(plan), snapshot.config, plan.config)
        self.trace = Trace(self._expected, chain)

    def finish(self, exchange: Exchange, response: Response) -> Response:
        """The explanation, in place of ``response``, whose content is discarded."""
        try:
            answer, response = self._answer(exchange, response)
            text = self._hider.hide(self._explanation(exchange, response, answer)).as_json()
        except Exception:  # a plugin may have put anything anywhere
            log.exception("exchange %s cannot be explained", exchange.id)
            problem = InternalError("The exchange ran, and the gateway could not explain it; its log says why.")
            told = self._snapshot.pages.response(exchange, problem)
        else:
            told = Response(
                200,
                text.encode(),
                {"Content-Type": "application/json", "Cache-Control": "no-store", HEADER: str(FORMAT)},
            )
            told.source = "gateway"
            log.info("exchange %s was explained, asked by token %s", exchange.id, self._token.nonce)
        response.body.discard()
        exchange.response = told
        return told

    def _answer(self, exchange: Exchange, response: Response) -> tuple[AnswerFact, Response]:
        """What the client would have got: the head as the connection writes it; and the response it is of."""
        version, date = exchange.request.version, HttpDate(self._clock)
        method, via = exchange.request.method, self._snapshot.config.forwarded.via
        try:
            head = response_head(response, method, version, close=False, date=date, via=via)
        except HeaderInjection as error:
            problem: Problem
            if response.source == "upstream":
                problem = UpstreamMalformed("The upstream's answer is malformed.", reason=str(error))
            else:
                problem = InternalError(reason=str(error))
            exchange.error = problem
            response.body.discard()
            response = self._snapshot.pages.response(exchange, problem)
            head = response_head(response, method, version, close=False, date=date, via=via)
        _, *lines = head[:-4].decode("utf-8", "surrogateescape").split("\r\n")
        headers = Headers((name, value) for name, _, value in (line.partition(": ") for line in lines))
        length = 0 if response.status in NO_CONTENT else response.body.length
        source = response.source or "gateway"
        return AnswerFact(response.status, response.reason, source, shown_headers(headers), length), response

    def _explanation(self, exchange: Exchange, response: Response, answer: AnswerFact) -> Explanation:
        config, plan, made = self._snapshot.config, self._plan, self.trace.steps
        error, who = exchange.error, exchange.identity
        subject, scheme = (None, None) if who is None else (str(who.subject), str(who.scheme))
        forgiven = {one.name for one in plan.pipeline.chain if one.on_failure == "open"}
        attempts = tuple(map(_attempt, exchange.attempts))
        return Explanation(
            format=FORMAT,
            live=True,
            id=exchange.id,
            asked=self._asked,
            route=plan.info.name if plan.info is not None else None,
            candidates=self._candidates,
            steps=account(self._expected, made, exchange, forgiven),
            left_out=facts.left_out(config, plan),
            identity=facts.identity(plan, subject, scheme) if plan.refuse is None else None,
            upstream=self._upstream(exchange),
            answers=self._answers(exchange, answer.source),
            refused=None if error is None else facts.refused(error, reason=error.reason or None),
            body_limit=plan.body_limit,
            upgrade=None,
            attempts=attempts,
            answer=answer,
            times=Times(
                exchange.elapsed_ns / 1e9,
                sum((step.own or 0.0 for step in made), 0.0),
                sum((step.waiting or 0.0 for step in made), 0.0),
                sum((attempt.took for attempt in attempts), 0.0),
            ),
            isolated=self._isolated,
            events=self._events_since(),
        )

    def _upstream(self, exchange: Exchange) -> Upstream | None:
        """What was sent, if anything was."""
        sent = [attempt for attempt in exchange.attempts if attempt.sent is not None or attempt.error is not None]
        if not sent:
            return None
        first, plan = sent[0].endpoint, self._plan
        pool = plan.service.pool_of(first) if plan.service is not None and first is not None else None
        host = exchange.request.headers.get("Host") or (pool.authority if pool is not None else "")
        rewritten = self.rewritten
        target = exchange.upstream_target or rewritten or exchange.request.target
        return facts.upstream(self._snapshot.config, plan, target, host, first, rewritten=rewritten is not None)

    def _answers(self, exchange: Exchange, source: str) -> str:
        """Who answered; "" when it was the service."""
        if source == "upstream" and exchange.error is None:
            return ""
        for step in reversed(self.trace.steps):
            if step.decision is not None and step.decision.status is not None:
                return f"{step.instance} ({step.hook})"
        if self._plan.handler is not None and exchange.error is None:
            return self._plan.info.name if self._plan.info is not None else "the gateway itself"
        return "the gateway itself"

    def _events_since(self) -> tuple[EventFact, ...]:
        new = self._events.count - self._event_count
        kept = tuple(self._events)[-new:] if new else ()
        return tuple(EventFact(event.kind, event.message, event.time) for event in kept)


def _attempt(attempt: Attempt) -> AttemptFact:
    error, endpoint = attempt.error, attempt.endpoint
    return AttemptFact(
        attempt.number,
        None if endpoint is None else endpoint.url,
        attempt.reused,
        attempt.status,
        None if error is None else error.code,
        None if error is None else error.reason or None,
        attempt.took_ns / 1e9,
    )
