"""The budget of series: floods of labels end at it, nothing is lost, and what is shown never goes back."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from spork_metrics.budget import ATTEMPT, CONSUMER, PROBLEM, REQUEST, RETRY, WIDTHS, Budget
from spork_metrics.cells import MemoryRows
from spork_metrics.exposition import expose
from spork_metrics.formats import Format
from spork_metrics.ledger import FIRST, Ledger
from spork_metrics.summing import Sums

BOUNDS = (10**9, 2 * 10**9)
MOST = 100
LABELS = ("code_class", "method")
KINDS = (REQUEST, ATTEMPT, RETRY, PROBLEM, CONSUMER)
TOTALS = {
    "spork_http_requests_total": REQUEST,
    "spork_upstream_attempts_total": ATTEMPT,
    "spork_upstream_retries_total": RETRY,
    "spork_problems_total": PROBLEM,
    "spork_consumer_requests_total": CONSUMER,
}

counted = st.tuples(st.sampled_from(KINDS), st.lists(st.sampled_from("abcdefg"), min_size=5, max_size=5))
"""A kind of row and more than enough labels."""


def budget() -> Budget:
    return Budget(MOST, len(BOUNDS), LABELS, 3)


def count(ledger: Ledger, what: tuple[str, list[str]], now: int) -> None:
    kind, values = what
    labels = tuple(values[: WIDTHS[kind]])
    bounds = BOUNDS if kind in (REQUEST, ATTEMPT) else ()
    cells, _ = ledger.row(kind, labels, bounds, now)
    cells[FIRST if bounds else 0] += 1


def shown(ledgers: list[Ledger]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    sums = Sums(BOUNDS, LABELS)
    sums.add_all([row for ledger in ledgers for row in ledger], budget())
    text = expose(sums.numbers(), (), Format("", False))[0].decode()
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    found = {(sample.name, frozenset(sample.labels.items())): sample.value for sample in samples}
    assert len(found) == len(samples), "a series is there twice"
    return found


@given(st.lists(counted, max_size=300), st.integers(1, 3))
def test_a_flood_ends_at_the_budget_and_nothing_is_lost(flood: list[tuple[str, list[str]]], workers: int) -> None:
    ledgers = [Ledger(MemoryRows(), budget()) for _ in range(workers)]

    for moment, what in enumerate(flood):
        count(ledgers[moment % workers], what, moment)
    found = shown(ledgers)

    own = {"spork_metrics_series", "spork_metrics_series_overflow_total", "spork_consumer_requests_total"}
    assert sum(name not in own for name, _ in found) <= MOST
    wanted = Counter(kind for kind, _ in flood)
    for name, kind in TOTALS.items():
        assert sum(value for (series, _), value in found.items() if series == name) == wanted[kind]
    consumers = {dict(labels)["consumer"] for name, labels in found if name == "spork_consumer_requests_total"}
    assert len(consumers - {"other"}) <= 3


@given(st.lists(counted, max_size=200))
def test_no_counter_ever_goes_back(flood: list[tuple[str, list[str]]]) -> None:
    ledgers = [Ledger(MemoryRows(), budget()) for _ in range(2)]
    before: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}

    for moment, what in enumerate(flood):
        count(ledgers[moment % 2], what, moment)
        if moment % 20 == 19:
            found = shown(ledgers)
            assert {
                series: found.get(series, 0) for series, value in before.items() if found.get(series, 0) < value
            } == {}
            before = found


@given(st.lists(st.integers(0, 3 * 10**9), max_size=50), st.sets(st.integers(1, 3 * 10**9), min_size=1, max_size=5))
def test_other_bounds_keep_the_counts_of_those_that_stay(took: list[int], other: set[int]) -> None:
    old = (*sorted(other | {10**9}),)
    ledger = Ledger(MemoryRows(), budget())
    cells, _ = ledger.row(REQUEST, ("a", "b", "GET", "200", "upstream"), old, 1)
    for each in took:
        cells[FIRST + next((at for at, bound in enumerate(old) if each <= bound), len(old))] += 1
        cells[0] += each

    found = shown([ledger])

    if took:
        buckets = {
            dict(labels)["le"]: value
            for (name, labels), value in found.items()
            if name == "spork_http_request_duration_seconds_bucket"
        }
        assert buckets["1.0"] == sum(each <= 10**9 for each in took)
        assert buckets["+Inf"] == len(took)
