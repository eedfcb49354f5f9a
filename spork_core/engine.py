"""The life of an exchange: hooks in their order, attempts upstream, and one answer, whatever happens.

``route → pre_auth → authenticate → authorize → on_request → serve → attempts { select_upstream → before_attempt → send
→ after_attempt → should_retry } → on_upstream_response → on_response → write → on_complete``; any Problem on the way
goes through ``on_error`` to ``on_response``.

Rules of this file
1. ``run`` never raises but CancelledError: a fault of a plugin, an upstream or this kernel ends one exchange, not the
   process.
2. ``on_complete`` is called exactly once for every exchange that was begun.
3. A response that does not reach the client has its body discarded, so that its connection is freed.
"""

import asyncio
import logging
from types import CoroutineType
from typing import Any, Final

from spork_core.attempts import Attempts, Client, as_response
from spork_core.body import EMPTY, StreamBody
from spork_core.clock import Clock
from spork_core.errors import (
    ClientDisconnected,
    InternalError,
    NotFound,
    PayloadTooLarge,
    Problem,
    Unauthenticated,
)
from spork_core.exchange import Exchange, Outcome, Response
from spork_core.headers import HeaderInjection
from spork_core.plan import Plan
from spork_core.problems import ProblemPages

log = logging.getLogger("spork_core.engine")

_CHALLENGE: Final = "WWW-Authenticate"
_PRE_AUTH, _AUTHENTICATE, _AUTHORIZE, _ON_REQUEST, _SERVE = range(5)
"""The stages of the way in."""


class Engine:
    """Runs exchanges. ``pages`` renders the problems that no plugin does."""

    def __init__(self, pages: ProblemPages, clock: Clock) -> None:
        self._pages = pages
        self._clock = clock
        self.attempts = Attempts(clock).run
        """The answer of a service to the exchange's request; raises UpstreamProblem."""

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

    def complete(
        self, exchange: Exchange, plan: Plan, client: Client, *, whole: bool
    ) -> "CoroutineType[Any, Any, Any] | None":
        """Frees what the exchange holds, sets its outcome and calls ``on_complete``; a coroutine to await, or None."""
        if exchange.timer is not None:
            exchange.timer.cancel()
        response = exchange.response
        if response is not None and not whole:
            response.body.discard()
        if exchange.attempts:
            sent = exchange.attempts[-1].sent
            # Also after a whole answer: a hook may have put its own in the place of one that still streams.
            reply = None if sent is None else sent.reply
            if sent is not None and not (
                whole and reply is not None and (type(reply.body) is not StreamBody or reply.body.complete)
            ):
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
        pipeline.exchanges += 1
        try:
            answer = self._way_in(exchange, plan)
            if type(answer) is CoroutineType:
                answer = await answer
            if answer is not None:
                response = as_response(answer)
            elif plan.service is None:
                raise NotFound("Nothing on this route answers this request.")
            else:
                response = await self.attempts(exchange, plan, plan.service, client)
                phase = pipeline.on_upstream_response
                if phase is not None and exchange.response is response:
                    done = phase(exchange)
                    if type(done) is CoroutineType:
                        await done
                    response = as_response(exchange.response)
            if response.source is None:
                response.source = "plugin"
        except Problem as problem:
            response = await self._refuse(exchange, plan, problem)
        except (Exception, SystemExit) as error:
            response = await self._refuse(exchange, plan, self._unexpected(exchange, error))
        exchange.response = response
        phase = pipeline.on_response
        if phase is None or response.status == 101:
            return response if plan.finish is None else plan.finish(exchange, response)
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
        return final if plan.finish is None else plan.finish(exchange, final)

    def _unexpected(self, exchange: Exchange, error: BaseException) -> Problem:
        if isinstance(error, HeaderInjection):
            log.error("exchange %s: %s", exchange.id, error)
        else:
            log.error("exchange %s: unexpected error", exchange.id, exc_info=error)
        return InternalError("The gateway could not serve this request.", reason=repr(error))

    async def _refuse(self, exchange: Exchange, plan: Plan, problem: Problem) -> Response:
        exchange.error = problem
        challenges = plan.pipeline.challenges
        if isinstance(problem, Unauthenticated) and not any(
            name.lower() == _CHALLENGE.lower() for name, _ in problem.headers
        ):
            problem.headers = (*problem.headers, *((_CHALLENGE, challenge) for challenge in challenges))
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

    def _way_in(self, exchange: Exchange, plan: Plan, stage: int = _PRE_AUTH) -> Any:
        """Runs the hooks of the way in from ``stage`` on. The answer that one of them gave, None when none did, or a
        coroutine that gives one of these: most exchanges never wait here, and a coroutine of their own costs 0.3 µs."""
        pipeline = plan.pipeline
        if stage <= _PRE_AUTH:
            phase = pipeline.pre_auth
            if phase is not None and (answer := phase(exchange)) is not None:
                return self._later(exchange, plan, _PRE_AUTH, answer) if type(answer) is CoroutineType else answer
        if stage <= _AUTHENTICATE:
            if plan.refuse is not None:
                raise plan.refuse(exchange)
            if plan.body_limit is not None:
                _limit_body(exchange, plan.body_limit)
            phase = pipeline.authenticate
            if phase is not None:
                identity = phase(exchange)
                if type(identity) is CoroutineType:
                    return self._later(exchange, plan, _AUTHENTICATE, identity)
                exchange.identity = identity
        if stage <= _AUTHORIZE:
            if plan.identity_required and exchange.identity is None:
                raise Unauthenticated("This request needs credentials.")
            phase = pipeline.authorize
            if phase is not None and (answer := phase(exchange)) is not None:
                return self._later(exchange, plan, _AUTHORIZE, answer) if type(answer) is CoroutineType else answer
        if stage <= _ON_REQUEST:
            phase = pipeline.on_request
            if phase is not None and (answer := phase(exchange)) is not None:
                return self._later(exchange, plan, _ON_REQUEST, answer) if type(answer) is CoroutineType else answer
        if stage <= _SERVE:
            phase = pipeline.serve
            if phase is not None and (answer := phase(exchange)) is not None:
                return self._later(exchange, plan, _SERVE, answer) if type(answer) is CoroutineType else answer
        return None if plan.handler is None else plan.handler(exchange)

    async def _later(self, exchange: Exchange, plan: Plan, stage: int, waited: Any) -> Response | None:
        """What ``_way_in`` gives when a hook of ``stage`` has to be waited for."""
        answer = await waited
        if stage == _AUTHENTICATE:
            exchange.identity = answer
        elif answer is not None:
            return as_response(answer)
        answer = self._way_in(exchange, plan, stage + 1)
        found: Response | None = await answer if type(answer) is CoroutineType else answer
        return found


def _limit_body(exchange: Exchange, limit: int) -> None:
    body = exchange.request.body
    if type(body) is StreamBody:
        if (body.length or body.received) > limit:
            raise PayloadTooLarge(f"The request's content is longer than {limit} bytes.")
        body.limit = limit
    elif body.length is not None and body.length > limit:
        raise PayloadTooLarge(f"The request's content is longer than {limit} bytes.")
