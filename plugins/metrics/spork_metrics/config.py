"""The config class: where the page is, what is told apart, and how much there may be."""

import re
from itertools import pairwise
from math import isfinite
from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_core.api import Seconds, setting

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds that OpenTelemetry's HTTP conventions recommend, in seconds."""
_MOST_BUCKETS: Final = 50
_FEWEST_SERIES: Final = 500
_MOST_SERIES: Final = 1_000_000
_MOST_CONSUMERS: Final = 1000
_TAKEN: Final = ("/livez", "/readyz", "/status", "/reload")
"""Paths of the admin listener that are the kernel's, which come before those of plugins."""


def _path(_: object, _field: "Attribute[Any]", path: str) -> None:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)+", path):
        raise ValueError(f'"{path}" is not a path; write one like /metrics, of letters, digits, ".", "_", "~" and "-"')
    if path in _TAKEN:
        raise ValueError(f'"{path}" on the admin listener is the gateway\'s own; write another, such as /metrics')


def _buckets(_: object, _field: "Attribute[Any]", bounds: tuple[float, ...]) -> None:
    if not 1 <= len(bounds) <= _MOST_BUCKETS:
        raise ValueError(f"there are {len(bounds)} bounds; write 1 to {_MOST_BUCKETS}")
    if not all(isfinite(bound) and 0 < bound <= 1e6 for bound in bounds):
        raise ValueError("a bound lies above 0 and below 12 days; write such as 250ms, and leave +Inf out")
    if any(after - before < 1e-9 for before, after in pairwise(bounds)):
        raise ValueError("the bounds do not rise; write the smallest first, and none twice")


def _series(_: object, _field: "Attribute[Any]", most: int) -> None:
    if not _FEWEST_SERIES <= most <= _MOST_SERIES:
        raise ValueError(f"{most} series are too few or too many; write {_FEWEST_SERIES} to {_MOST_SERIES}")


def _consumers(_: object, _field: "Attribute[Any]", most: int) -> None:
    if not 0 <= most <= _MOST_CONSUMERS:
        raise ValueError(f"{most} is no number of callers to tell apart; write 0 to {_MOST_CONSUMERS}")


def _once(_: object, _field: "Attribute[Any]", names: tuple[str, ...]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f'"{name}" is there twice; keep one')


def _directory(_: object, _field: "Attribute[Any]", directory: str | None) -> None:
    if directory is not None and (not directory.startswith("/") or "\0" in directory):
        raise ValueError(f'"{directory}" is not the absolute path of a folder; write one like /run/spork')


@frozen
class MetricsConfig:
    """Numbers for Prometheus."""

    path: str = setting("Path of the page on the admin listener.", default="/metrics", validator=_path)
    buckets: tuple[Seconds, ...] = setting(
        "Upper bounds of the duration histograms, rising.", default=BUCKETS, validator=_buckets
    )
    duration_labels: tuple[Literal["method", "code_class", "source"], ...] = setting(
        "What tells durations apart besides route and service.", default=("code_class",), validator=_once
    )
    max_series: int = setting("The most series that exchanges may make.", default=10_000, validator=_series)
    consumers: int = setting(
        "How many callers are counted by name, the first that come; 0: none.", default=0, validator=_consumers
    )
    exemplars: bool = setting("Keep a trace id for each bucket, where one process serves.", default=True)
    directory: str | None = setting(
        "Where workers keep their numbers; none: in memory files, else in the system's temporary folder.",
        default=None,
        validator=_directory,
    )
