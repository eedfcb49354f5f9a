"""How old a response is and how long it stays fresh (RFC 9111 section 4.2), safe against clocks that disagree."""

from typing import Final

from multidict import istr

from spork_cache.rules.dates import parse_date
from spork_cache.rules.directives import ResponseDirectives
from spork_cache.rules.model import DELTA_MAX, Policy
from spork_core.api import Headers

AGE: Final = istr("Age")
DATE: Final = istr("Date")
EXPIRES: Final = istr("Expires")
LAST_MODIFIED: Final = istr("Last-Modified")

HEURISTIC_STATUSES: Final = frozenset((200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501))
"""Heuristically cacheable by definition (RFC 9110 section 15.1), without 206."""


def date_of(headers: Headers, received_at: float) -> float:
    """When the response was made: its ``Date``; ``received_at`` when that is missing, repeated or broken."""
    values = headers.getall(DATE, ())
    made = parse_date(values[0], received_at) if len(values) == 1 else None
    return received_at if made is None else made


def last_modified_of(headers: Headers, received_at: float) -> float | None:
    """The moment in ``Last-Modified``; None when it is missing, repeated or broken."""
    values = headers.getall(LAST_MODIFIED, ())
    return parse_date(values[0], received_at) if len(values) == 1 else None


def initial_age(headers: Headers, date: float, requested_at: float, received_at: float) -> float:
    """corrected_initial_age of RFC 9111 section 4.2.3, in seconds, never negative: a ``Date`` ahead of our clock and a
    clock set back between request and response count as 0."""
    apparent_age = int(received_at) - date  # Date has whole seconds: else max-age=1 would be used up by the fraction
    corrected_age = _age_value(headers) + max(received_at - requested_at, 0.0)
    return max(apparent_age, corrected_age, 0.0)


def lifetime(
    said: ResponseDirectives, headers: Headers, status: int, date: float, policy: Policy, *, targeted: bool = False
) -> float | None:
    """freshness_lifetime of RFC 9111 section 4.2.1, in seconds; None when the response names none and the policy makes
    none up. ``targeted``: ``said`` comes from a targeted field, so that ``Expires`` does not count."""
    if said.s_maxage is not None:
        return float(said.s_maxage)
    if said.max_age is not None:
        return float(said.max_age)
    if not targeted:
        values = headers.getall(EXPIRES, ())
        if values:
            expires = parse_date(values[0], date) if len(set(values)) == 1 else None
            return 0.0 if expires is None else min(max(expires - date, 0.0), float(DELTA_MAX))
    if status not in HEURISTIC_STATUSES and not said.public:
        return None
    if policy.heuristic:
        modified = last_modified_of(headers, date)
        if modified is not None:
            return min(max(date - modified, 0.0) * policy.heuristic, policy.heuristic_cap)
    return policy.defaults.get(status) if status in HEURISTIC_STATUSES else None


def _age_value(headers: Headers) -> int:
    """The first member of the first ``Age``; 0 when that is no number (RFC 9111 section 5.1)."""
    value = headers.get(AGE)
    if value is None:
        return 0
    first = value.partition(",")[0].strip()
    if not (first.isascii() and first.isdigit()):
        return 0
    return DELTA_MAX if len(first.lstrip("0")) > 10 else min(int(first), DELTA_MAX)
