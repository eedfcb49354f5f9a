"""How many series there may be: what a new set of labels would add, and whether there is room for it.

Rules
1. What is counted is kept in rows; a row shows up in several series. A series is what Prometheus stores: each bucket of
   a histogram is one.
2. What was let in stays: a counter must not go back. What finds no room is counted under ``other``, in rows whose
   place is kept free from the start.
3. The same rows in the same order give the same answer, so that whoever adds up the rows of several workers, oldest
   first, always leaves out the same.
"""

from collections.abc import Iterator
from typing import Final

from spork_metrics.families import OTHER, duration_labels

REQUEST: Final = "request"
"""Kind of the rows of exchanges: route, service, method, code, source."""
ATTEMPT: Final = "attempt"
"""Service, endpoint, result."""
RETRY: Final = "retry"
"""Service, reason."""
PROBLEM: Final = "problem"
"""Route, service, problem."""
CONSUMER: Final = "consumer"
"""Caller, class of the status."""
LAG: Final = "lag"
"""No labels."""

WIDTHS: Final = {REQUEST: 5, ATTEMPT: 3, RETRY: 2, PROBLEM: 3, CONSUMER: 2, LAG: 0}
"""How many labels the rows of a kind have."""
BUDGETED: Final = (REQUEST, ATTEMPT, RETRY, PROBLEM)
"""Kinds whose rows need room."""


def is_rest(kind: str, labels: tuple[str, ...]) -> bool:
    """True for the row of what found no room."""
    return kind in BUDGETED and labels == (OTHER,) * len(labels)


def others(kind: str, labels: tuple[str, ...]) -> tuple[str, ...]:
    """The labels of the row in which a row is counted that found no room. Callers keep the class of the status: for
    that there always is room."""
    return (OTHER, *labels[1:]) if kind == CONSUMER else (OTHER,) * len(labels)


class Budget:
    """``most``: series. ``buckets``: bounds of a duration histogram. ``labels``: what tells durations apart.
    ``consumers``: callers that are counted by name."""

    def __init__(self, most: int, buckets: int, labels: tuple[str, ...], consumers: int) -> None:
        self.most = most
        self.series = 0
        """How many there are."""
        self._histogram = buckets + 3  # +Inf, sum and count
        self._labels = labels
        self._consumers = consumers
        self._groups: set[tuple[str, ...]] = set()
        self._names: set[str] = set()
        for kind in BUDGETED:
            self.admits(kind, (OTHER,) * WIDTHS[kind])

    def admits(self, kind: str, labels: tuple[str, ...]) -> bool:
        """True when there is room for a row; it then is in."""
        if kind == CONSUMER:
            return self._admits_consumer(labels[0])
        new = {group: cost for group, cost in self._series(kind, labels) if group not in self._groups}
        cost = sum(new.values())
        if self.series + cost > self.most:
            return False
        self.series += cost
        self._groups.update(new)
        return True

    def _admits_consumer(self, name: str) -> bool:
        if name != OTHER and name not in self._names:
            if len(self._names) >= self._consumers:
                return False
            self._names.add(name)
        return True

    def _series(self, kind: str, labels: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
        """Which series a row shows up in, and how many each is."""
        if kind == REQUEST:
            yield (kind, *labels), 1
            yield ("duration", *duration_labels(self._labels, labels)), self._histogram
            yield ("bytes", *labels[:2]), 3  # received, sent, incomplete
        elif kind == ATTEMPT:
            yield (kind, *labels), 1
            yield ("upstream", *labels[:2]), self._histogram
        elif kind in (RETRY, PROBLEM):
            yield (kind, *labels), 1
