"""A map hook: each may replace the response. Tells browsers how long the service and the gateway took."""

from typing import ClassVar

from attrs import frozen

from spork_core.api import Exchange, Plugin, hookimpl, setting


@frozen
class ResponseTimeConfig:
    """Server-Timing shows in the network tab of a browser's developer tools."""

    name: str = setting("What the gateway is called there.", default="gateway")


class ResponseTime(Plugin[ResponseTimeConfig]):
    """``plugins: {response-time: {}}``, first in the chain: on the way out it is then asked last."""

    Config: ClassVar[type] = ResponseTimeConfig

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        # Called for every answer once, refusals too. Change the response, or return another in its place.
        assert exchange.response is not None
        service = sum(attempt.took_ns for attempt in exchange.attempts)
        own = exchange.elapsed_ns - service
        timing = f"service;dur={service / 1e6:.1f}, {self.config.name};dur={own / 1e6:.1f}"
        exchange.response.headers.add("Server-Timing", timing)
