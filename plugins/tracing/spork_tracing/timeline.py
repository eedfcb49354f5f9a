"""When each call of a hook began: the exchange keeps how long calls took, in their order, but not when they began.

Rules of this file
1. Before the first attempt, hooks follow each other from the beginning of the exchange.
2. The hooks of an attempt begin no earlier than it, those that look at its answer no earlier than that.
3. ``on_complete`` begins no earlier than the end of the exchange. Times between hooks are thereby at the end of each
   part, which may shift a hook to an earlier moment, never its length or its place in the order.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from spork_core.api import Attempt, Timing

_OF_ATTEMPT: Final = frozenset(("select_upstream", "before_attempt"))
_AFTER_ATTEMPT: Final = frozenset(("after_attempt", "should_retry"))
_WAY_OUT: Final = frozenset(("on_upstream_response", "on_response", "on_error"))


def placed(
    timings: Sequence[Timing], started_ns: int, ended_ns: int, attempts: Sequence[Attempt]
) -> Iterator[tuple[Timing, int, int]]:
    """Each call with its begin and end, in the nanoseconds of ``started_ns``."""
    at, number, before = started_ns, -1, ""
    seen: set[tuple[str, str]] = set()
    for timing in timings:
        hook = timing.hook
        if hook in _OF_ATTEMPT:
            if number < 0 or before in _AFTER_ATTEMPT or (timing.instance, hook) in seen:
                number += 1
                seen.clear()
            seen.add((timing.instance, hook))
            if number < len(attempts):
                at = max(at, attempts[number].started_ns)
        elif hook in _AFTER_ATTEMPT:
            if 0 <= number < len(attempts):
                at = max(at, _end(attempts[number]))
        elif hook in _WAY_OUT and attempts:
            at = max(at, _end(attempts[-1]))
        elif hook == "on_complete":
            at = max(at, ended_ns)
        took = int((timing.own + timing.waiting) * 1e9)
        yield timing, at, at + took
        at += took
        before = hook


def _end(attempt: Attempt) -> int:
    return attempt.started_ns + attempt.took_ns
