"""W3C Trace Context: what ``traceparent`` says, and how it is written (https://www.w3.org/TR/trace-context/)."""

import re
from typing import Final, NamedTuple

from multidict import istr

TRACEPARENT: Final = istr("traceparent")
TRACESTATE: Final = istr("tracestate")
BAGGAGE: Final = istr("baggage")

_TRACEPARENT: Final = re.compile(
    "(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
"""Section 3.2.2; a later version may have more after the flags."""

_MEMBER: Final = re.compile(
    r"(?P<key>[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
"""Section 3.3.1.3."""
_MEMBERS: Final = 32
_STATE: Final = 512
"""Characters of a ``tracestate`` that everybody must be able to carry (section 3.3.1.5)."""

SAMPLED: Final = 0x01
RANDOM: Final = 0x02
"""The last half of the trace id is random (level 2, section 3.2.2.5); kept as it came."""


class Parent(NamedTuple):
    """The span that a request comes from. ``trace_id``: 32 hex digits, ``span_id``: 16. ``flags``: those known here."""

    trace_id: str
    span_id: str
    flags: int


def parse(values: list[str]) -> Parent | None:
    """The parent that the fields ``traceparent`` name; None when there is not exactly one, or it is malformed."""
    if len(values) != 1:
        return None
    found = _TRACEPARENT.fullmatch(values[0].strip(" \t"))
    if found is None or (found[1] == "00" and found[5]):
        return None
    return Parent(found[2], found[3], int(found[4], 16) & (SAMPLED | RANDOM))


def written(trace_id: str, span_id: str, flags: int) -> str:
    """The value of ``traceparent``."""
    return f"00-{trace_id}-{span_id}-{flags:02x}"


def state_of(values: list[str]) -> str:
    """What a span says of the fields ``tracestate``; "" when they are malformed or long. They go on as they are."""
    text = ",".join(values)
    if len(text) > _STATE:
        return ""
    members = [member for member in (part.strip(" \t") for part in text.split(",")) if member]
    found = [_MEMBER.fullmatch(member) for member in members]
    keys = {one["key"] for one in found if one is not None}
    return ",".join(members) if len(keys) == len(members) <= _MEMBERS else ""
