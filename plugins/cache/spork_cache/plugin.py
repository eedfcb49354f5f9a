"""The plugin: its hooks, each a few lines that say which part does the work."""

from collections.abc import Coroutine, Iterable
from typing import Any, ClassVar

from spork_cache import rules
from spork_cache.admin import Admin
from spork_cache.asking import Ask, Refetch
from spork_cache.config import CacheConfig
from spork_cache.core import Core
from spork_cache.filling import Filling
from spork_cache.numbers import metrics
from spork_cache.refreshing import Refreshing
from spork_cache.serving import Serving
from spork_core.api import (
    CACHE_STATUS,
    EMPTY,
    BodyUse,
    Exchange,
    GatewayView,
    LocalRoute,
    Metric,
    Plugin,
    Problem,
    Response,
    hookimpl,
)


class Cache(Plugin[CacheConfig]):
    """A shared HTTP cache (RFC 9111) between the chain and the upstream."""

    Config: ClassVar[type] = CacheConfig
    response_body: ClassVar[BodyUse] = "change"
    defers: ClassVar[tuple[str, ...]] = ("serve",)
    after: ClassVar[tuple[str, ...]] = ("identity",)

    def __init__(self, config: CacheConfig, name: str) -> None:
        super().__init__(config, name)
        self._core = Core(config, name)
        self._serving = Serving(self._core, Refreshing(self._core))
        self._filling = Filling(self._core)
        self._admin = Admin(self._core)
        self._ask = self._core.ask
        self._numbers = self._core.numbers
        self._slot = self._core.memory.get
        self._key = self._serving.key
        self._plain = rules.plain
        self._send_status = config.status
        # Where a field of its own says who asks, only what is for everybody is answered without a closer look;
        # ``plain`` looks at Authorization anyway.
        self._anybody = {name.lower() for name in config.identified_by} <= {"authorization"}

    # -- the way in ---------------------------------------------------------------------------------

    @hookimpl
    def serve(self, exchange: Exchange) -> Response | Coroutine[Any, Any, Response | None] | None:
        key = self._key(exchange)
        slot = self._slot(key)
        request = exchange.request
        if slot is not None and request.method == "GET" and self._plain(request.headers):
            entry = slot.only or slot.find(request.headers)
            if entry is not None and request.body is EMPTY and request.upgrade is None:
                now, stored = self._core.now(), entry.stored
                if now < stored.fresh_until and (stored.shareable or (self._anybody and exchange.identity is None)):
                    entry.visited = True
                    self._numbers.hit += 1
                    exchange[CACHE_STATUS] = "hit"
                    return entry.answer(now)
        return self._serving.consider(exchange, key, slot)

    # -- the way back -------------------------------------------------------------------------------

    @hookimpl
    def on_upstream_response(self, exchange: Exchange) -> Response | None:
        ask = exchange.get(self._ask)
        if ask is None:
            request = exchange.request
            if type(request) is not Refetch or request.owner is not self._ask:
                return None
            ask = request.ask
        return self._filling.answered(exchange, ask)

    @hookimpl
    def on_error(self, exchange: Exchange, error: Problem) -> Response | None:
        ask = exchange.get(self._ask)
        return None if ask is None else self._filling.failed(ask, error)

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        ask = exchange.get(self._ask)
        if ask is not None:
            self._finish(exchange, ask)

    def _finish(self, exchange: Exchange, ask: Ask) -> None:
        """Says what became of an exchange that was no plain hit."""
        exchange[CACHE_STATUS] = ask.fwd or "hit"
        if ask.flight is not None:  # the answer was made elsewhere: nobody else gets it
            ask.flight.drop()
            ask.flight = None
        response = exchange.response
        if not ask.answered and self._send_status and response is not None:
            ask.answered = True
            rules.append(response.headers, self._filling.item(ask))

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        ask = exchange.get(self._ask)
        if ask is not None:
            self._filling.left(ask)

    # -- the gateway --------------------------------------------------------------------------------

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._core.start(gateway)

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        await self._core.stop()

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return self._admin.stats()

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterable[Metric]:
        return metrics(self._core)

    @hookimpl
    def local_routes(self, gateway: GatewayView) -> Iterable[LocalRoute]:
        return self._admin.routes()
