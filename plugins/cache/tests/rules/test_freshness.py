"""Dates, lifetimes and ages (RFC 9110 section 5.6.7, RFC 9111 section 4.2)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Policy, Stored
from spork_cache.rules.dates import format_date, parse_date

Stores = Callable[..., Stored]
Dates = Callable[[float], str]
KNOWN = 784_111_777.0


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", KNOWN),
        ("Sunday, 06-Nov-94 08:49:37 GMT", KNOWN),
        ("Sun Nov  6 08:49:37 1994", KNOWN),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1_709_164_800.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Tue, 30 Jun 2015 23:59:60 GMT", 1_435_708_800.0),
    ],
)
def test_the_three_forms(text: str, moment: float, noon: float) -> None:
    assert parse_date(text, noon) == moment


@pytest.mark.parametrize(
    "text",
    [
        *("", "0", "-1", "now", "1994-11-06T08:49:37Z"),
        *("SUN, 06 Nov 1994 08:49:37 GMT", "Sun, 06 NOV 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 gmt"),
        *("Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 94 08:49:37 GMT"),
        *("Sun 06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT"),
        *("Sun, 06  Nov 1994 08:49:37 GMT", "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 Nov 1994 08.49.37 GMT"),
        *("Thu, 32 Jan 2024 00:00:00 GMT", "Wed, 31 Apr 2024 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:61 GMT"),
        *("Thu, 30 Feb 2024 00:00:00 GMT", "Wed, 29 Feb 2023 00:00:00 GMT", "Sunday, 31-Feb-94 08:49:37 GMT"),
        *("Sun, 06 Nov 1994 24:00:00 GMT", "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 00 Nov 1994 08:49:37 GMT"),
        *("Sun, 06 Foo 1994 08:49:37 GMT", "Sun, 06 Nov 0000 08:49:37 GMT", "Sun, ٠٦ Nov 1994 08:49:37 GMT"),
    ],
)
def test_what_only_looks_like_a_date_is_none(text: str, noon: float) -> None:
    assert parse_date(text, noon) is None


def test_a_year_of_two_digits_lies_at_most_50_years_ahead(noon: float) -> None:
    assert parse_date("Sunday, 06-Nov-94 08:49:37 GMT", noon) == KNOWN
    assert parse_date("Sunday, 06-Nov-44 08:49:37 GMT", noon) == parse_date("Sun, 06 Nov 2044 08:49:37 GMT", noon)


@given(st.integers(-62_000_000_000, 250_000_000_000))
def test_every_moment_survives_its_date(moment: int) -> None:
    assert parse_date(format_date(moment), 0.0) == moment


@given(st.text(max_size=45))
def test_any_text_is_a_date_or_none(text: str) -> None:
    parse_date(text, 0.0)


@pytest.mark.parametrize(
    ("cache_control", "fields", "ttl"),
    [
        pytest.param("max-age=60", {}, 60, id="4.2.1-max-age"),
        pytest.param("max-age=60, s-maxage=10", {}, 10, id="4.2.1-s-maxage-first"),
        pytest.param("max-age=60", {"Expires": -60}, 60, id="4.2.1-max-age-over-expires"),
        pytest.param("x", {"Expires": 60}, 60, id="4.2.1-expires"),
        pytest.param("x", {"Expires": 60, "Date": -10}, 60, id="4.2.1-expires-minus-date"),
        pytest.param("max-age=60", {"Age": "20"}, 40, id="4.2.3-age"),
        pytest.param("max-age=60", {"Age": "100"}, -40, id="4.2.3-age-beyond"),
        pytest.param("max-age=60", {"Date": -20}, 40, id="4.2.3-apparent-age"),
        pytest.param("max-age=60", {"Date": -20, "Age": "5"}, 40, id="4.2.3-the-older"),
        pytest.param("max-age=60", {"Date": 3600}, 60, id="4.2.3-date-ahead"),
        pytest.param("x", {"Expires": 3660, "Date": 3600}, 60, id="4.2.3-clock-ahead-expires"),
        pytest.param("max-age=60", {"Date": "yesterday"}, 60, id="4.2.3-date-broken"),
        pytest.param("max-age=60", {"Age": "7, 100"}, 53, id="5.1-first-member"),
        pytest.param("max-age=60", {"Age": "-7"}, 60, id="5.1-negative-ignored"),
        pytest.param("max-age=60", {"Age": "7.5"}, 60, id="5.1-fraction-ignored"),
        pytest.param("max-age=60", {"Age": "²"}, 60, id="5.1-superscript-ignored"),
        pytest.param("max-age=60", {"Age": "٧"}, 60, id="5.1-other-digits-ignored"),
        pytest.param("max-age=60", {"Age": "9" * 50}, 60 - (1 << 31), id="5.1-overflow"),
    ],
)
def test_lifetime_less_age(
    cache_control: str, fields: dict[str, Any], ttl: int, stored: Stores, date: Dates, noon: float
) -> None:
    fields = {name: date(value) if isinstance(value, int) else value for name, value in fields.items()}
    assert stored(cache_control, {"ETag": '"a"', **fields}).ttl(noon) == ttl


@pytest.mark.parametrize("expires", ["0", "-1", "", "tomorrow"])
def test_a_broken_expires_is_past(expires: str, stored: Stores, noon: float) -> None:
    assert stored("x", {"Expires": expires, "ETag": '"a"'}).ttl(noon) <= 0


def test_the_time_the_answer_took_counts_as_age(stored: Stores, noon: float) -> None:
    kept = stored("max-age=60", {"Age": "10"}, requested_at=noon - 5)
    assert kept.age(noon) == 15
    assert kept.age(noon + 7) == 22


def test_a_clock_set_back_makes_nothing_younger_than_new(stored: Stores, noon: float) -> None:
    kept = stored(requested_at=noon + 100)
    assert (kept.age(noon), kept.age(noon - 50), kept.ttl(noon)) == (0, 0, 60)


def test_a_response_without_date_ages_and_gets_one(stored: Stores, noon: float, date: Dates) -> None:
    kept = stored()
    assert kept.headers.getall("Date") == [date(0)]
    assert kept.age(noon + 30) == 30


def test_several_dates_count_as_none(stored: Stores, date: Dates) -> None:
    kept = stored("max-age=60", [("Date", date(-90)), ("Date", date(-80))])
    assert kept.headers.getall("Date") == [date(0)]


def test_which_statuses_may_get_a_lifetime_made_up(store: Any) -> None:
    policy = Policy(defaults=dict.fromkeys(range(200, 600), 5.0))
    found = {status for status in range(200, 600) if isinstance(store(status=status, policy=policy), Stored)}
    assert found == {200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501}  # RFC 9110 section 15.1


@pytest.mark.parametrize(
    ("policy", "fields", "status", "seconds"),
    [
        pytest.param({"heuristic": 0.1}, {"Last-Modified": -1000}, 200, 100, id="4.2.2-tenth"),
        pytest.param({"heuristic": 0.1, "heuristic_cap": 30.0}, {"Last-Modified": -1000}, 200, 30, id="4.2.2-cap"),
        pytest.param({"heuristic": 0.1}, {"Last-Modified": 1000, "ETag": '"a"'}, 200, 0, id="4.2.2-future"),
        pytest.param({"heuristic": 0.1}, {"Last-Modified": -1000}, 404, 100, id="4.2.2-404"),
        pytest.param({"defaults": {404: 5.0}}, {}, 404, 5, id="negative"),
        pytest.param({"heuristic": 0.1, "defaults": {200: 5.0}}, {}, 200, 5, id="default"),
        pytest.param({"heuristic": 0.1}, {"Last-Modified": -1000}, 302, "no-freshness", id="4.2.2-302-is-not"),
        pytest.param({"defaults": {500: 5.0}}, {}, 500, "no-freshness", id="4.2.2-500-is-not"),
        pytest.param({"heuristic": 0.1}, {"Last-Modified": "then"}, 200, "no-freshness", id="4.2.2-broken"),
        pytest.param({}, {"Last-Modified": -1000}, 200, "no-freshness", id="4.2.2-off"),
        pytest.param({"heuristic": 0.1}, {"Last-Modified": -1000, "Expires": 5}, 200, 5, id="4.2.2-explicit-wins"),
    ],
)
def test_lifetimes_made_up_by_choice(
    policy: dict[str, Any],
    fields: dict[str, Any],
    status: int,
    seconds: int | str,
    store: Any,
    date: Dates,
    noon: float,
) -> None:
    fields = {name: date(value) if isinstance(value, int) else value for name, value in fields.items()}
    kept = store(fields, status=status, policy=Policy(**policy))
    assert (kept if isinstance(kept, str) else kept.ttl(noon)) == seconds
