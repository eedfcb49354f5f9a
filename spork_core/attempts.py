"""Attempts: one request sent to one endpoint after another, until there is an answer or nothing safe is left to try.

Rules of this file
1. What may have been processed is sent again only when repeating does no harm (RFC 9110 section 9.2.2).
2. The endpoint is picked inside the attempt: another one may go elsewhere.
3. A response that is not the answer has its body discarded, so that its connection is freed.
"""

import asyncio
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any, Final, Protocol

from spork_core.body import BytesBody, StreamBody
from spork_core.clock import Clock
from spork_core.errors import (
    InternalError,
    RequestTimeout,
    UpstreamConnectFailed,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamReset,
    UpstreamTimeout,
)
from spork_core.exchange import Attempt, Endpoint, Exchange, Request, Response
from spork_core.headers import Headers
from spork_core.plan import Plan
from spork_core.upstream.connection import UpstreamConnection
from spork_core.upstream.pool import Pool, TimeLimits
from spork_core.upstream.service import Service, repeatable, request_head

MAX_ATTEMPTS: Final = 10
"""Attempts of one exchange, whatever should_retry says."""


class Client(Protocol):
    """Where the answer goes: a connection, or code that dispatched the request."""

    bytes_sent: int
    """Content bytes written for the current exchange."""
    bytes_received: int
    """Content bytes that came in for it."""
    started: bool
    """True once the head of the answer is written: no other answer is possible."""

    def upstream_lines(self, exchange: Exchange) -> str:
        """The header lines that tell the upstream about the client and the way here."""

    def informational(self, status: int, headers: Headers) -> None:
        """Passes on a 1xx."""

    def respond(self, exchange: Exchange, response: Response) -> Coroutine[Any, Any, None] | None:
        """Writes the whole answer, at the client's pace; None when that is done at once. Raises what reading the body
        raises."""

    async def tunnel(self, exchange: Exchange, response: Response, connection: UpstreamConnection) -> None:
        """Writes the 101 and carries bytes both ways until both ends are done."""

    def abort(self) -> None:
        """Ends the connection without a complete answer, so that nobody can take it for one."""


