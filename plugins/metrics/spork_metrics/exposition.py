"""The page: metrics as prometheus-client writes them, made beside the event loop.

Imported with the first page: prometheus-client brings a web server along, which takes 40 ms.
"""

import gzip
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import Metric as Exposed
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar, Sample
from prometheus_client.utils import floatToGoString

from spork_metrics.families import OWN
from spork_metrics.formats import Format
from spork_metrics.steps import in_steps
from spork_metrics.summing import Distribution, Numbers
from spork_metrics.told import Told

_UNITS: Final = ("seconds", "bytes", "ratio")
_EXEMPLAR: Final = 100
"""Characters of a trace id; OpenMetrics has room for 128 with the label's name."""


def expose(numbers: Iterable[Numbers], told: Sequence[Told], form: Format) -> tuple[bytes, str]:
    """The page and its content type. Works in steps: call it in a thread."""
    encode, content_type = choose_encoder(form.accept)
    # Every name here is a plain one. The default looks at each of its characters, which takes 5 µs a sample.
    page = encode(_Page(numbers, told), escaping="allow-utf-8")  # type: ignore[call-arg]  # of both encoders
    return (gzip.compress(page, 5) if form.zipped else page), content_type


class _Page(Collector):
    """Everything, as the registry that an encoder asks."""

    def __init__(self, numbers: Iterable[Numbers], told: Sequence[Told]) -> None:
        self._numbers = numbers
        self._told = told

    def collect(self) -> Iterator[Exposed]:
        names = set()
        for one in self._numbers:
            name = one.family.exported.removesuffix("_total")
            names.add(name)
            yield _exposed(name, one.family.kind, one.family.help, _own_samples(name, one))
        names.update(family.exported.removesuffix("_total") for family in OWN)
        for metric in self._told:
            if metric.name not in names:
                names.add(metric.name)
                yield _exposed(metric.name, metric.kind, metric.help, _told_samples(metric))


def _exposed(name: str, kind: str, text: str, samples: Iterator[Sample]) -> Exposed:
    unit = next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")
    metric = Exposed(name, text, kind, unit)
    metric.samples = in_steps(samples)  # type: ignore[assignment]  # encoders go through it once
    return metric


def _own_samples(name: str, numbers: Numbers) -> Iterator[Sample]:
    labels = numbers.family.labels
    full = f"{name}_total" if numbers.family.kind == "counter" else name
    for values, value in numbers.values.items():
        yield Sample(full, dict(zip(labels, values, strict=True)), value)
    bounds = (*(_bound(bound / 1e9) for bound in numbers.bounds), "+Inf")
    for values, distribution in numbers.distributions.items():
        yield from _buckets(name, dict(zip(labels, values, strict=True)), distribution, bounds)


def _bound(seconds: float) -> str:
    text: str = floatToGoString(seconds)  # type: ignore[no-untyped-call]  # prometheus-client's own spelling of numbers
    return text


def _buckets(name: str, labels: dict[str, str], distribution: Distribution, bounds: Sequence[str]) -> Iterator[Sample]:
    total = 0
    for at, (bound, count) in enumerate(zip(bounds, distribution.buckets, strict=True)):
        total += count
        exemplar = None
        if at in distribution.exemplars:
            trace, took, when = distribution.exemplars[at]
            exemplar = Exemplar({"trace_id": trace[:_EXEMPLAR]}, took / 1e9, when)
        yield Sample(f"{name}_bucket", {**labels, "le": bound}, total, None, exemplar)
    yield Sample(f"{name}_count", labels, total)
    yield Sample(f"{name}_sum", labels, distribution.sum / 1e9)


def _told_samples(metric: Told) -> Iterator[Sample]:
    full = f"{metric.name}_total" if metric.kind == "counter" else metric.name
    for values, value in metric.samples.items():
        yield Sample(full, dict(zip(metric.labels, values, strict=True)), value)
