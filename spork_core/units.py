"""Durations, sizes, rates and statuses as operators write them ("5s", "64KiB", "60/minute", "5xx"), and back."""

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Annotated, Final

import attrs

DURATION_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
"""Seconds in each unit of a duration."""

SIZE_UNITS: Final = {
    "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
"""Bytes in each unit of a size."""

RATE_PERIODS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86400.0}
"""Seconds in each period that has a name in a rate."""

LONGEST: Final = 100 * 365 * 86400.0
"""The longest duration accepted, in seconds: a century."""

LARGEST: Final = 2**63 - 1
"""The largest size accepted, in bytes."""

DURATION_PATTERN: Final = r"\d+(?:\.\d+)?(?:ms|s|m|h|d)"
SIZE_PATTERN: Final = r"\d+(?:\.\d+)?(?:[KMGT]i?)?B"
RATE_PATTERN: Final = rf"\d+/(?:second|minute|hour|day|s|m|h|d|{DURATION_PATTERN})"

_QUANTITY = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,40})?)\s*([A-Za-z]*)")
_RATE = re.compile(r"([0-9]{1,18})\s*/\s*(\S+)")


class ParseError(ValueError):
    """Text that says no value of the kind asked for. ``remedy`` tells what to write instead, or is empty."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message}; {remedy}" if remedy else message)
        self.message = message
        self.remedy = remedy


class Duration:
    """Marks a float as seconds that are written with a unit."""


class Size:
    """Marks an int as bytes that are written with a unit."""


Seconds = Annotated[float, Duration]
"""The type of a setting that holds seconds and is written "250ms", "5s", "1.5h"."""

Bytes = Annotated[int, Size]
"""The type of a setting that holds bytes and is written "512B", "64KiB", "10MB"."""


def _split(value: object, kind: str, units: dict[str, float] | dict[str, int], example: str) -> tuple[Decimal, str]:
    """The number and the unit of a quantity; the unit of a bare 0 is "". Raises ParseError."""
    choice = ", ".join(units)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise ParseError(f"expected a {kind} such as {example}")
    text = str(value).strip()
    found = _QUANTITY.fullmatch(text)
    if found is None:
        raise ParseError(f'"{text}" is not a {kind}', f"write a number and one of {choice}, such as {example}")
    number, unit = Decimal(found[1]), found[2]
    if unit in units or (not unit and number == 0):
        return number, unit
    if not unit:
        raise ParseError(f'"{text}" has no unit', f'write "{found[1]}{"s" if "s" in units else "B"}"')
    near = next((known for known in units if known.lower() == unit.lower()), None)
    raise ParseError(
        f'"{text}" has an unknown unit "{unit}"',
        f'write "{found[1]}{near}"' if near else f"the units are {choice}",
    )


def parse_duration(value: object) -> float:
    """Seconds. Takes text with a unit, or a bare 0. Raises ParseError."""
    number, unit = _split(value, "duration", DURATION_UNITS, '"5s"')
    if unit == "ms":
        seconds = float(number) / 1000  # a division rounds right where * 0.001 does not
    else:
        seconds = float(number) * DURATION_UNITS.get(unit, 1.0)
    if seconds > LONGEST:
        raise ParseError(f'"{value}" is longer than a century')
    return seconds


def format_duration(seconds: float) -> str:
    """The shortest text that ``parse_duration`` reads back as the same float."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m", "s"):
        if seconds % DURATION_UNITS[unit] == 0:
            return f"{int(seconds / DURATION_UNITS[unit])}{unit}"
    millis = round(seconds * 1000)
    if millis and millis / 1000 == seconds and seconds < 1:
        return f"{millis}ms"
    return f"{Decimal(repr(seconds)):f}s"


def parse_size(value: object) -> int:
    """Bytes. Takes text with a unit, or a bare 0. Raises ParseError."""
    number, unit = _split(value, "size", SIZE_UNITS, '"64KiB"')
    size = number * SIZE_UNITS.get(unit, 1)
    if size != size.to_integral_value():
        raise ParseError(f'"{value}" is not a whole number of bytes')
    if size > LARGEST:
        raise ParseError(f'"{value}" is larger than 8 EiB')
    return int(size)


def format_size(size: int) -> str:
    """Text that ``parse_size`` reads back as the same number of bytes."""
    for unit in ("TiB", "GiB", "MiB", "KiB", "TB", "GB", "MB", "KB"):
        if size and size % SIZE_UNITS[unit] == 0:
            return f"{size // SIZE_UNITS[unit]}{unit}"
    return f"{size}B"


@attrs.frozen
class Rate:
    """So many events in so many seconds, written "60/minute", "5/s" or "100/10s"."""

    count: int
    seconds: float

    def __str__(self) -> str:
        return format_rate(self)

    @property
    def per_second(self) -> float:
        """The mean number of events in a second."""
        return self.count / self.seconds


def parse_rate(value: object) -> Rate:
    """The Rate that the text says. Raises ParseError."""
    if not isinstance(value, str):
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            raise ParseError(f'"{value}" has no period', f'write "{value}/minute"')
        raise ParseError('expected a rate such as "60/minute"')
    text = value.strip()
    found = _RATE.fullmatch(text)
    if found is None:
        remedy = f'write "{text}/minute"' if text.isdecimal() else 'write it like "60/minute", "5/s" or "100/10s"'
        raise ParseError(f'"{text}" is not a rate', remedy)
    count, period = int(found[1]), found[2]
    if count == 0:
        raise ParseError(f'"{text}" allows nothing', "the count is 1 or more")
    if period in RATE_PERIODS:
        return Rate(count, RATE_PERIODS[period])
    try:
        seconds = DURATION_UNITS[period] if period in DURATION_UNITS else parse_duration(period)
    except ParseError as exc:
        raise ParseError(
            f'"{text}" has an unknown period "{period}"',
            "write second, minute, hour, day or a duration like 10s",
        ) from exc
    if seconds == 0:
        raise ParseError(f'"{text}" has an empty period')
    return Rate(count, seconds)


def format_rate(rate: Rate) -> str:
    """Text that ``parse_rate`` reads back as the same Rate."""
    for name, seconds in RATE_PERIODS.items():
        if rate.seconds == seconds:
            return f"{rate.count}/{name}"
    return f"{rate.count}/{format_duration(rate.seconds)}"


_STATUSES: Final = re.compile(r"([1-9])xx|([1-9]\d\d)(?:-([1-9]\d\d))?")


def statuses_of(written: Iterable[int | str], like: str = "404, 5xx or 400-499") -> frozenset[int]:
    """``404``, ``5xx`` and ``400-499`` as the status codes they mean. Raises ValueError, which says to write it
    ``like`` that."""
    found: set[int] = set()
    for item in written:
        match = _STATUSES.fullmatch(str(item).lower())
        if match is None:
            raise ValueError(f'"{item}" is not a status; write it like {like}')
        first = int(match[1]) * 100 if match[1] else int(match[2])
        last = first + 99 if match[1] else int(match[3] or match[2])
        if last < first:
            raise ValueError(f'"{item}" ends before it begins; write "{last}-{first}"')
        found.update(range(first, last + 1))
    return frozenset(found)
