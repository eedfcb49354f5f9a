"""A gate hook: until the first Response. Answers 503 for everybody but a few addresses while work is going on."""

from typing import ClassVar

from attrs import frozen

from spork_core.api import Exchange, Plugin, Response, Seconds, hookimpl, setting


@frozen
class MaintenanceConfig:
    """Switch it on and off with the instance's ``enabled``."""

    message: str = setting("What clients read.", default="Back soon: we are improving something.")
    retry_after: Seconds = setting("When clients may try again.", default=120.0)
    allow: tuple[str, ...] = setting("Client addresses that pass.", default=())


class Maintenance(Plugin[MaintenanceConfig]):
    """``plugins: {maintenance: {allow: [192.0.2.7]}}``, first in the chain."""

    Config: ClassVar[type] = MaintenanceConfig

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> Response | None:
        # None lets the request pass. A Response ends the way in: no later gate, no service.
        if exchange.request.client in self.config.allow:
            return None
        return Response(503, self.config.message, {"Retry-After": f"{self.config.retry_after:.0f}"})
