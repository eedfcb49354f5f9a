"""How long to wait before another attempt: full jitter, and what the service asks for by ``Retry-After``."""

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,10}")


def jittered(chance: float, number: int, base: float, most: float) -> float:
    """Seconds: a share ``chance`` (0 to 1) of ``base``, doubled for each retry before this one, at most ``most``.
    ``number``: 1 for the first retry."""
    return chance * min(most, base * 2.0 ** (number - 1))


def asked_for(retry_after: str, now: float) -> float | None:
    """Seconds to wait by a ``Retry-After`` (RFC 9110 section 10.2.3): a number of seconds or a date; 0 for a date that
    has passed. None: it says nothing that can be understood. ``now``: seconds since the epoch."""
    text = retry_after.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
        if date.tzinfo is None:  # "-0000": UTC, without a word about where
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - now)
    except (ValueError, OverflowError):
        return None
