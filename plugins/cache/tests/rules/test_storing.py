"""What may be stored, and what of it (RFC 9111 section 3)."""

from collections.abc import Callable
from typing import Any

import pytest
from spork_cache.rules import Policy, Stored, soft_purged, tags

from spork_core.api import Headers

Store = Callable[..., Stored | str]
Stores = Callable[..., Stored]
AUTHORIZED = {"Authorization": "Bearer x"}
CC = "Cache-Control"


@pytest.mark.parametrize(
    ("options", "fields", "reason"),
    [
        pytest.param({"method": "HEAD"}, {}, "method", id="3-head"),
        pytest.param({"method": "POST"}, {}, "method", id="3-post"),
        pytest.param({"method": "get"}, {}, "method", id="3-method-case"),
        pytest.param({"status": 304}, {}, "status", id="3-304"),
        pytest.param({"status": 206}, {"Content-Range": "bytes 0-1/2"}, "status", id="3-206"),
        pytest.param({"status": 412}, {}, "status", id="said-to-a-condition"),
        pytest.param({"status": 416}, {}, "status", id="said-to-a-range"),
        pytest.param({"status": 429}, {}, "status", id="6585-4"),
        pytest.param({"status": 431}, {}, "status", id="6585-5"),
        pytest.param({"status": 511}, {}, "status", id="6585-6"),
        pytest.param({"request": {"X-HTTP-Method-Override": "PUT"}}, {}, "override", id="method-confusion"),
        pytest.param({"request": {"x-original-url": "/admin"}}, {}, "override", id="target-confusion"),
        pytest.param({"status": 103}, {}, "status", id="3-interim"),
        pytest.param({"status": 999}, {}, "status", id="3-no-status"),
        pytest.param({}, {"Content-Range": "bytes 0-1/2"}, "partial", id="3.3-content-range"),
        pytest.param({"request": {CC: "no-store"}}, {}, "request-no-store", id="5.2.1.5"),
        pytest.param({}, {CC: "no-store, max-age=60"}, "no-store", id="5.2.2.5"),
        pytest.param({"status": 299}, {CC: "must-understand, max-age=60"}, "must-understand", id="5.2.2.3-unknown"),
        pytest.param({}, {CC: "private, max-age=60"}, "private", id="5.2.2.7"),
        pytest.param({"request": AUTHORIZED}, {}, "authorization", id="3.5"),
        pytest.param({"request": AUTHORIZED}, {CC: "proxy-revalidate, max-age=60"}, "authorization", id="3.5-proxy"),
        pytest.param({"authenticated": True}, {}, "authorization", id="3.5-identity"),
        pytest.param({}, {"Set-Cookie": "a=b"}, "set-cookie", id="7.3-set-cookie"),
        pytest.param({}, {"Vary": "*"}, "vary-star", id="4.1-star"),
        pytest.param({}, {"Vary": "a, , *"}, "vary-star", id="4.1-star-among"),
        pytest.param({}, {"Vary": "a,b,c,d,e,f,g,h,i"}, "vary-long", id="4.1-oversized"),
        pytest.param({}, {"Vary": "a b"}, "vary-malformed", id="4.1-malformed"),
        pytest.param({}, {"Vary": "X-Forwarded-For"}, "vary-unseen", id="4.1-what-the-gateway-adds"),
        pytest.param({}, {"Cache-Tag": ",".join(map(str, range(129)))}, "too-many-tags", id="tags"),
        pytest.param({}, {"Cache-Tag": "x" * 257}, "too-many-tags", id="tag-too-long"),
        pytest.param({}, {CC: "public"}, "no-freshness", id="4.2.2-public-alone"),
        pytest.param({}, {CC: ""}, "no-freshness", id="4.2.2-nothing-said"),
        pytest.param({}, {CC: "max-age=0"}, "already-stale", id="useless"),
        pytest.param({}, {CC: "max-age=5", "Age": "9"}, "already-stale", id="useless-by-age"),
        pytest.param({}, {CC: "no-cache"}, "already-stale", id="useless-no-cache"),
    ],
)
def test_not_stored(options: dict[str, Any], fields: dict[str, str], reason: str, store: Store) -> None:
    assert store({CC: "max-age=60", **fields}, **options) == reason


@pytest.mark.parametrize(
    ("options", "fields"),
    [
        pytest.param({"status": 599}, {}, id="3-unknown-status-is-final"),
        pytest.param({"status": 500}, {}, id="3-explicit-error"),
        pytest.param({}, {CC: "no-store, must-understand, max-age=60"}, id="5.2.2.3-understood"),
        pytest.param({"request": AUTHORIZED}, {CC: "public, max-age=60"}, id="3.5-public"),
        pytest.param({"request": AUTHORIZED}, {CC: "s-maxage=60"}, id="3.5-s-maxage"),
        pytest.param({"request": AUTHORIZED}, {CC: "must-revalidate, max-age=60"}, id="3.5-must-revalidate"),
        pytest.param({"request": {"Range": "bytes=0-1"}}, {}, id="whole-answer-to-range"),
        pytest.param({"request": {"Cookie": "a=b"}}, {}, id="7.3-cookie-says-nothing"),
        pytest.param({}, {CC: "no-cache", "ETag": '"a"'}, id="5.2.2.4-to-validate"),
        pytest.param({}, {CC: "max-age=0", "ETag": '"a"'}, id="4.3-to-validate"),
        pytest.param({}, {CC: "max-age=0", "Last-Modified": "Fri, 01 Jan 2027 00:00:00 GMT"}, id="4.3-by-date"),
        pytest.param({}, {CC: "max-age=0, stale-if-error=60"}, id="5861-to-stand-in"),
        pytest.param({}, {"Pragma": "no-cache"}, id="5.4-pragma-in-response"),
    ],
)
def test_stored(options: dict[str, Any], fields: dict[str, str], store: Store) -> None:
    assert isinstance(store({CC: "max-age=60", **fields}, **options), Stored)