class Attempts:
    """Runs the attempts of exchanges."""

    __slots__ = ("_clock",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def run(self, exchange: Exchange, plan: Plan, service: Service, client: Client) -> Response:
        """The upstream's answer, whose body may still stream. Raises UpstreamProblem, and what a hook or the request's
        body raises."""
        request = exchange.request
        body = request.body
        if type(body) is StreamBody:
            if body.failed:
                async for _ in body:  # raises what is wrong with it, before anything of it is sent
                    pass
            elif body.complete and not body.pulled and body.trailers is None:
                request.body = BytesBody(body.take())  # small and all here: it can be sent again
        if plan.straight and exchange.upstream_target is None:
            target = request.path if request.query is None else f"{request.path}?{request.query}"
        else:
            target = exchange.upstream_target or plan.target(exchange)
        lines = client.upstream_lines(exchange)
        pipeline = plan.pipeline
        clock = self._clock.monotonic_ns
        limits = plan.limits
        assert limits is not None
        deadline: float | None = None
        if limits.total:
            loop = asyncio.get_running_loop()
            deadline = loop.time() + limits.total
            exchange.timer = loop.call_at(deadline, _total_overdue, exchange)
        tried: list[Endpoint] = []
        number = 0
        while True:
            number += 1
            attempt = Attempt(number, clock())
            attempt.target = target
            exchange.attempts.append(attempt)
            response: Response | None = None
            until, timer = deadline, None
            try:
                phase = pipeline.select_upstream
                if phase is None:
                    pool = service.only or service.pick(tried)
                else:
                    attempt.choices = service.endpoints
                    endpoint = phase(exchange, attempt)
                    if type(endpoint) is CoroutineType:
                        endpoint = await endpoint
                    pool = (service.only or service.pick(tried)) if endpoint is None else _chosen(service, endpoint)
                attempt.endpoint = pool.endpoint
                phase = pipeline.before_attempt
                if phase is not None:
                    answer = phase(exchange, attempt)
                    if type(answer) is CoroutineType:
                        answer = await answer
                    if answer is not None:
                        return as_response(answer)
                if attempt.timeout is not None:
                    loop = asyncio.get_running_loop()
                    ends = loop.time() + attempt.timeout
                    if deadline is None or ends < deadline:
                        until, timer = ends, loop.call_at(ends, _attempt_overdue, attempt)
                body = request.body
                head = request_head(request, target, lines, body, pool.authority)
                connection = pool.take()
                if connection is None:
                    connection = await pool.acquire(limits, until)
                attempt.reused = connection.used
                head_only = request.method == "HEAD"
                attempt.sent = sent = connection.send(
                    head, body, limits, head_only=head_only, informational=client.informational
                )
                await sent
                response = sent.reply
                if response is None:
                    response = await self._again(attempt, pool, limits, until, request, head, client)
                attempt.status = response.status
                if response.status == 101 and not (request.upgrade and plan.upgrade):
                    attempt.sent.connection.abort()
                    raise UpstreamMalformed(reason="101 without an Upgrade in the request")
            except UpstreamProblem as problem:
                response = None
                attempt.error = problem
            finally:
                if timer is not None:
                    timer.cancel()
            attempt.took_ns = clock() - attempt.started_ns
            exchange.response = response
            if pipeline.chain and response is not None:
                response.raw = b""
            phase = pipeline.after_attempt
            if phase is not None:
                done = phase(exchange, attempt)
                if type(done) is CoroutineType:
                    await done
            if attempt.error is None and attempt.status is not None and attempt.status < 500:
                assert response is not None
                return response
            if attempt.endpoint is not None:
                tried.append(attempt.endpoint)
            delay = await self._retry_delay(exchange, plan, service, attempt, tried)
            if delay and deadline is not None and delay >= deadline - asyncio.get_running_loop().time():
                delay = None  # there would be no time left for it: what there is now is the answer
            if delay is None or number >= MAX_ATTEMPTS:
                if attempt.error is not None:
                    raise attempt.error
                assert response is not None
                return response
            if response is not None:
                response.body.discard()
            exchange.response = None
            if delay > 0:
                await asyncio.sleep(delay)
            if deadline is not None and (exchange.timer is None or asyncio.get_running_loop().time() >= deadline):
                raise UpstreamTimeout("The upstream did not answer in time.", reason="total time-out", sent=False)

    async def _again(
        self,
        attempt: Attempt,
        pool: Pool,
        limits: TimeLimits,
        deadline: float | None,
        request: Request,
        head: bytes,
        client: Client,
    ) -> Response:
        """A request that failed is sent once more when it went over a reused connection that the upstream had closed in
        the meantime, on a fresh one, where repeating can do no harm (RFC 9112 section 9.3.1). Else raises its error."""
        connection = attempt.sent.connection
        error = connection.error
        if not isinstance(error, UpstreamReset) or not attempt.reused or connection.answered or not repeatable(request):
            raise error
        connection = await pool.acquire(limits, deadline, fresh=True)
        attempt.reused = connection.used
        attempt.sent = sent = connection.send(
            head, request.body, limits, head_only=request.method == "HEAD", informational=client.informational
        )
        await sent
        if sent.reply is None:
            raise connection.error or UpstreamReset()
        reply: Response = sent.reply
        return reply

    async def _retry_delay(
        self, exchange: Exchange, plan: Plan, service: Service, attempt: Attempt, tried: list[Endpoint]
    ) -> float | None:
        """Seconds to wait before another attempt, None for no other.

        The kernel's own rule: where no connection could be made nothing was sent, so each other endpoint is tried once.
        What a plugin asks for is refused when the request may have been processed and repeating it is not safe.
        """
        request, error = exchange.request, attempt.error
        unsent = isinstance(error, UpstreamProblem) and not error.sent
        body = request.body
        if not body.replayable and not (unsent and type(body) is StreamBody and not body.pulled):
            return None
        missed = isinstance(error, UpstreamConnectFailed | UpstreamTimeout) and unsent
        if missed and len(set(tried)) < len(service.pools):
            return 0.0
        phase = plan.pipeline.should_retry
        if phase is None:
            return None
        delay = phase(exchange, attempt)
        if type(delay) is CoroutineType:
            delay = await delay
        if delay is None or not (unsent or repeatable(request)):
            return None
        return max(0.0, float(delay))


def _chosen(service: Service, endpoint: Endpoint) -> Pool:
    """The pool of the endpoint that a ``select_upstream`` chose. Raises InternalError."""
    pool = service.pool_of(endpoint)
    if pool is None:
        raise InternalError(reason=f"select_upstream chose {endpoint}, which is not of service {service.name}")
    return pool


def _attempt_overdue(attempt: Attempt) -> None:
    """The time of one attempt is used up; while it still connects, the pool's own limit ends it."""
    if attempt.sent is not None:
        attempt.sent.end(UpstreamTimeout("The upstream did not answer in time.", reason="time-out of the attempt"))


def _total_overdue(exchange: Exchange) -> None:
    """The total time-out of the exchange: what it waits for, or streams from, fails."""
    exchange.timer = None
    sent = exchange.attempts[-1].sent if exchange.attempts else None
    if sent is None:
        return
    body = exchange.request.body
    if type(body) is StreamBody and not body.complete:  # the client's fault, and no breaker's business
        sent.end(RequestTimeout("The request's content did not arrive in time.", reason="total time-out"))
    else:
        sent.end(UpstreamTimeout("The upstream did not answer in time.", reason="total time-out"))


def as_response(answer: object) -> Response:
    """The answer of a gate, whose type the pipeline has checked."""
    assert isinstance(answer, Response)
    return answer
