"""Metrics: numbers about the gateway that somebody else may collect, by the rules of Prometheus and OpenMetrics.

Nothing is counted for this: whoever has a number keeps it anyway, and tells it when it is asked.
"""

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen
from attrs.validators import matches_re

MetricKind = Literal["counter", "gauge"]
"""``counter``: only goes up while the process lives. ``gauge``: what is now."""

Across = Literal["sum", "max", "min"]
"""How the values that several workers have of one gauge become one."""


@frozen(eq=False)
class Metric:
    """One metric and its values now.

    ``name``: in snake case, with its unit at the end (``_seconds``, ``_bytes``, ``_ratio``), without ``_total``, and
    without the prefix that whoever collects puts before it. ``labels``: names of the labels; their values come from
    the config or a closed set, never from a client. ``samples``: label values → value; no labels: ``()`` → value.
    ``across``: of a gauge, what several workers are together: the sum of what each has (connections), the most (a
    state that one of them is in) or the least (that all went well). Counters are added up.
    """

    name: str = field(validator=matches_re(r"[a-z][a-z0-9_]*(?<!_total)"))
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()
    samples: Mapping[tuple[str, ...], float] = field(factory=dict)
    across: Across = "sum"