def test_fields_of_the_hop_and_computed_ones_are_left_out(stored: Stores, date: Callable[[float], str]) -> None:
    fields = [
        ("Connection", "x-hop, close"),
        ("X-Hop", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"),
        ("Transfer-Encoding", "chunked"),
        ("Trailer", "x"),
        ("Content-Length", "5"),
        ("Age", "3"),
        ("X-Kept", "1"),
        ("X-Kept", "2"),
    ]
    assert list(stored("max-age=60", fields).headers.items()) == [
        ("X-Kept", "1"),
        ("X-Kept", "2"),
        ("Cache-Control", "max-age=60"),
        ("Date", date(0)),
    ]


@pytest.mark.parametrize("directive", ["private", "no-cache"])
def test_fields_that_a_directive_names_are_left_out(directive: str, stored: Stores) -> None:
    kept = stored(f'max-age=60, {directive}="Set-Cookie, X-Mine"', {"Set-Cookie": "a=b", "X-Mine": "1", "X-Ours": "2"})
    assert {"Set-Cookie", "X-Mine"}.isdisjoint(kept.headers)
    assert kept.headers["X-Ours"] == "2"


def test_cookies_are_stripped_by_choice(stored: Stores) -> None:
    kept = stored("max-age=60", {"Set-Cookie": "a=b"}, policy=Policy(strip_cookies=True))
    assert "Set-Cookie" not in kept.headers


def test_must_understand_needs_a_status_of_rfc_9110(store: Store) -> None:
    stored = {n for n in range(200, 600) if isinstance(store({CC: "must-understand, max-age=60"}, status=n), Stored)}
    assert stored == {
        *(200, 203, 204, 205, 300, 301, 302, 303, 307, 308),
        *(400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411, 413, 414, 415, 422, 426),
        *(500, 501, 502, 503, 504, 505),
    }


def test_the_answer_itself_is_not_touched(store: Store) -> None:
    fields = Headers({CC: "max-age=60", "Connection": "x", "Age": "1"})
    before = list(fields.items())
    store(fields)
    assert list(fields.items()) == before


@pytest.mark.parametrize(
    ("cache_control", "policy", "windows"),
    [
        ("max-age=60", {}, (60, 60)),
        ("max-age=60, stale-while-revalidate=30, stale-if-error=600", {}, (90, 660)),
        ("max-age=60", {"stale_while_revalidate": 5.0, "stale_if_error": 9.0}, (65, 69)),
        ("max-age=60, stale-if-error=0", {"stale_if_error": 9.0}, (60, 60)),
        ("max-age=60, must-revalidate, stale-if-error=600", {"stale_while_revalidate": 5.0}, (60, 60)),
        ("max-age=60, proxy-revalidate, stale-if-error=600", {}, (60, 60)),
        ("s-maxage=60, stale-while-revalidate=30, stale-if-error=600", {"stale_if_error": 9.0}, (60, 60)),
        ("s-maxage=60, stale-while-revalidate=30", {"stale_beside_s_maxage": True, "stale_if_error": 9.0}, (90, 60)),
        ("s-maxage=60, stale-if-error=9", {"stale_beside_s_maxage": True, "stale_while_revalidate": 5.0}, (60, 69)),
        ("no-cache, stale-if-error=600", {"stale_if_error": 9.0}, (0, 0)),
    ],
)
def test_stale_windows(
    cache_control: str, policy: dict[str, Any], windows: tuple[int, int], stored: Stores, noon: float
) -> None:
    kept = stored(cache_control, {"ETag": '"a"'}, policy=Policy(**policy))
    assert (kept.stale_while_revalidate_until - noon, kept.stale_if_error_until - noon) == windows


def test_what_a_purge_by_tag_finds() -> None:
    fields = Headers([("Surrogate-Key", "b a  b"), ("Cache-Tag", "c d, e,,"), ("Cache-Tag", "A")])
    assert tags(fields, 9) == ("A", "a", "b", "c d", "e")
    assert tags(Headers({"Surrogate-Key": "a b"}), 2) == ("a", "b")
    assert tags(Headers({"Cache-Tag": "a, b"}), 2) == ("a", "b")


def test_a_soft_purge_ends_freshness_and_moves_the_windows(stored: Stores, noon: float) -> None:
    kept = stored("max-age=60, stale-while-revalidate=30, stale-if-error=90")
    purged = soft_purged(kept, noon + 10)
    assert (purged.ttl(noon + 10), purged.stale_while_revalidate_until, purged.stale_if_error_until) == (
        0,
        noon + 40,
        noon + 100,
    )
    assert soft_purged(purged, noon + 20) is purged


def test_what_an_operator_reads_of_it(stored: Stores) -> None:
    assert repr(stored()) == "<Stored 200 fresh for 60 s>"
