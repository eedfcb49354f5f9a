"""Rows of one or many processes added up to the series that this plugin exports.

Rules
1. Oldest rows first, through a fresh budget: all workers together hold it, too, and whoever adds up finds the same.
2. Rows with other bounds than the present ones, from before a reload, go with each bucket into the smallest present
   one that holds it. Where a bound stayed, its count stays exact.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence

from attrs import define, evolve, field, frozen

from spork_metrics import families
from spork_metrics.budget import ATTEMPT, CONSUMER, LAG, PROBLEM, REQUEST, RETRY, Budget, is_rest, others
from spork_metrics.families import Family, duration_labels
from spork_metrics.ledger import FIRST, INCOMPLETE, LAG_BOUNDS, RECEIVED, SENT, SUM, Exemplar, Row
from spork_metrics.steps import in_steps

Labels = tuple[str, ...]


@define(eq=False)
class Distribution:
    """A histogram. ``sum``: ns. ``buckets``: counts, each of its own bucket only, +Inf last."""

    sum: int
    buckets: list[int]
    exemplars: dict[int, Exemplar] = field(factory=dict)


@frozen(eq=False)
class Numbers:
    """The series of one metric: ``values`` of a counter or gauge, or ``distributions`` over ``bounds`` (ns)."""

    family: Family
    values: Mapping[Labels, float] = field(factory=dict)
    distributions: Mapping[Labels, Distribution] = field(factory=dict)
    bounds: tuple[int, ...] = ()


class Sums:
    """Adds up rows. ``bounds``: of the duration histograms, in ns. ``chosen``: the setting ``duration_labels``."""

    def __init__(self, bounds: tuple[int, ...], chosen: Sequence[str]) -> None:
        self._bounds = bounds
        self._chosen = tuple(chosen)
        self._values: dict[Family, dict[Labels, float]] = {}
        self._distributions: dict[Family, dict[Labels, Distribution]] = {}
        self._series = 0

    def add_all(self, rows: Iterable[Row], budget: Budget) -> None:
        """Adds rows of whatever processes; ``budget``: a fresh one. Works in steps: call it in a thread."""
        groups: dict[tuple[str, Labels], list[Row]] = {}
        for row in sorted(in_steps(rows), key=lambda row: (row.born, row.kind, row.labels)):
            groups.setdefault((row.kind, row.labels), []).append(row)
        for (kind, labels), group in in_steps(groups.items()):
            shown = labels if budget.admits(kind, labels) else others(kind, labels)
            for row in group:
                self._add(row, shown)
        self._series = budget.series

    def _add(self, row: Row, labels: Labels) -> None:
        kind = row.kind
        if not any(row.cells):
            return
        count = sum(row.cells[FIRST:]) if row.bounds else row.cells[0]
        if kind == REQUEST:
            self._count(families.REQUESTS, labels, count)
            self._spread(families.DURATION, duration_labels(self._chosen, labels), row, self._bounds)
            for family, at in ((families.RECEIVED, RECEIVED), (families.SENT, SENT), (families.INCOMPLETE, INCOMPLETE)):
                self._count(family, labels[:2], row.cells[at])
        elif kind == ATTEMPT:
            self._count(families.ATTEMPTS, labels, count)
            self._spread(families.UPSTREAM, labels[:2], row, self._bounds)
        elif kind == LAG:
            self._spread(families.LAG, (), row, LAG_BOUNDS)
        elif kind == CONSUMER:
            self._count(families.CONSUMERS, labels, count)
        else:
            self._count({RETRY: families.RETRIES, PROBLEM: families.PROBLEMS}[kind], labels, count)
        if is_rest(kind, labels):
            self._count(families.OVERFLOW, (), count)

    def _count(self, family: Family, labels: Labels, count: int) -> None:
        values = self._values.setdefault(family, {})
        values[labels] = values.get(labels, 0) + count

    def _spread(self, family: Family, labels: Labels, row: Row, bounds: tuple[int, ...]) -> None:
        distributions = self._distributions.setdefault(family, {})
        found = distributions.get(labels)
        if found is None:
            found = distributions[labels] = Distribution(0, [0] * (len(bounds) + 1))
        found.sum += row.cells[SUM]
        for at, count in enumerate(row.cells[FIRST:]):
            if row.bounds == bounds:
                into = at
            else:
                into = bisect_left(bounds, row.bounds[at]) if at < len(row.bounds) else len(bounds)
            found.buckets[into] += count
            exemplar = row.exemplars.get(FIRST + at)
            if exemplar is not None and row.bounds == bounds:
                found.exemplars[into] = max(found.exemplars.get(into, exemplar), exemplar, key=lambda one: one[2])

    def numbers(self) -> Iterator[Numbers]:
        """The metrics, in the order of their table."""
        self._values[families.SERIES] = {(): self._series}
        self._values.setdefault(families.OVERFLOW, {(): 0})
        for family in families.OWN:
            shown = family
            if family is families.DURATION:
                shown = evolve(family, labels=("route", "service", *self._chosen))
            if family.kind == "histogram":
                bounds = LAG_BOUNDS if family is families.LAG else self._bounds
                yield Numbers(shown, distributions=self._distributions.get(family, {}), bounds=bounds)
            elif family is not families.CONSUMERS or family in self._values:
                yield Numbers(shown, self._values.get(family, {}))
