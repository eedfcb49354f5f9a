"""A canary: one endpoint of a service gets a share of the callers, and a caller stays where it is."""

from hashlib import blake2b
from typing import ClassVar

from attrs import frozen
from attrs.validators import ge, le

from spork_core.api import Attempt, Endpoint, Exchange, Plugin, hookimpl, setting


@frozen
class CanaryConfig:
    """Which endpoint, and how much of the traffic."""

    endpoint: str = setting("The endpoint with the new version, as its service names it.")
    share: float = setting("Share of the callers that it gets, from 0 to 1.", default=0.05, validator=[ge(0), le(1)])


class Canary(Plugin[CanaryConfig]):
    """Sends a share of the callers to one endpoint, and the others to the rest in turn."""

    Config: ClassVar[type] = CanaryConfig

    def __init__(self, config: CanaryConfig, name: str) -> None:
        super().__init__(config, name)
        self._turn = 0

    @hookimpl
    def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint | None:
        chosen = self._chosen(exchange) and attempt.number == 1  # what failed there is tried again elsewhere
        among = [each for each in attempt.choices if (each.url == self.config.endpoint) is chosen]
        if not among:
            return None  # the service has no such endpoint, or no other: its own balancing decides
        self._turn += 1
        return among[self._turn % len(among)]

    def _chosen(self, exchange: Exchange) -> bool:
        identity = exchange.identity
        caller = exchange.request.client if identity is None else identity.subject
        # With the instance's name in it, two canaries do not get the same callers.
        drawn = blake2b(f"{self.name} {caller}".encode("utf-8", "surrogateescape"), digest_size=4).digest()
        return int.from_bytes(drawn) < self.config.share * 2**32
