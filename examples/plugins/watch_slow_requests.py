"""A watch hook: answers are ignored, failures logged. Warns of exchanges that took too long."""

import logging
from typing import ClassVar

from attrs import frozen

from spork_core.api import Exchange, GatewayView, OnFailure, Plugin, Seconds, hookimpl, setting


@frozen
class SlowRequestsConfig:
    """One threshold for all routes; name a second instance for a route that may take longer."""

    over: Seconds = setting("Warn when an exchange took longer.", default=1.0)


class SlowRequests(Plugin[SlowRequestsConfig]):
    """``plugins: {slow-requests: {over: 500ms}}``."""

    Config: ClassVar[type] = SlowRequestsConfig
    on_failure: ClassVar[OnFailure] = "open"
    log = logging.getLogger("spork.slow-requests")

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.log = gateway.log.getChild(self.name)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        outcome, route = exchange.outcome, exchange.route
        assert outcome is not None  # set just before this hook
        if outcome.seconds > self.config.over:
            name = route.name if route else "no route"
            self.log.warning("%s took %.3f s on %s, request %s", name, outcome.seconds, outcome.status, exchange.id)
