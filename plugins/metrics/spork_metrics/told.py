"""What the kernel and the other instances tell: kept so that counters never go back, and shared among workers.

Rules
1. A counter shows what all lives of it have counted: when it falls, because its instance or its worker was replaced, it
   goes on from where it was.
2. A worker writes its numbers whole, beside the old ones, and swaps them: nobody reads half of them.
3. Of a worker that is gone the counters stay and the gauges go.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field, frozen

from spork_core.api import Metric
from spork_metrics.cells import Owner
from spork_metrics.families import PREFIX
from spork_metrics.ledger import clean
from spork_metrics.steps import in_steps

_LABEL: Final = re.compile(r"(?!(?:le|quantile)\Z|__)[a-zA-Z_][a-zA-Z0-9_]*")
"""Of the data model of Prometheus; the two are those of histograms and summaries."""

Labels = tuple[str, ...]
Kind = tuple[str, Labels]
"""A counter: its name and its label values."""


@define(eq=False)
class Told:
    """One metric as somebody tells it. ``name``: with its prefix, without ``_total``."""

    name: str
    kind: str
    help: str
    labels: Labels
    across: str
    samples: dict[Labels, float] = field(factory=dict)


@frozen(eq=False)
class Voice:
    """What one process tells. ``before``: what the lives before had counted; ``last``: what the counters say of this
    life."""

    owner: Owner
    metrics: tuple[Told, ...]
    before: Mapping[Kind, float]
    last: Mapping[Kind, float]


class Rising:
    """Makes counters that never go back out of counters that may begin anew. ``most``: samples that are kept."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.before: dict[Kind, float] = {}
        self.last: dict[Kind, float] = {}
        self.dropped = 0
        """Samples beyond ``most``, the last time."""

    def go_on(self, voice: Voice, *, same_life: bool) -> None:
        """Goes on from what was written: by a worker before, or in the same life, by an instance before."""
        if same_life:
            self.before, self.last = dict(voice.before), dict(voice.last)
        else:
            self.before = {key: voice.before.get(key, 0.0) + value for key, value in voice.last.items()}
            self.last = {}

    def raised(self, metrics: Iterable[Told]) -> tuple[Told, ...]:
        """The same metrics, counters with what was before. Metrics that come more than once become one."""
        shown: list[Told] = []
        before: dict[Kind, float] = {}
        last: dict[Kind, float] = {}
        room = self.most
        self.dropped = 0
        for metric in together(((metric,), True) for metric in metrics):
            kept = dict(islice(metric.samples.items(), room))
            self.dropped += len(metric.samples) - len(kept)
            room -= len(kept)
            if metric.kind == "counter":
                for labels, value in kept.items():
                    key = (metric.name, labels)
                    was = self.last.get(key, 0.0)
                    before[key] = self.before.get(key, 0.0) + (was if value < was else 0.0)
                    last[key] = value
                    kept[labels] = before[key] + value
            shown.append(evolve(metric, samples=kept))
        # What is not told just now, of an instance that a reload took out, goes on where it was when it is back.
        self.before = {**dict(islice(self.before.items(), self.most)), **before}
        self.last = {**dict(islice(self.last.items(), self.most)), **last}
        return tuple(shown)


def copied(metric: Metric) -> Told:
    """What somebody tells, as it is now, with the gateway's prefix. Raises TypeError and ValueError where no page can
    show it."""
    if metric.kind not in ("counter", "gauge"):
        raise ValueError(f'its kind is "{metric.kind}"; write counter or gauge')
    if len(set(metric.labels)) < len(metric.labels) or not all(map(_LABEL.fullmatch, metric.labels)):
        raise ValueError(f"{', '.join(metric.labels)} are no names of labels; use letters, digits and underscores")
    samples = {}
    for labels, value in metric.samples.items():
        if len(labels) != len(metric.labels):
            raise ValueError(f"a sample has {len(labels)} label values, and {len(metric.labels)} are needed")
        samples[tuple(map(clean, labels))] = float(value)
    return Told(PREFIX + metric.name, metric.kind, str(metric.help), tuple(metric.labels), metric.across, samples)


def with_lost(now: tuple[Told, ...], then: tuple[Told, ...]) -> tuple[Told, ...]:
    """What is told ``now``, with the counters of instances that have gone since ``then``: a worker's last words."""
    known = {metric.name: metric for metric in now}
    for metric in then:
        if metric.kind == "counter":
            mine = known.get(metric.name, metric)
            known[metric.name] = evolve(mine, samples={**metric.samples, **mine.samples})
    return tuple(known.values())


def write(path: Path, spare: Path, voice: Voice) -> None:
    """Writes what a process tells, by way of ``spare``: a line for the process, and one for each metric. Raises
    OSError."""
    lines: list[Any] = [[voice.owner.pid, voice.owner.start]]
    for one in voice.metrics:
        lines.append([one.name, one.kind, one.help, one.labels, one.across, list(one.samples.items())])
    lines += [[*key, before, voice.last.get(key, 0.0)] for key, before in voice.before.items()]
    spare.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in in_steps(lines)))
    spare.replace(path)


def read(path: Path) -> Voice | None:
    """What a process has told; None when nothing is there, or nothing that can be read."""
    metrics: list[Told] = []
    before: dict[Kind, float] = {}
    last: dict[Kind, float] = {}
    try:
        first, *lines = path.read_text().splitlines()
        pid, start = json.loads(first)
        for line in in_steps(lines):  # at once they would keep the interpreter for as long as they take
            match json.loads(line):
                case [name, labels, was, now]:
                    before[name, tuple(labels)], last[name, tuple(labels)] = was, now
                case [name, kind, text, labels, across, samples]:
                    values = {tuple(key): value for key, value in samples}
                    metrics.append(Told(name, kind, text, tuple(labels), across, values))
    except (OSError, ValueError, TypeError):
        return None
    return Voice(Owner(pid, start), tuple(metrics), before, last)


_ACROSS: Final[dict[str, Callable[[float, float], float]]] = {
    "sum": lambda one, other: one + other,
    "max": max,
    "min": min,
}


def together(voices: Iterable[tuple[tuple[Told, ...], bool]]) -> list[Told]:
    """What several processes tell as one; with each, whether it is alive."""
    merged: dict[str, Told] = {}
    for metrics, living in voices:
        for metric in metrics:
            if not living and metric.kind != "counter":
                continue
            known = merged.get(metric.name)
            if known is None:
                merged[metric.name] = evolve(metric, samples=dict(metric.samples))
                continue
            if (known.kind, known.labels) != (metric.kind, metric.labels):
                continue  # before and after an upgrade, say
            join = _ACROSS.get(known.across if known.kind == "gauge" else "sum", max)
            for labels, value in metric.samples.items():
                known.samples[labels] = join(known.samples[labels], value) if labels in known.samples else value
    return list(merged.values())
