"""What the rare cases of an exchange count: the first of its kind, a retry, a problem, a try that came to nothing."""

from typing import Any, Final

from spork_core.api import TRACE_ID, Attempt, ClientDisconnected, Clock, Exchange, Outcome
from spork_metrics.budget import ATTEMPT, CONSUMER, PROBLEM, REQUEST, RETRY
from spork_metrics.cells import Cells
from spork_metrics.families import METHODS, OTHER, OTHER_METHOD, SOURCES, code_class
from spork_metrics.ledger import LONGEST, LOWEST, Ledger

_MOST: Final = 20_000
"""Rows that are found at once; what was found first is forgotten with the rest, and found again."""

ABANDONED: Final = "abandoned"
"""Result of a try whose client left before the upstream had answered."""
NOT_SENT: Final = "not-sent"
"""Result of a try that a plugin stopped before it was sent."""


class Counting:
    """One instance's way to the rows of a ledger. ``bounds``: of the duration histograms, in ns."""

    def __init__(self, ledger: Ledger, bounds: tuple[int, ...], clock: Clock) -> None:
        self.ledger = ledger
        self.bounds = bounds
        self.bisected = [*LOWEST, *bounds]
        """A bisection in it gives a bucket's place in a row."""
        self.requests: dict[Any, Cells] = {}
        """Rows by route, service, method, status and source."""
        self.attempts: dict[Any, Cells] = {}
        """Rows by endpoint, and status or code of the problem."""
        self._others: dict[Any, Cells] = {}
        """Rows of retries and problems by what they count."""
        self._clock = clock

    def _row(self, kind: str, labels: tuple[str, ...], *, bounds: bool = False) -> tuple[Cells, bool]:
        return self.ledger.row(kind, labels, self.bounds if bounds else (), self._clock.monotonic_ns())

    def _count(self, kind: str, labels: tuple[str, ...]) -> None:
        cells = self._others.get((kind, labels))
        if cells is None:
            cells, kept = self._row(kind, labels)
            if kept:
                _remember(self._others, (kind, labels), cells)
        cells[0] += 1

    def request(self, exchange: Exchange, outcome: Outcome) -> Cells:
        """The row of an exchange that is not among ``requests``."""
        route = exchange.route
        method, source = exchange.request.method, str(outcome.source)
        known = method in METHODS and source in SOURCES
        cells, kept = self._row(
            REQUEST,
            (
                "" if route is None else route.name,
                "" if route is None or route.service is None else route.service,
                method if method in METHODS else OTHER_METHOD,
                str(outcome.status),
                source if source in SOURCES else OTHER,
            ),
            bounds=True,
        )
        if kept and known:
            name, service = (None, None) if route is None else (route.name, route.service)
            _remember(self.requests, (name, service, method, outcome.status, outcome.source), cells)
        return cells

    def attempt(self, exchange: Exchange, attempt: Attempt) -> tuple[Cells, int]:
        """The row of an attempt that is not among ``attempts``, and how long it took, in ns."""
        endpoint, error, took = attempt.endpoint, attempt.error, attempt.took_ns
        if error is not None:
            result = error.code
        elif attempt.status is not None:
            result = str(attempt.status)
        else:
            problem = exchange.error
            result = ABANDONED if problem is None or isinstance(problem, ClientDisconnected) else NOT_SENT
            if exchange.outcome is not None:
                took = exchange.started_ns + exchange.outcome.duration_ns - attempt.started_ns
        route = exchange.route
        service = "" if route is None or route.service is None else route.service
        cells, kept = self._row(
            ATTEMPT,
            (service, "", result) if endpoint is None else (endpoint.service, endpoint.url, result),
            bounds=True,
        )
        if kept and (error is not None or attempt.status is not None):
            _remember(self.attempts, (endpoint, attempt.status if error is None else error.code), cells)
        return cells, max(took, 0)

    def retries(self, exchange: Exchange) -> None:
        """Counts the attempts after the first, by what became of the one before."""
        for before in exchange.attempts[:-1]:
            route = exchange.route
            service = before.endpoint.service if before.endpoint else route.service if route else None
            reason = str(before.status) if before.error is None else before.error.code
            self._count(RETRY, (service or "", reason))

    def problem(self, exchange: Exchange) -> None:
        """Counts the problem of an exchange."""
        route, error = exchange.route, exchange.error
        assert error is not None
        labels = ("", "", error.code) if route is None else (route.name, route.service or "", error.code)
        self._count(PROBLEM, labels)

    def consumer(self, subject: str, outcome: Outcome) -> None:
        """Counts an exchange of a caller that is known."""
        name = subject if 0 < len(subject) <= LONGEST else OTHER
        status = code_class(str(outcome.status))
        self._count(CONSUMER, (name, status))

    def exemplar(self, exchange: Exchange, cells: Cells, place: int, took: int) -> None:
        """Keeps the exchange's trace, if it has one, as the last of its bucket."""
        trace = exchange.get(TRACE_ID)
        if trace is not None:
            kept = self.ledger.exemplars.setdefault(id(cells), {})
            kept[place] = (trace, took, self._clock.time())


def _remember(rows: dict[Any, Cells], key: Any, cells: Cells) -> None:
    if len(rows) >= _MOST:
        rows.clear()
    rows[key] = cells
