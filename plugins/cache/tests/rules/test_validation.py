"""Validation: what to ask with, which response a 304 is about, and what it changes (RFC 9111 sections 3.2 and 4.3)."""

from collections.abc import Callable
from typing import Any

import pytest
from spork_cache.rules import Policy, Stored, freshen, freshen_by_head, merge, newest, selected, validators

from spork_core.api import Headers

Stores = Callable[..., Stored]
Dates = Callable[[float], str]


def test_validators_of_one(stored: Stores, date: Dates) -> None:
    kept = stored("max-age=60", {"ETag": 'W/"a"', "Last-Modified": date(-60)})
    assert validators([kept]) == [("If-None-Match", 'W/"a"'), ("If-Modified-Since", date(-60))]


def test_validators_of_several_variants(stored: Stores, date: Dates) -> None:
    several = [stored("max-age=60", {"ETag": tag, "Last-Modified": date(-60)}) for tag in ('"a"', '"b"', '"a"')]
    assert validators(several) == [("If-None-Match", '"a", "b"')]


@pytest.mark.parametrize("tag", ["a", "'a'", '"a', 'w/"a"', 'W"a"', '"a b"', ""])
def test_a_malformed_tag_validates_nothing(tag: str, stored: Stores) -> None:
    assert validators([stored("max-age=60", {"ETag": tag})]) == []


def test_no_more_tags_than_a_head_can_hold(stored: Stores) -> None:
    [(_, value)] = validators([stored("max-age=60", {"ETag": f'"{n}"'}) for n in range(100)])
    assert value.count(",") == 31


@pytest.mark.parametrize(
    ("tags", "newer", "index"),
    [
        pytest.param(['"a"', '"b"'], {"ETag": '"b"'}, 1, id="4.3.4-strong"),
        pytest.param(['W/"a"', 'W/"b"'], {"ETag": 'W/"b"'}, 1, id="4.3.4-weak"),
        pytest.param(['"a"'], {"ETag": 'W/"a"'}, 0, id="4.3.4-weak-of-strong"),
        pytest.param(['W/"a"'], {"ETag": '"a"'}, 0, id="4.3.4-strong-of-weak"),
        pytest.param(['W/"a"', '"a"'], {"ETag": '"a"'}, 1, id="4.3.4-strong-first"),
        pytest.param(['"a"'], {"ETag": '"b"'}, None, id="4.3.4-another"),
        pytest.param(['"a"'], {}, 0, id="4.3.4-only-candidate"),
        pytest.param(['"a"', '"b"'], {}, None, id="4.3.4-undecided"),
        pytest.param([], {"ETag": '"a"'}, None, id="4.3.4-nothing-stored"),
    ],
)
def test_which_response_a_304_is_about(
    tags: list[str], newer: dict[str, str], index: int | None, stored: Stores
) -> None:
    candidates = [stored("max-age=60", {"ETag": tag}) for tag in tags]
    assert selected(candidates, Headers(newer)) is (None if index is None else candidates[index])


def test_last_modified_selects_too(stored: Stores, date: Dates) -> None:
    old, new = (stored("max-age=60", {"Last-Modified": date(-n)}) for n in (90, 60))
    assert selected([old, new], Headers({"Last-Modified": date(-60)})) is new
    assert selected([old, new], Headers({"Last-Modified": date(-30)})) is None


@pytest.mark.parametrize("tag", ['"a"', 'W/"a"'])
def test_what_has_no_tag_is_not_what_a_tag_means(tag: str, stored: Stores) -> None:
    assert selected([stored()], Headers({"ETag": tag})) is None


def test_the_newest_of_several_that_match(stored: Stores, date: Dates) -> None:
    old, new = (stored("max-age=600", {"Date": date(-n)}) for n in (90, 60))
    assert newest([new, old]) is new
    assert newest([]) is None


def test_merging_replaces_all_fields_of_a_name() -> None:
    merged = merge(Headers([("X-A", "1"), ("X-A", "2"), ("X-B", "3")]), Headers([("x-a", "4"), ("x-a", "5")]))
    assert merged.getall("X-A") == ["4", "5"]
    assert merged["X-B"] == "3"


@pytest.mark.parametrize(
    "name",
    "Content-Length Content-Encoding Content-Type Content-Range Set-Cookie Connection Transfer-Encoding".split(),
)
def test_merging_leaves_what_frames_and_explains_the_body(name: str) -> None:
    assert merge(Headers({name: "old"}), Headers({name: "new"}))[name] == "old"


