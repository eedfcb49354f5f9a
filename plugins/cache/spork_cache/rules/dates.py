"""HTTP dates (RFC 9110 section 5.6.7): the three forms read exactly, so that a broken date is known to be broken."""

import re
from calendar import timegm
from email.utils import formatdate
from functools import lru_cache
from typing import Final

_MONTHS: Final = {
    name: number for number, name in enumerate("Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)
}
_DAYS: Final = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_TIME: Final = "(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})"
_FORMS: Final = (
    re.compile(rf"{_DAYS}, (?P<day>[0-9]{{2}}) (?P<month>[A-Z][a-z]{{2}}) (?P<year>[0-9]{{4}}) {_TIME} GMT"),
    re.compile(
        r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, "
        rf"(?P<day>[0-9]{{2}})-(?P<month>[A-Z][a-z]{{2}})-(?P<year>[0-9]{{2}}) {_TIME} GMT"
    ),
    re.compile(rf"{_DAYS} (?P<month>[A-Z][a-z]{{2}}) (?P<day>[ 0-9][0-9]) {_TIME} (?P<year>[0-9]{{4}})"),
)
_LONGEST: Final = 40
_FIFTY_YEARS: Final = 50 * 365.25 * 86_400


def parse_date(text: str, now: float) -> float | None:
    """The moment that ``text`` names, in seconds since the epoch; None when it is no HTTP date.

    ``now``: decides the century of the obsolete form with two digits: what looks more than 50 years ahead is past.
    """
    moments = _parse(text) if len(text) <= _LONGEST else None
    if moments is None:
        return None
    moment, a_century_earlier = moments
    return a_century_earlier if moment - now > _FIFTY_YEARS else moment


def format_date(moment: float) -> str:
    """``moment`` as an IMF-fixdate."""
    return formatdate(moment, usegmt=True)


@lru_cache(maxsize=512)  # answers of one second share their Date, those of one resource their Last-Modified
def _parse(text: str) -> tuple[float, float] | None:
    """The moment, and the one that a year of two digits means when the first lies too far ahead."""
    for form in _FORMS:
        match = form.fullmatch(text)
        if match:
            short = len(match["year"]) == 2
            moment = _moment(match, 2000 if short else 0)
            if moment is None:
                return None
            earlier = _moment(match, 1900) if short else None
            return moment, moment if earlier is None else earlier
    return None


def _moment(match: re.Match[str], century: int) -> float | None:
    month = _MONTHS.get(match["month"])
    year, day = century + int(match["year"]), int(match["day"])
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    if month is None or year < 1 or hour > 23 or minute > 59 or second > 60:
        return None
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    longest = 28 + leap if month == 2 else 30 if month in {4, 6, 9, 11} else 31
    if not 1 <= day <= longest:
        return None
    return float(timegm((year, month, day, hour, minute, second, 0, 0, 0)))
