"""What an instance has decided so far, for metrics and for operators."""

from collections.abc import Collection

from spork_core.api import Metric
from spork_rate_limit.memory import Counters


class Tally:
    """Plain numbers, which only go up."""

    __slots__ = ("allowed", "excused", "limited", "store_errors", "uncounted")

    def __init__(self) -> None:
        self.allowed = 0
        """Requests that were within their limit."""
        self.limited = 0
        """Requests that were refused."""
        self.excused = 0
        """Requests of a dry run that would have been refused."""
        self.uncounted = 0
        """Requests that were let through while the store was down."""
        self.store_errors = 0
        """Counts that the store did not do."""

    def decisions(self) -> dict[str, int]:
        """Requests by what was decided."""
        return {
            "allowed": self.allowed,
            "limited": self.limited,
            "excused": self.excused,
            "uncounted": self.uncounted,
        }

    def metrics(self, instance: str, counters: Collection[Counters]) -> list[Metric]:
        """All there is to count about ``instance``, which counts in ``counters``."""
        one = (instance,)
        return [
            Metric(
                "rate_limit_requests",
                "counter",
                "Requests by what a rate limit decided.",
                ("instance", "decision"),
                {(instance, decision): number for decision, number in self.decisions().items()},
            ),
            Metric(
                "rate_limit_store_errors",
                "counter",
                "Counts that the store did not do.",
                ("instance",),
                {one: self.store_errors},
            ),
            Metric(
                "rate_limit_callers",
                "gauge",
                "Callers that this process remembers.",
                ("instance",),
                {one: sum(map(len, counters))},
            ),
            Metric(
                "rate_limit_evictions",
                "counter",
                "Callers that were forgotten early, for want of room.",
                ("instance",),
                {one: sum(each.evicted for each in counters)},
            ),
        ]
