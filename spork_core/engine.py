"""The life of an exchange: hooks in their order, attempts upstream, and one answer, whatever happens.

``route → pre_auth → authenticate → authorize → on_request → serve → attempts { select_upstream → before_attempt → send →
after_attempt → should_retry } → on_upstream_response → on_response → write → on_complete``; any Problem on the way goes
through ``on_error`` to ``on_response``.

Rules of this file
1. ``run`` never raises but CancelledError: a fault of a plugin, an upstream or this kernel ends one exchange, not the process.
2. ``on_complete`` is called exactly once for every exchange that was begun.
3. A response that does not reach the client has its body discarded, so that its connection is freed.
"""

import asyncio
import logging
from collections.abc import Coroutine
from types import CoroutineType
from typing import Any, Final, Protocol

from spork_core.body import EMPTY, BytesBody, StreamBody
from spork_core.clock import Clock
from spork_core.errors import (
    ClientDisconnected,
    InternalError,
    NotFound,
    PayloadTooLarge,
    Problem,
    Unauthenticated,
    UpstreamConnectFailed,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamReset,
    UpstreamTimeout,
)
from spork_core.exchange import Attempt, Endpoint, Exchange, Outcome, Request, Response
from spork_core.headers import HeaderInjection, Headers
from spork_core.pipeline import Phase
from spork_core.plan import Plan
from spork_core.problems import ProblemPages
from spork_core.upstream.connection import UpstreamConnection
from spork_core.upstream.pool import Pool, TimeLimits
from spork_core.upstream.service import Service, repeatable, request_head

log = logging.getLogger("spork_core.engine")

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


