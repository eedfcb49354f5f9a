"""A quota: so many requests of each caller in a period, counted on when a reload changes the config."""

from typing import Any, ClassVar

from attrs import frozen
from attrs.validators import ge

from spork_core.api import Clock, Exchange, GatewayView, Plugin, Rate, TooManyRequests, hookimpl, setting


@frozen
class QuotaConfig:
    """How much is allowed to whom."""

    limit: Rate = setting("Requests of one caller, such as 1000/day.", default=Rate(1000, 86400.0))
    callers: int = setting("So many are told apart; those beyond share one quota.", default=100_000, validator=ge(1))


class Quota(Plugin[QuotaConfig]):
    """Refuses callers with 429 for the rest of the period once they have used up their quota."""

    Config: ClassVar[type] = QuotaConfig
    after: ClassVar[tuple[str, ...]] = ("identity",)

    def __init__(self, config: QuotaConfig, name: str) -> None:
        super().__init__(config, name)
        self._clock = Clock()
        self._ends = 0.0
        self._used: dict[str, int] = {}

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self._clock = gateway.clock

    @hookimpl
    def authorize(self, exchange: Exchange) -> None:
        now, limit = self._clock.time(), self.config.limit
        if now >= self._ends:
            self._ends, self._used = now - now % limit.seconds + limit.seconds, {}
        identity = exchange.identity
        caller = exchange.request.client if identity is None else identity.subject
        if caller not in self._used and len(self._used) >= self.config.callers:
            caller = ""  # memory stays bounded, however many callers there are
        used = self._used[caller] = self._used.get(caller, 0) + 1
        if used > limit.count:
            retry_after = {"Retry-After": f"{self._ends - now:.0f}"}
            raise TooManyRequests(f"The quota of {limit} is used up.", headers=retry_after)

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return {"callers": len(self._used), "requests": sum(self._used.values())}

    def export_state(self) -> object:
        return self.config.limit.seconds, self._ends, self._used

    def import_state(self, state: Any) -> None:
        seconds, ends, used = state
        if seconds == self.config.limit.seconds:  # another period begins anew
            self._ends, self._used = ends, dict(used)
