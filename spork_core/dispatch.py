"""Exchanges that plugins begin: a request to a service, or a whole exchange through the gateway's own routes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import TYPE_CHECKING, Any

from spork_core.body import EMPTY, Body, BytesBody, IteratorBody
from spork_core.clock import Chance, Clock
from spork_core.errors import ClientDisconnected, Problem, SporkError
from spork_core.exchange import Exchange, Request, Response
from spork_core.headers import Headers
from spork_core.plan import Plan

if TYPE_CHECKING:
    from spork_core.snapshot import Snapshot
    from spork_core.upstream.connection import UpstreamConnection


class InnerClient:
    """The engine's client where no connection is: the answer goes to the code that asked."""

    def __init__(self, via: str) -> None:
        self.bytes_sent = 0
        self.bytes_received = 0
        self.started = False
        self._via = via

    def upstream_lines(self, exchange: Exchange) -> str:
        """Only the way here: there is no client to speak of."""
        return f"Via: 1.1 {self._via}\r\n"

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
