"""What one service's retries came to: its budget and its counts."""

from collections.abc import Mapping

from attrs import frozen

from spork_retry.budget import Budget
from spork_retry.config import BudgetConfig

_NO_LIMIT = BudgetConfig(minimum=1 << 62)


@frozen
class Totals:
    """What is handed over to the instance of the next config. ``reasons``: what was tried again → how often."""

    reasons: Mapping[str, int]
    succeeded: int
    exhausted: int


class ServiceRetries(Budget):
    """The retries of one service. ``config``: None for a budget that never ends."""

    __slots__ = ("_unlimited", "reasons", "succeeded")

    def __init__(self, config: BudgetConfig | None) -> None:
        budget = config or _NO_LIMIT
        super().__init__(budget.ratio, budget.minimum, budget.window)
        self._unlimited = config is None
        self.reasons: dict[str, int] = {}
        """What was tried again → how often."""
        self.succeeded = 0
        """Retries that brought an answer below 500."""

    def grant(self, now: int, reason: str) -> bool:
        """``take`` for ``reason``, which is counted when it goes."""
        if not self.take(now):
            return False
        self.reasons[reason] = self.reasons.get(reason, 0) + 1
        return True

    def totals(self) -> Totals:
        """What has been counted so far."""
        return Totals(dict(self.reasons), self.succeeded, self.exhausted)

    def resume(self, totals: Totals) -> None:
        """Counts on from there; the window begins anew, by rules that may be others now."""
        self.reasons = dict(totals.reasons)
        self.succeeded, self.exhausted = totals.succeeded, totals.exhausted

    def told(self, now: int) -> dict[str, object]:
        """For operators, as JSON."""
        requests, retries = self.counts(now)
        return {
            "retries": self.reasons,
            "succeeded": self.succeeded,
            "running": self.running,
            "budget": None
            if self._unlimited
            else {"requests": requests, "retries": retries, "exhausted": self.exhausted},
        }
