"""Durations, sizes and rates: what operators write, what it means, and what is refused with which remedy."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.units import (
    LARGEST,
    LONGEST,
    ParseError,
    Rate,
    format_duration,
    format_rate,
    format_size,
    parse_duration,
    parse_rate,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("5s", 5), ("250ms", 0.25), ("1.5h", 5400), ("5m", 300), ("1d", 86400), (" 2 s ", 2), ("0", 0), (0, 0), (0.0, 0)],
)
def test_a_duration_is_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [("512B", 512), ("64KiB", 65536), ("10MB", 10_000_000), ("1.5MiB", 1572864), ("2TiB", 2**41), (0, 0), ("0", 0)],
)
def test_a_size_is_bytes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("60/minute", Rate(60, 60)),
        ("5/s", Rate(5, 1)),
        ("100/10s", Rate(100, 10)),
        ("1000 / hour", Rate(1000, 3600)),
        ("1/d", Rate(1, 86400)),
        ("7/1.5h", Rate(7, 5400)),
    ],
)
def test_a_rate_is_a_count_in_seconds(text: str, rate: Rate) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    ("parse", "value", "message"),
    [
        (parse_duration, "60", '"60" has no unit; write "60s"'),
        (parse_duration, 60, '"60" has no unit; write "60s"'),
        (parse_duration, 1.5, '"1.5" has no unit; write "1.5s"'),
        (parse_duration, "5S", '"5S" has an unknown unit "S"; write "5s"'),
        (parse_duration, "1y", '"1y" has an unknown unit "y"; the units are ms, s, m, h, d'),
        (parse_duration, "-1s", '"-1s" is not a duration; write a number and one of ms, s, m, h, d, such as "5s"'),
        (parse_duration, True, 'expected a duration such as "5s"'),
        (parse_duration, None, 'expected a duration such as "5s"'),
        (parse_duration, "99999999d", '"99999999d" is longer than a century'),
        (parse_size, "64", '"64" has no unit; write "64B"'),
        (parse_size, "64kib", '"64kib" has an unknown unit "kib"; write "64KiB"'),
        (parse_size, "1.5B", '"1.5B" is not a whole number of bytes'),
        (parse_size, "9999999TiB", '"9999999TiB" is larger than 8 EiB'),
        (parse_rate, "60", '"60" is not a rate; write "60/minute"'),
        (parse_rate, 60, '"60" has no period; write "60/minute"'),
        (parse_rate, "0/s", '"0/s" allows nothing; the count is 1 or more'),
        (parse_rate, "5/0s", '"5/0s" has an empty period'),
        (
            parse_rate,
            "5/fortnight",
            '"5/fortnight" has an unknown period "fortnight"; write second, minute, hour, day or a duration like 10s',
        ),
        (parse_rate, [], 'expected a rate such as "60/minute"'),
    ],
)
def test_a_refusal_says_what_to_write(parse: object, value: object, message: str) -> None:
    with pytest.raises(ParseError) as refused:
        parse(value)  # type: ignore[operator]
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (1, "1s"), (90, "90s"), (300, "5m"), (86400, "1d"), (1.5, "1.5s")]
)
def test_a_duration_is_shown_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=LONGEST, allow_subnormal=False).filter(lambda x: x == 0 or x > 1e-15))
def test_durations_round_trip(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(min_value=0, max_value=LARGEST))
def test_sizes_round_trip(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(st.integers(1, 10**18 - 1), st.integers(1, 10**9).map(lambda ms: ms / 1000))
def test_rates_round_trip(count: int, seconds: float) -> None:
    assert parse_rate(format_rate(Rate(count, seconds))) == Rate(count, seconds)


@given(st.text(max_size=30))
def test_any_text_is_a_value_or_a_parse_error(text: str) -> None:
    for parse in (parse_duration, parse_size, parse_rate):
        with contextlib.suppress(ParseError):
            assert parse(text) is not None
