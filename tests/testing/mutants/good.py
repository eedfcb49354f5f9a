"""The plugin that every mutant begins from. It keeps all laws; its text, with one change, is a mutant."""

import asyncio
from typing import Any, ClassVar

from attrs import frozen

from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Seconds, Secret, hookimpl, setting


@frozen
class GoodOnly:
    """Whom it looks at."""

    methods: tuple[str, ...] = setting("Methods of requests that need the greeting; empty means all.", default=())


@frozen
class GoodConfig:
    """What it asks for."""

    greeting: str = setting("What X-Greeting must say, where it is sent.", default="hello")
    wait: Seconds = setting("How long a request may wait for its turn.", default=5.0)
    key: Secret = setting("What proves that the greeting is meant.", default=Secret(""))
    only: GoodOnly = setting("Whom it looks at.", factory=GoodOnly)


class Good(Plugin[GoodConfig]):
    """Refuses wrong greetings, a few at a time, and counts what it has seen."""

    Config: ClassVar[type] = GoodConfig

    def __init__(self, config: GoodConfig, name: str) -> None:
        super().__init__(config, name)
        self._turns = asyncio.Semaphore(8)
        self._seen = 0
        self._started = 0.0

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self._started = gateway.clock.time()
        gateway.log.getChild(self.name).debug("waits at most %g s for a turn", self.config.wait)

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        self._started = 0.0

    @hookimpl
    async def on_request(self, exchange: Exchange) -> None:
        request, config = exchange.request, self.config
        if config.only.methods and request.method not in config.only.methods:
            return
        async with asyncio.timeout(config.wait), self._turns:
            await asyncio.sleep(0)
            if request.headers.get("X-Greeting", config.greeting) != config.greeting:
                raise Forbidden("That is not how to greet a gateway.")

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Good"] = "yes"

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        self._seen += 1

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return {"seen": self._seen, "started": self._started}
