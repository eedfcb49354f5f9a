"""Which traces are recorded: a share of them, told by the trace id alone, so that all who see the id agree.

The rule is that of OpenTelemetry's ``TraceIdRatioBased``: the last 64 bits of the id are less than the share of 2⁶⁴.
Two texts of 16 hex digits compare as their numbers do, so that nothing has to be parsed (0.05 µs).
"""

from collections.abc import Callable, Mapping
from typing import Final

from attrs import frozen

DEFAULT_SHARE: Final = 0.01
"""Of 100 traces one is recorded where nobody says otherwise."""

_SAMPLERS: Final[Mapping[str, float | None]] = {"always_on": 1.0, "always_off": 0.0, "traceidratio": None}
_PARENT_BASED: Final = "parentbased_"


@frozen
class Sampling:
    """``share``: of traces that begin here, from 0 to 1. ``parent``: a trace that is continued is recorded when its
    parent is; otherwise the share decides again."""

    share: float = DEFAULT_SHARE
    parent: bool = True


def bound_of(share: float) -> str:
    """The text that the last 16 digits of a trace id must come before for the trace to be recorded."""
    below = round(share * 2**64)
    return "g" if below >= 2**64 else f"{below:016x}"


def from_environment(environ: Mapping[str, str], warn: Callable[[str], object]) -> Sampling:
    """What ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` say. ``warn``: told of what they say in vain, which
    OpenTelemetry wants ignored."""
    name = environ.get("OTEL_TRACES_SAMPLER", "").strip().lower()
    if not name:
        return Sampling()
    parent = name.startswith(_PARENT_BASED)
    kind = name.removeprefix(_PARENT_BASED)
    if kind not in _SAMPLERS:
        warn(f"OTEL_TRACES_SAMPLER={name} is not known here; write one like parentbased_traceidratio")
        return Sampling()
    share = _SAMPLERS[kind]
    return Sampling(_argument(environ, warn) if share is None else share, parent)


def _argument(environ: Mapping[str, str], warn: Callable[[str], object]) -> float:
    text = environ.get("OTEL_TRACES_SAMPLER_ARG", "").strip() or "1"
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if 0 <= share <= 1:
        return share
    warn(f"OTEL_TRACES_SAMPLER_ARG={text} is not a share; write a number from 0 to 1")
    return 1.0