class Engine:
    """Runs exchanges. ``pages`` renders the problems that no plugin does."""

    def __init__(self, pages: ProblemPages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock

    async def run(self, exchange: Exchange, plan: Plan, client: Client) -> None:
        """One exchange from its request to its last byte or its abort."""
        complete = False
        try:
            if plan.plain and plan.service is not None:
                try:
                    response = await self.attempts(exchange, plan, plan.service, client)
                except Problem as problem:
                    response = exchange.response = await self._refuse(exchange, plan, problem)
                except (Exception, SystemExit) as error:
                    fault = self._unexpected(exchange, error)
                    response = exchange.response = await self._refuse(exchange, plan, fault)
            else:
                response = await self.produce(exchange, plan, client)
            if response.status == 101 and exchange.attempts:
                await client.tunnel(exchange, response, exchange.attempts[-1].sent.connection)
            else:
                pending = client.respond(exchange, response)
                if pending is not None:
                    await pending
            complete = True
        except asyncio.CancelledError:
            if exchange.error is None:
                exchange.error = ClientDisconnected(reason="the client closed the connection")
            client.abort()
            raise
        except Problem as problem:  # the body broke off; the head is out, so breaking off is all that is left
            exchange.error = problem
            client.abort()
        except Exception as error:
            log.exception("exchange %s: unexpected error while answering", exchange.id)
            exchange.error = InternalError(reason=repr(error))
            client.abort()
        finally:
            done = self.complete(exchange, plan, client, whole=complete)
            if done is not None:
                await done

    def complete(self, exchange: Exchange, plan: Plan, client: Client, *, whole: bool) -> "CoroutineType[Any, Any, Any] | None":
        """Frees what the exchange holds, sets its outcome and calls ``on_complete``; a coroutine to await, or None."""
        if exchange.timer is not None:
            exchange.timer.cancel()
        response = exchange.response
        if response is not None and not whole:
            response.body.discard()
        if exchange.attempts:
            sent = exchange.attempts[-1].sent
            # Also after a whole answer: a hook may have put its own in the place of one that still streams.
            if sent is not None and not (whole and sent.reply is not None and sent.reply.complete):
                sent.end(ClientDisconnected(reason="the exchange was abandoned"))
        body = exchange.request.body
        if body is not EMPTY:
            body.discard()
        phase = plan.pipeline.on_complete
        if phase is None:
            return None
        if response is not None and client.started:
            status, source = response.status, response.source or "gateway"
        else:
            problem = exchange.error or ClientDisconnected()
            status, source = problem.status, problem.source
        exchange.outcome = Outcome(
            status,
            source,
            whole,
            client.bytes_received,
            client.bytes_sent,
            self._clock.monotonic_ns() - exchange.started_ns,
        )
        done = phase(exchange)
        return done if type(done) is CoroutineType else None

    async def produce(self, exchange: Exchange, plan: Plan, client: Client) -> Response:
        """The answer, after ``on_response``. Raises nothing but CancelledError."""
        pipeline = plan.pipeline
        try:
            response = await self._answer(exchange, plan, client)
            if response.source is None:
                response.source = "plugin"
        except Problem as problem:
            response = await self._refuse(exchange, plan, problem)
        except (Exception, SystemExit) as error:
            response = await self._refuse(exchange, plan, self._unexpected(exchange, error))
        exchange.response = response
        phase = pipeline.on_response
        if phase is None or response.status == 101:
            return response
        try:
            done = phase(exchange)
            if type(done) is CoroutineType:
                await done
        except Problem as problem:
            exchange.error = problem
            assert exchange.response is not None
            exchange.response.body.discard()
            exchange.response = self._pages.response(exchange, problem)
            try:  # the page is an answer too: it gets the headers that every answer must carry
                done = phase(exchange)
                if type(done) is CoroutineType:
                    await done
            except Problem:
                log.debug("exchange %s: on_response failed on the error page as well", exchange.id)
        final = exchange.response
        if final.source is None:
            final.source = "plugin"
        return final

    def _unexpected(self, exchange: Exchange, error: BaseException) -> Problem:
        if isinstance(error, HeaderInjection):
            log.error("exchange %s: %s", exchange.id, error)
        else:
            log.error("exchange %s: unexpected error", exchange.id, exc_info=error)
        return InternalError("The gateway could not serve this request.", reason=repr(error))

    async def _refuse(self, exchange: Exchange, plan: Plan, problem: Problem) -> Response:
        exchange.error = problem
        if isinstance(problem, Unauthenticated) and plan.pipeline.challenges:
            if not any(name.lower() == "www-authenticate" for name, _ in problem.headers):
                challenges = [("WWW-Authenticate", challenge) for challenge in plan.pipeline.challenges]
                problem.headers = (*problem.headers, *challenges)
        phase = plan.pipeline.on_error
        if phase is not None:
            try:
                response = phase(exchange, problem)
                if type(response) is CoroutineType:
                    response = await response
            except Problem as another:
                exchange.error = problem = another
            else:
                if response is not None:
                    if response.source is None:
                        response.source = problem.source
                    answer: Response = response
                    return answer
        return self._pages.response(exchange, problem)

    async def _answer(self, exchange: Exchange, plan: Plan, client: Client) -> Response:
        pipeline = plan.pipeline
        phase = pipeline.pre_auth
        if phase is not None:
            answer = phase(exchange)
            if type(answer) is CoroutineType:
                answer = await answer
            if answer is not None:
                return _as_response(answer)
        if plan.refuse is not None:
            raise plan.refuse(exchange)
        if plan.body_limit is not None:
            _limit_body(exchange, plan.body_limit)
        phase = pipeline.authenticate
        if phase is not None:
            identity = phase(exchange)
            if type(identity) is CoroutineType:
                identity = await identity
            exchange.identity = identity
        if plan.identity_required and exchange.identity is None:
            raise Unauthenticated("This request needs credentials.")
        for phase in (pipeline.authorize, pipeline.on_request, pipeline.serve):
            if phase is not None:
                answer = phase(exchange)
                if type(answer) is CoroutineType:
                    answer = await answer
                if answer is not None:
                    return _as_response(answer)
        if plan.handler is not None:
            answer = plan.handler(exchange)
            if type(answer) is CoroutineType:
                answer = await answer
            return _as_response(answer)
        if plan.service is None:
            raise NotFound("Nothing on this route answers this request.")
        response = await self.attempts(exchange, plan, plan.service, client)
        phase = pipeline.on_upstream_response
        if phase is not None and exchange.response is response:
            done = phase(exchange)
            if type(done) is CoroutineType:
                await done
            response = exchange.response
        return response

    # -- attempts -----------------------------------------------------------------------------------

    async def attempts(self, exchange: Exchange, plan: Plan, service: Service, client: Client) -> Response:
        request = exchange.request
        body = request.body
        if type(body) is StreamBody:
            if body.failed:
                async for _ in body:  # raises what is wrong with it, before anything of it is sent
                    pass
            elif body.complete and not body.pulled and body.trailers is None:
                request.body = BytesBody(body.take())  # small and all here: it can be sent again
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
            exchange.attempts.append(attempt)
            response: Response | None = None
            try:
                pool = (
                    service.only or service.pick(tried)
                    if pipeline.select_upstream is None
                    else await self._select(exchange, pipeline.select_upstream, service, attempt, tried)
                )
                attempt.endpoint = pool.endpoint
                phase = pipeline.before_attempt
                if phase is not None:
                    answer = phase(exchange, attempt)
                    if type(answer) is CoroutineType:
                        answer = await answer
                    if answer is not None:
                        return _as_response(answer)
                body = request.body
                head = request_head(request, target, lines, body, pool.authority)
                connection = pool.take()
                if connection is None:
                    connection = await pool.acquire(limits, deadline)
                attempt.reused = connection.used
                head_only = request.method == "HEAD"
                attempt.sent = sent = connection.send(
                    head, body, limits, head_only=head_only, informational=client.informational
                )
                await sent
                response = sent.reply
                if response is None:
                    response = await self._again(attempt, pool, limits, deadline, request, head, client)
                attempt.status = response.status
                if response.status == 101 and not (request.upgrade and plan.upgrade):
                    attempt.sent.connection.abort()
                    raise UpstreamMalformed(reason="101 without an Upgrade in the request")
            except UpstreamProblem as problem:
                response = None
                attempt.error = problem
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
            if delay is None or number >= MAX_ATTEMPTS:
                if attempt.error is not None:
                    raise attempt.error
                assert response is not None
                return response
            if response is not None:
                response.body.discard()
            exchange.response = None
            if deadline is not None:
                delay = min(delay, deadline - asyncio.get_running_loop().time())
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

    async def _select(
        self, exchange: Exchange, phase: Phase, service: Service, attempt: Attempt, tried: list[Endpoint]
    ) -> Pool:
        endpoint = phase(exchange, attempt)
        if type(endpoint) is CoroutineType:
            endpoint = await endpoint
        if endpoint is None:
            return service.pick(tried)
        pool = service.pool_of(endpoint)
        if pool is None:
            raise InternalError(reason=f"select_upstream chose {endpoint}, which is not of service {service.name}")
        return pool

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


def _total_overdue(exchange: Exchange) -> None:
    """The total time-out of the exchange: what it waits for, or streams from, fails."""
    exchange.timer = None
    sent = exchange.attempts[-1].sent if exchange.attempts else None
    if sent is not None:
        sent.end(UpstreamTimeout("The upstream did not answer in time.", reason="total time-out"))


def _as_response(answer: object) -> Response:
    assert isinstance(answer, Response)
    return answer


def _limit_body(exchange: Exchange, limit: int) -> None:
    body = exchange.request.body
    if type(body) is StreamBody:
        if (body.length or body.received) > limit:
            raise PayloadTooLarge(f"The request's content is longer than {limit} bytes.")
        body.limit = limit
    elif body.length is not None and body.length > limit:
        raise PayloadTooLarge(f"The request's content is longer than {limit} bytes.")
