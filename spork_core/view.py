"""The gateway as a plugin sees it."""

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from spork_core.clock import Chance, Clock
from spork_core.collecting import collected
from spork_core.dispatch import Dispatcher
from spork_core.exchange import Exchange, Request, Response
from spork_core.metrics import Metric
from spork_core.plugin import GatewayView, Resources

if TYPE_CHECKING:
    from spork_core.gateway import Gateway


class View(GatewayView):
    """The gateway as the plugins of one snapshot see it."""

    def __init__(self, gateway: "Gateway", resources: Resources) -> None:
        self._gateway = gateway
        self._resources = resources
        self._log = logging.getLogger("spork_core.plugin")

    @property
    def resources(self) -> Resources:
        return self._resources

    @property
    def clock(self) -> Clock:
        return self._gateway.clock

    @property
    def chance(self) -> Chance:
        return self._gateway.chance

    @property
    def log(self) -> logging.Logger:
        return self._log

    @property
    def slot(self) -> int | None:
        return self._gateway.slot

    def collect(self) -> Iterable[Metric]:
        return collected(self._gateway, self)

    def event(self, kind: str, message: str, **facts: Any) -> None:
        self._gateway.events.add(kind, message, **facts)

    async def send(self, service: str, request: Request) -> Response:
        return await self._dispatcher().send(service, request)

    async def dispatch(self, request: Request) -> Response:
        return await self._dispatcher().dispatch(request)

    async def repeat(self, exchange: Exchange, request: Request) -> Response:
        return await self._dispatcher().repeat(exchange, request)

    def _dispatcher(self) -> Dispatcher:
        # An instance that outlives a reload goes on with what is current then.
        return Dispatcher(self._gateway.snapshot, self._gateway.clock, self._gateway.chance)
