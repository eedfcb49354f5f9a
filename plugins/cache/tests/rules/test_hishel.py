"""The same answers as hishel's policy engine, an independent reading of RFC 9111, on the ground where it is right.

Left out is what it does not do: Age, responses without Date, request directives but no-cache, must-understand, HEAD.
"""

import uuid
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Action, Policy, Stored, merge, reuse, vary_key, vary_names

from spork_core.api import Headers

hishel = pytest.importorskip("hishel", reason="the oracle is an optional test dependency")

CC = "Cache-Control"
Dates = Callable[[float], str]


@pytest.fixture(scope="module", autouse=True)
def always_noon(noon: float) -> Iterator[None]:
    """The oracle reads the wall clock; here that stands still."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hishel._core._spec.time", SimpleNamespace(time=lambda: noon))
        yield


def message(kind: Any, *start: Any, fields: dict[str, str]) -> Any:
    return kind(*start, headers=hishel.Headers(fields))


OPTIONS = hishel.CacheOptions(shared=True)
DIRECTIVES = st.lists(
    st.sampled_from("public private no-store no-cache must-revalidate s-maxage=30 no-transform x=1".split()),
    unique=True,
    max_size=4,
).map(lambda words: ", ".join(["max-age=60", *words]))
REQUESTS = st.fixed_dictionaries({}, optional={"Authorization": st.just("x"), "X-A": st.sampled_from(["1", "2"])})


@given(DIRECTIVES, REQUESTS, st.sampled_from([200, 201, 206, 301, 302, 304, 404, 500, 599]))
def test_what_is_stored(
    store: Callable[..., Any], date: Dates, cache_control: str, asked: dict[str, str], status: int
) -> None:
    fields = {CC: cache_control, "ETag": '"a"', "Date": date(0)}
    miss = hishel.CacheMiss(request=message(hishel.Request, "GET", "http://a/", fields=asked), options=OPTIONS)
    theirs = isinstance(miss.next(message(hishel.Response, status, fields=fields)), hishel.StoreAndUse)
    assert isinstance(store(fields, request=asked, status=status), Stored) is theirs


@given(DIRECTIVES, st.sampled_from(["", "no-cache", "no-transform"]), st.integers(0, 90))
def test_what_is_reused(
    store: Callable[..., Any],
    date: Dates,
    noon: float,
    cache_control: str,
    asked: str,
    age: int,
) -> None:
    fields = {CC: cache_control, "ETag": '"a"', "Date": date(-age)}
    ours = store(fields, requested_at=noon - age, received_at=noon - age)
    if isinstance(ours, Stored):
        request = message(hishel.Request, "GET", "http://a/", fields={CC: asked})
        entry = hishel.Entry(uuid.UUID(int=1), request, message(hishel.Response, 200, fields=fields))
        theirs = hishel.IdleClient(options=OPTIONS).next(request, [entry])
        hit = reuse(ours, Headers({CC: asked}), noon, Policy()).action is Action.HIT
        assert hit is isinstance(theirs, hishel.FromCache)


@given(REQUESTS, REQUESTS, st.sampled_from(["X-A", "x-a, X-B", "X-B", "*"]))
def test_which_variant_matches(store: Any, date: Dates, one: dict[str, str], two: dict[str, str], vary: str) -> None:
    fields = {CC: "public, max-age=60", "ETag": '"a"', "Date": date(0), "Vary": vary}
    names = vary_names(Headers(fields), 8)
    ours = not isinstance(names, str) and vary_key(Headers(one), names) == vary_key(Headers(two), names)
    asked, other = (message(hishel.Request, "GET", "http://a/", fields=each) for each in (one, two))
    entry = hishel.Entry(uuid.UUID(int=1), asked, message(hishel.Response, 200, fields=fields))
    assert ours is isinstance(hishel.IdleClient(options=OPTIONS).next(other, [entry]), hishel.FromCache)


FIELDS = st.dictionaries(
    st.sampled_from("X-A X-B Content-Type Content-Encoding Content-Range Content-Length Cache-Control ETag".split()),
    st.sampled_from("123"),
)


@given(FIELDS, FIELDS)
def test_what_a_304_changes(date: Dates, old: dict[str, str], new: dict[str, str]) -> None:
    old, new = {"Date": date(0), "Last-Modified": date(-9), **old}, {"Date": date(9), "Last-Modified": date(-9), **new}
    old.pop("Content-Length", None)  # we do not store it
    new["ETag"] = old["ETag"] = '"a"'
    asked = message(hishel.Request, "GET", "http://a/", fields={})
    entry = hishel.Entry(uuid.UUID(int=1), asked, message(hishel.Response, 200, fields=old))
    needed = hishel.NeedRevalidation(
        options=OPTIONS, request=asked, original_request=asked, revalidating_entries=[entry]
    )
    updated = needed.next(message(hishel.Response, 304, fields=new)).updating_entries[0].response.headers
    assert {name.lower(): value for name, value in merge(Headers(old), Headers(new)).items()} == {
        name.lower(): updated[name] for name in updated
    }
