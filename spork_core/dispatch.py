"""Exchanges that plugins begin: a request to a service, or a whole exchange through the gateway's own routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from spork_core.body import EMPTY, Body, BytesBody, IteratorBody
from spork_core.clock import Chance, Clock
from spork_core.errors import ClientDisconnected, NotFound, Problem, SporkError
from spork_core.exchange import Exchange, Request, Response
from spork_core.forwarded import Forwarding
from spork_core.headers import Headers
from spork_core.plan import Plan

if TYPE_CHECKING:
    from spork_core.snapshot import Snapshot
    from spork_core.upstream.connection import UpstreamConnection


class InnerClient:
    """The engine's client where no connection is: the answer goes to the code that asked."""

    def __init__(self, via: str, lines: str = "") -> None:
        """``lines``: what the upstream is told of a client on whose behalf it is asked."""
        self.bytes_sent = 0
        self.bytes_received = 0
        self.started = False
        self._lines = f"{lines}Via: 1.1 {via}\r\n"

    def upstream_lines(self, exchange: Exchange) -> str:
        """The way here, and the client where there is one to speak of."""
        return self._lines

    def informational(self, status: int, headers: Headers) -> None:
        """Nobody waits for a 1xx."""

    def respond(self, exchange: Exchange, response: Response) -> Coroutine[Any, Any, None] | None:
        """Not called: ``Dispatcher`` hands the response over itself."""
        raise SporkError("an inner exchange has no connection")

    async def tunnel(self, exchange: Exchange, response: Response, connection: "UpstreamConnection") -> None:
        """Not called: inner requests do not upgrade."""
        raise SporkError("an inner exchange has no connection")

    def abort(self) -> None:
        """Nothing to end."""


class Dispatcher:
    """Runs inner exchanges on one snapshot."""

    def __init__(self, snapshot: "Snapshot", clock: Clock, chance: Chance) -> None:
        self._snapshot = snapshot
        self._clock = clock
        self._chance = chance

    async def send(self, service: str, request: Request) -> Response:
        """One request to a service, without any chain. Raises KeyError for an unknown service, and UpstreamProblem."""
        found = self._snapshot.services[service]
        plan = Plan(service=found, limits=found.limits, upgrade=False)
        exchange = Exchange(request, self._clock, self._chance)
        client = InnerClient(self._snapshot.config.forwarded.via)
        answering = self._snapshot.engine.attempts(exchange, plan, found, client)
        return await self._run(exchange, plan, client, answering)

    async def dispatch(self, request: Request) -> Response:
        """A whole exchange; ``on_complete`` fires when the response's body has been read or discarded."""
        if request.host and "Host" not in request.headers:
            request.headers["Host"] = request.host
        exchange = Exchange(request, self._clock, self._chance)
        client = InnerClient(self._snapshot.config.forwarded.via)
        plan = self._snapshot.plan(exchange, request.target, None)
        return await self._run(exchange, plan, client, self._snapshot.engine.produce(exchange, plan, client))

    async def repeat(self, first: Exchange, request: Request) -> Response:
        """``request`` to the service of the route of ``first``, as a part of an exchange of its own. Raises
        UpstreamProblem, and NotFound when the route has no service any more."""
        plan = None if first.route is None else self._snapshot.plans.get(first.route.name)
        if plan is None or plan.service is None:
            raise NotFound(reason="the route of the exchange has no service")
        exchange = Exchange(request, self._clock, self._chance)
        exchange.route, exchange.captures, exchange.rest = plan.info, first.captures, first.rest
        exchange.identity, exchange.upstream_target = first.identity, first.upstream_target
        forwarded = self._snapshot.config.forwarded
        rule = Forwarding(x_forwarded=forwarded.x_forwarded, forwarded=forwarded.forwarded)
        asking = first.request
        lines = rule.lines(asking.client, asking.client, asking.scheme, asking.host)
        client = InnerClient(forwarded.via, lines)
        return await self._run(exchange, plan, client, self._repeated(exchange, plan, client))

    async def _repeated(self, exchange: Exchange, plan: Plan, client: InnerClient) -> Response:
        assert plan.service is not None
        response = await self._snapshot.engine.attempts(exchange, plan, plan.service, client)
        phase = plan.pipeline.on_upstream_response
        if phase is not None and exchange.response is response:
            done = phase(exchange)
            if isinstance(done, Coroutine):
                await done
        answer = response if exchange.response is None else exchange.response
        exchange.response = answer
        return answer

    async def _run(
        self, exchange: Exchange, plan: Plan, client: InnerClient, answering: Coroutine[Any, Any, Response]
    ) -> Response:
        """Waits for the answer. The exchange is over, and the snapshot may go, when its body is."""
        snapshot = self._snapshot
        snapshot.running += 1

        async def finish(error: BaseException | None) -> None:
            try:
                if isinstance(error, Problem):
                    exchange.error = error
                elif error is not None and exchange.error is None:
                    exchange.error = ClientDisconnected(reason="nobody reads the answer any more")
                done = snapshot.engine.complete(exchange, plan, client, whole=error is None)
                if done is not None:
                    await done
            finally:
                snapshot.running -= 1
                snapshot.check_drained()

        try:
            response = await answering
        except BaseException as error:
            await finish(error)
            raise
        client.started = True
        inner = response.body
        if inner is EMPTY or type(inner) is BytesBody:
            client.bytes_sent = inner.length or 0
            await finish(None)
        else:
            response.body = _Observed(inner, client, finish)
        return response


class _Observed(IteratorBody):
    """A response's body that tells when it is over, and with which error."""

    __slots__ = ("_client", "_ending", "_finish", "_over")

    def __init__(
        self,
        inner: Body,
        client: InnerClient,
        finish: Callable[[BaseException | None], Coroutine[Any, Any, None]],
    ) -> None:
        super().__init__(self._chunks_of(inner), length=inner.length, inner=inner)
        self._client = client
        self._finish = finish
        self._over = False

    async def _chunks_of(self, inner: Body) -> AsyncIterator[bytes]:
        try:
            async for chunk in inner:
                self._client.bytes_sent += len(chunk)
                yield chunk
        except BaseException as error:
            await self._end(error)
            raise
        self.trailers = inner.trailers
        await self._end(None)

    async def _end(self, error: BaseException | None) -> None:
        if not self._over:
            self._over = True
            await self._finish(error)

    def discard(self) -> None:
        super().discard()
        if not self._over:
            self._over = True
            gone = ClientDisconnected(reason="the answer was discarded")
            self._ending = asyncio.get_running_loop().create_task(self._finish(gone))
