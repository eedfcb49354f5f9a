"""What an instance counts, as plain numbers; made into metrics when somebody asks."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from spork_core.api import Metric

if TYPE_CHECKING:
    from spork_cache.core import Core

RESULTS: Final = ("hit", "stale", "collapsed", "revalidated", "miss", "bypass", "refused")
"""What became of a request: ``hit``: fresh from the cache. ``stale``: from the cache, stale, as allowed. ``collapsed``:
shared another request's answer. ``revalidated``: the upstream said that what is stored still holds. ``miss``: the
upstream answered. ``bypass``: not for a cache. ``refused``: 504 to ``only-if-cached``."""


class Numbers:
    """Counts since the instance was made."""

    __slots__ = (*RESULTS, "invalidated", "lost", "refresh_failures", "refreshes", "stored", "waited")

    def __init__(self) -> None:
        self.hit = self.stale = self.collapsed = self.revalidated = self.miss = self.bypass = self.refused = 0
        self.stored = 0
        """Answers that were kept."""
        self.invalidated = 0
        """URLs that unsafe methods have made out of date."""
        self.refreshes = 0
        """Revalidations beside exchanges."""
        self.refresh_failures = 0
        self.lost = 0
        """Times that messages from other nodes may have been missed."""
        self.waited = 0
        """Requests that waited for another one in vain."""

    def results(self) -> dict[str, int]:
        """How many requests by result."""
        return {result: getattr(self, result) for result in RESULTS}


def metrics(core: "Core") -> Iterable[Metric]:
    """The instance's numbers for whoever collects metrics."""
    numbers, memory, name = core.numbers, core.memory, core.name
    label, here = ("instance",), (name,)
    yield Metric(
        "cache_requests",
        "counter",
        "Requests that came to the cache, by what became of them.",
        ("instance", "result"),
        {(name, result): count for result, count in numbers.results().items()},
    )
    yield Metric("cache_entries", "gauge", "Answers in memory.", label, {here: len(memory)})
    yield Metric("cache_bytes", "gauge", "Memory that answers take.", label, {here: memory.size})
    yield Metric("cache_stored", "counter", "Answers that were kept.", label, {here: numbers.stored})
    yield Metric(
        "cache_evictions", "counter", "Answers that had to go before their time.", label, {here: memory.evicted}
    )
    yield Metric(
        "cache_invalidations", "counter", "URLs made out of date by unsafe methods.", label, {here: numbers.invalidated}
    )
    yield Metric(
        "cache_refreshes",
        "counter",
        "Revalidations beside exchanges, by how they ended.",
        ("instance", "outcome"),
        {
            (name, "answered"): numbers.refreshes - numbers.refresh_failures,
            (name, "failed"): numbers.refresh_failures,
        },
    )
    if core.shared is not None:
        yield Metric(
            "cache_store_failures",
            "counter",
            "Commands that the store did not answer.",
            label,
            {here: core.shared.failures},
        )