def test_merging_drops_what_the_304_calls_its_hops(stored: Stores) -> None:
    assert "X-Hop" not in merge(Headers(), Headers({"Connection": "x-hop", "X-Hop": "1"}))


def test_a_304_renews(stored: Stores, noon: float, date: Dates) -> None:
    old = stored("max-age=60", {"ETag": '"a"', "X-A": "1", "Age": "30"})
    newer = Headers({"Cache-Control": "max-age=90", "ETag": '"a"', "Date": date(100), "Age": "5", "X-A": "2"})
    times = {"requested_at": noon + 100, "received_at": noon + 100, "policy": Policy()}
    renewed, reason = freshen(old, Headers(), newer, **times)
    assert reason == ""
    assert (renewed.ttl(noon + 100), renewed.age(noon + 100), renewed.headers["X-A"]) == (85, 5, "2")
    assert "Age" not in renewed.headers


def test_a_304_without_date_makes_it_young_again(stored: Stores, noon: float) -> None:
    times = {"requested_at": noon + 100, "received_at": noon + 100, "policy": Policy()}
    renewed, _ = freshen(stored("max-age=60", {"ETag": '"a"'}), Headers(), Headers(), **times)
    assert renewed.ttl(noon + 100) == 60


@pytest.mark.parametrize(
    ("newer", "reason"),
    [({"Cache-Control": "no-store"}, "no-store"), ({"Vary": "*"}, "vary-star"), ({"Set-Cookie": "a=b"}, "")],
)
def test_a_304_may_end_the_storing_but_still_answers(
    newer: dict[str, str], reason: str, stored: Stores, noon: float
) -> None:
    times = {"requested_at": noon, "received_at": noon, "policy": Policy()}
    answer, why = freshen(stored("max-age=60", {"ETag": '"a"', "X-A": "1"}), Headers(), Headers(newer), **times)
    assert (why, answer.headers["X-A"], "Set-Cookie" in answer.headers) == (reason, "1", False)


@pytest.mark.parametrize(
    ("status", "newer", "outcome"),
    [
        pytest.param(200, {"ETag": '"a"', "Content-Length": "5"}, "renewed", id="4.3.5-same"),
        pytest.param(200, {}, "renewed", id="4.3.5-says-little"),
        pytest.param(200, {"ETag": '"b"'}, "gone", id="4.3.5-other-tag"),
        pytest.param(200, {"Last-Modified": "Fri, 01 Jan 2027 00:00:00 GMT"}, "gone", id="4.3.5-other-date"),
        pytest.param(200, {"Content-Length": "6"}, "gone", id="4.3.5-other-length"),
        pytest.param(200, {"Cache-Control": "no-store"}, "gone", id="4.3.5-not-to-be-stored"),
        pytest.param(404, {}, "same", id="4.3.5-other-status"),
    ],
)
def test_head_renews_or_invalidates(
    status: int, newer: dict[str, str], outcome: str, stored: Stores, noon: float
) -> None:
    old = stored("max-age=60", {"ETag": '"a"'})
    options: dict[str, Any] = {"requested_at": noon + 50, "received_at": noon + 50, "policy": Policy()}
    found = freshen_by_head(old, 5, Headers(), status, Headers(newer), **options)
    assert ("gone" if found is None else "same" if found is old else "renewed") == outcome
    assert outcome != "renewed" or (found is not None and found.ttl(noon + 50) == 60)


def test_head_says_nothing_of_a_stored_error(stored: Stores, noon: float) -> None:
    old = stored("max-age=60", status=404)
    options: dict[str, Any] = {"requested_at": noon, "received_at": noon, "policy": Policy()}
    assert freshen_by_head(old, 5, Headers(), 200, Headers({"ETag": '"b"'}), **options) is old


def test_head_renews_by_date_alone(stored: Stores, noon: float, date: Dates) -> None:
    old = stored("max-age=60", {"Last-Modified": date(-60)})
    options: dict[str, Any] = {"requested_at": noon + 50, "received_at": noon + 50, "policy": Policy()}
    found = freshen_by_head(old, 5, Headers(), 200, Headers({"Last-Modified": date(-60)}), **options)
    assert found is not None
    assert found.ttl(noon + 50) == 60
