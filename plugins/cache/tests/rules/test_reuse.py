"""Whether a stored response answers a request (RFC 9111 sections 4 and 5.2.1, RFC 5861)."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Action, Policy, Stored, as_it_is, plain, request_no_store, reuse, stale_if_error

from spork_core.api import Headers

Stores = Callable[..., Stored]
CC = "Cache-Control"
TAG = {"ETag": '"a"'}
SWR = "max-age=60, stale-while-revalidate=30"


@pytest.mark.parametrize(
    ("cache_control", "request_fields", "after", "decision"),
    [
        pytest.param("max-age=60", {}, 59, "hit", id="4.2-fresh"),
        pytest.param("max-age=60", {}, 60, "validate stale", id="4.2-stale"),
        pytest.param("max-age=60", {"X-Other": "1"}, 59, "hit", id="4-other-fields"),
        pytest.param("no-cache, max-age=60", {}, 1, "validate stale no-cache", id="5.2.2.4"),
        pytest.param("max-age=60", {CC: "no-cache"}, 1, "validate request no-cache", id="5.2.1.4"),
        pytest.param("max-age=60", {"Pragma": "no-cache"}, 1, "validate request no-cache", id="5.4"),
        pytest.param("max-age=60", {CC: "max-age=9"}, 9, "hit", id="5.2.1.1-young-enough"),
        pytest.param("max-age=60", {CC: "max-age=9"}, 10, "validate request max-age", id="5.2.1.1-too-old"),
        pytest.param("max-age=60", {CC: "max-age=0"}, 0, "validate request max-age", id="5.2.1.1-reload"),
        pytest.param("max-age=60", {CC: "max-age=x"}, 0, "validate request max-age", id="5.2.1.1-broken"),
        pytest.param("max-age=60", {CC: "min-fresh=9"}, 51, "hit", id="5.2.1.3-enough"),
        pytest.param("max-age=60", {CC: "min-fresh=9"}, 52, "validate request min-fresh", id="5.2.1.3-too-little"),
        pytest.param("max-age=60", {CC: "min-fresh=9"}, 70, "validate stale", id="5.2.1.3-stale"),
        pytest.param("max-age=60", {CC: "max-stale=9"}, 69, "stale max-stale", id="5.2.1.2-within"),
        pytest.param("max-age=60", {CC: "max-stale=9"}, 70, "validate stale", id="5.2.1.2-beyond"),
        pytest.param("max-age=60", {CC: "max-stale"}, 9999, "stale max-stale", id="5.2.1.2-any"),
        pytest.param("max-age=60", {CC: "max-age=65, max-stale=9"}, 64, "stale max-stale", id="5.2.1.1-with-max-stale"),
        pytest.param("s-maxage=60", {CC: "max-stale"}, 61, "validate stale", id="4.2.4-s-maxage"),
        pytest.param(
            "max-age=60, must-revalidate", {CC: "max-stale"}, 61, "validate stale", id="4.2.4-must-revalidate"
        ),
        pytest.param("max-age=60, proxy-revalidate", {CC: "max-stale"}, 61, "validate stale", id="4.2.4-proxy"),
        pytest.param("no-cache", {CC: "max-stale"}, 1, "validate stale no-cache", id="4.2.4-no-cache"),
        pytest.param("max-age=60", {CC: "no-store"}, 1, "hit", id="5.2.1.5-is-about-storing"),
        pytest.param("max-age=60", {CC: "only-if-cached"}, 59, "hit", id="5.2.1.7-fresh"),
        pytest.param("max-age=60", {CC: "only-if-cached"}, 61, "unsatisfiable only-if-cached", id="5.2.1.7-stale"),
        pytest.param(
            "max-age=60", {CC: "only-if-cached, no-cache"}, 1, "unsatisfiable only-if-cached", id="5.2.1.7-both"
        ),
        pytest.param("max-age=60", {"If-Match": '"a"'}, 1, "forward request precondition", id="4.3.2-if-match"),
        pytest.param(
            "max-age=60", {"If-Unmodified-Since": "x"}, 1, "forward request precondition", id="4.3.2-unmodified"
        ),
        pytest.param("max-age=60", {"If-None-Match": '"a"'}, 1, "hit", id="4.3.2-if-none-match"),
        pytest.param("max-age=60", {"X-Rewrite-URL": "/b"}, 1, "forward bypass override", id="override"),
        pytest.param("max-age=60", {"Authorization": "x"}, 1, "forward request authorization", id="3.5"),
        pytest.param("public, max-age=60", {"Authorization": "x"}, 1, "hit", id="3.5-public"),
        pytest.param(SWR, {}, 89, "refresh stale-while-revalidate", id="5861-3-within"),
        pytest.param(SWR, {}, 90, "validate stale", id="5861-3-beyond"),
        pytest.param(SWR, {CC: "max-age=100"}, 70, "validate stale", id="5.2.1.1-takes-nothing-stale"),
        pytest.param(SWR, {CC: "only-if-cached"}, 70, "refresh stale-while-revalidate", id="5861-3-only-if-cached"),
        pytest.param(SWR, {CC: "no-cache"}, 70, "validate request no-cache", id="5861-3-no-cache"),
    ],
)
def test_decisions(
    cache_control: str, request_fields: dict[str, str], after: int, decision: str, stored: Stores, noon: float
) -> None:
    found = reuse(stored(cache_control, TAG), Headers(request_fields), noon + after, Policy())
    assert " ".join(filter(None, (found.action.value, found.fwd, found.detail))) == decision


@pytest.mark.parametrize("asked", ["no-cache", "max-age=0", "min-fresh=99", "max-stale"])
def test_clients_are_not_heard_by_choice(asked: str, stored: Stores, noon: float) -> None:
    kept, headers, policy = stored("max-age=60", TAG), Headers({CC: asked}), Policy(honour_client=False)
    assert reuse(kept, headers, noon, policy).action is Action.HIT
    assert reuse(kept, headers, noon + 61, policy).action is Action.VALIDATE
    assert not stale_if_error(kept, Headers({CC: "stale-if-error=30"}), noon + 61, 503, policy)


def test_without_a_validator_the_upstream_is_asked_anew(stored: Stores, noon: float) -> None:
    assert reuse(stored(), Headers(), noon + 61, Policy()).action is Action.FORWARD


@pytest.mark.parametrize(("cache_control", "action"), [("max-age=60", Action.FORWARD), ("s-maxage=60", Action.HIT)])
def test_nobody_known_gets_an_answer_that_is_not_for_all(
    cache_control: str, action: Action, stored: Stores, noon: float
) -> None:
    assert reuse(stored(cache_control), Headers(), noon, Policy(), authenticated=True).action is action


@pytest.mark.parametrize("miss", ["uri-miss", "vary-miss", "miss"])
def test_nothing_stored(miss: Any, noon: float) -> None:
    found = reuse(None, Headers(), noon, Policy(), miss=miss)
    assert (found.action, found.fwd) == (Action.FORWARD, miss)
    assert reuse(None, Headers({"Authorization": "x"}), noon, Policy(), miss=miss).fwd == miss
    only = reuse(None, Headers({CC: "only-if-cached"}), noon, Policy(), miss=miss)
    assert only.action is Action.UNSATISFIABLE


@pytest.mark.parametrize(
    ("cache_control", "request_fields", "status", "after", "stands_in"),
    [
        ("max-age=60, stale-if-error=30", {}, 500, 89, True),
        ("max-age=60, stale-if-error=30", {}, None, 89, True),
        ("max-age=60, stale-if-error=30", {}, 504, 89, True),
        ("max-age=60, stale-if-error=30", {}, 500, 90, False),
        ("max-age=60, stale-if-error=30", {}, 404, 70, False),
        ("max-age=60, stale-if-error=30", {}, 501, 70, False),
        ("max-age=60, stale-if-error=30, must-revalidate", {}, 503, 70, False),
        ("max-age=60", {}, 503, 1, False),
        ("max-age=60", {CC: "stale-if-error=30"}, 502, 89, True),
        ("max-age=60, must-revalidate", {CC: "stale-if-error=30"}, 502, 61, False),
        ("no-cache", {CC: "stale-if-error=30"}, 504, 1, False),
        ("max-age=60, stale-if-error=30", {"Authorization": "x"}, 504, 70, False),
        ("max-age=60, stale-if-error=30", {"X-Host": "b"}, 504, 70, False),
    ],
)
def test_stale_if_error(
    cache_control: str,
    request_fields: dict[str, str],
    status: int | None,
    after: int,
    stands_in: bool,
    stored: Stores,
    noon: float,
) -> None:
    kept = stored(cache_control, TAG)
    assert stale_if_error(kept, Headers(request_fields), noon + after, status, Policy()) is stands_in


def test_what_overrides_the_request_line_is_no_miss_to_share(noon: float) -> None:
    assert reuse(None, Headers({"X-HTTP-Method": "PUT"}), noon, Policy()).fwd == "bypass"


def test_request_no_store() -> None:
    assert request_no_store(Headers({CC: "no-store"}))
    assert not request_no_store(Headers({CC: "max-age=0"}))


NAMES = st.sampled_from(
    ["Host", "user-agent", "COOKIE", "X-Odd", "cache-control", "PRAGMA", "Range", "if-none-match", "Authorization"]
)


@given(st.lists(NAMES, max_size=6))
def test_plain_means_none_of_the_fields_that_matter(names: list[str]) -> None:
    matter = {"cache-control", "pragma", "range", "if-none-match", "authorization"}
    assert plain(Headers((name, "x") for name in names)) is matter.isdisjoint(map(str.lower, names))


DIRECTIVES = st.sampled_from(
    "no-cache private no-store public must-revalidate proxy-revalidate max-age=60 max-age=0 max-age=x s-maxage=5 "
    "stale-while-revalidate=30 stale-if-error=30".split()
)
ASKED = st.sampled_from(["", "max-stale", "max-stale=9", "no-cache", "max-age=5", "min-fresh=5", "only-if-cached"])


@given(st.lists(DIRECTIVES, max_size=5).map(", ".join), ASKED, st.integers(0, 120))
def test_nothing_stale_is_served_against_the_upstreams_word(
    store: Any, noon: float, cache_control: str, asked: str, after: int
) -> None:
    kept = store({CC: cache_control, **TAG})
    if isinstance(kept, Stored):
        action = reuse(kept, Headers({CC: asked}), noon + after, Policy()).action
        served = action in {Action.HIT, Action.STALE, Action.REFRESH}
        forbidden = ("no-cache", "must-revalidate", "proxy-revalidate", "s-maxage")
        assert not (served and kept.ttl(noon + after) <= 0 and any(word in cache_control for word in forbidden))
        assert not (action is Action.HIT and kept.ttl(noon + after) <= 0)


@given(
    st.booleans(), st.booleans(), st.sets(st.sampled_from(["Accept", "Authorization", "Range", "X-Other", "Pragma"]))
)
def test_what_is_a_hit_at_a_glance_is_one_on_a_closer_look(
    stored: Any, public: bool, known: bool, names: set[str]
) -> None:
    kept = stored("public, max-age=60" if public else "max-age=60")
    headers = Headers(dict.fromkeys(names, "x"))
    if as_it_is(kept, headers, authenticated=known):
        assert known <= kept.shareable
        assert ("Authorization" in names) <= kept.shareable
        assert not names & {"Range", "Pragma"}
        assert reuse(kept, headers, kept.received_at, Policy(), authenticated=known).action is Action.HIT
