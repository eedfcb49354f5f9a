"""What a response is found by: URI, space, identity and the fields in Vary (RFC 9111 sections 2 and 4.1)."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import primary_key, store_key, target_for_key, uri, vary_key, vary_names

from spork_core.api import Headers


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("http", "A.Example", "/X?b=2&a=1"), "http://a.example/X?b=2&a=1"),
        (("http", "a.example:80", "/"), "http://a.example/"),
        (("https", "a.example:443", "/"), "https://a.example/"),
        (("https", "a.example:80", "/"), "https://a.example:80/"),
        (("http", "[::1]:80", "/%7Ex"), "http://[::1]/%7Ex"),
        (("http", "a", ""), "http://a/"),
        (("http", "a", "?x"), "http://a/?x"),
        (("http", "a/b", "/c"), "http://a\\b/c"),
    ],
)
def test_uri(parts: tuple[str, str, str], text: str) -> None:
    assert uri(*parts) == text


@pytest.mark.parametrize("other", ["/a.css", "/a/", "/a?", "/A", "/a;.css", "/a%2e", "//a"])
def test_paths_that_only_look_alike_are_different(other: str) -> None:
    assert uri("http", "h", "/a") != uri("http", "h", other)


@pytest.mark.parametrize(
    ("target", "options", "kept"),
    [
        ("/p?b=1&a=2", {}, "/p?b=1&a=2"),
        ("/p?utm_source=x&a=2", {"ignore": {"utm_source"}}, "/p?a=2"),
        ("/p?utm%5Fsource=x", {"ignore": {"utm_source"}}, "/p"),
        ("/p?%69d=1&x=2&id", {"only": {"id"}}, "/p?%69d=1&id"),
        ("/p?b=2&a=2&b=1", {"sort": True}, "/p?a=2&b=2&b=1"),
        ("/p?utm_source=x;id=2", {"ignore": {"utm_source"}}, "/p?utm_source=x;id=2"),
        ("/p", {"only": ()}, "/p"),
        ("/p?a=b=c&&a", {"sort": True}, "/p?&a=b=c&a"),
    ],
)
def test_query_by_choice(target: str, options: dict[str, Any], kept: str) -> None:
    assert target_for_key(target, **options) == kept


PARTS = st.tuples(*[st.text(":|/1a\n\x00", max_size=5)] * 3)


@given(PARTS, PARTS)
def test_no_part_of_a_key_pretends_to_be_another(one: tuple[str, str, str], two: tuple[str, str, str]) -> None:
    keys = [primary_key(f"http://{u}", space=space, identity=identity) for u, space, identity in (one, two)]
    assert (keys[0] == keys[1]) is (one == two)


def test_each_part_of_a_key_counts_alone() -> None:
    keys = {primary_key("http://a/", **part) for part in ({}, {"space": "x"}, {"space": "y"}, {"identity": "x"})}
    assert len(keys) == 4


def test_store_keys_are_short_and_hide_what_they_are_made_of() -> None:
    key = store_key("http://a/", "authorization=8:Bearer x")
    assert len(key) == 40
    assert key != store_key("http://a/") != store_key("http://a/a", "")
    assert store_key("a", "bc") != store_key("ab", "c")
    assert len(store_key("\udcff" * 9000)) == 40


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ([], ()),
        ([("Vary", "")], ()),
        ([("Vary", "B, a,"), ("Vary", "b")], ("a", "b")),
        ([("Vary", "X-Forwarded-Host")], ("x-forwarded-host",)),
        ([("Vary", "a, *")], "vary-star"),
        ([("Vary", "a"), ("Vary", "b, c")], ("a", "b", "c")),
        ([("Vary", "a"), ("Vary", "b, c, d")], "vary-long"),
        ([("Vary", "a" * 2000)], "vary-long"),
        ([("Vary", "Via")], "vary-unseen"),
        ([("Vary", "a/b")], "vary-malformed"),
    ],
)
def test_vary_names(fields: list[tuple[str, str]], names: Any) -> None:
    assert vary_names(Headers(fields), 3) == names


SAME = [
    pytest.param("x-a", ["1"], [" 1\t"], id="4.1-space"),
    pytest.param("x-a", ["1", "2"], ["1, 2"], id="4.1-lines-and-list"),
    pytest.param("accept-encoding", ["gzip, br"], ["BR,gzip"], id="codings-order-and-case"),
    pytest.param("accept-encoding", ["gzip;q=0.50"], ["gzip ; Q=0.5"], id="codings-weight"),
    pytest.param("accept-encoding", ["gzip;q=1.000"], ["gzip"], id="codings-weight-one"),
    pytest.param("accept-encoding", ["gzip;q=0.000"], ["gzip;q=0"], id="codings-weight-nil"),
    pytest.param("accept-language", ["De-CH , en;q=0.90"], ["de-ch,en;q=0.9"], id="languages"),
]
DIFFERENT = [
    pytest.param("x-a", ["1"], ["2"], id="4.1-value"),
    pytest.param("x-a", [""], None, id="4.1-empty-and-absent"),
    pytest.param("x-a", ["A"], ["a"], id="4.1-case-of-other-fields"),
    pytest.param("x-a", ["1,2"], ["2,1"], id="4.1-order-of-other-fields"),
    pytest.param("user-agent", ["a (b, c)"], ["a (b,c)"], id="4.1-inner-space"),
    pytest.param("accept-encoding", [""], None, id="12.5.3-no-coding-and-any"),
    pytest.param("accept-encoding", ["gzip;q=0"], ["gzip"], id="12.5.3-refused"),
    pytest.param("accept-encoding", ["gzip;q=0.5"], ["gzip;q=0.05"], id="12.5.3-weights"),
    pytest.param("accept-encoding", ["gzip;q=2"], ["gzip"], id="12.5.3-weight-broken"),
    pytest.param("accept-language", ["de,en"], ["en,de"], id="languages-order"),
    pytest.param("accept-encoding", ["A" * 300], ["a" * 300], id="too-long-to-be-read"),
]


def key(name: str, values: list[str] | None) -> str:
    return vary_key(Headers((name, value) for value in values or ()), (name, "x-z"))


@pytest.mark.parametrize(("name", "one", "two"), SAME)
def test_values_that_mean_the_same(name: str, one: list[str], two: list[str]) -> None:
    assert key(name, one) == key(name, two)


@pytest.mark.parametrize(("name", "one", "two"), DIFFERENT)
def test_values_that_differ(name: str, one: list[str], two: list[str] | None) -> None:
    assert key(name, one) != key(name, two)


@pytest.mark.parametrize("name", ["authorization", "cookie", "x-a"])
def test_secrets_and_long_values_stand_in_a_key_as_digests(name: str) -> None:
    secret = "s3cret" if name != "x-a" else "s3cret" * 30
    keys = {key(name, values) for values in ([secret], [secret + "x"], [""], None)}
    assert len(keys) == 4
    assert not any("s3cret" in text for text in keys)
    assert max(map(len, keys)) < 80


VALUES = st.none() | st.text("=:-1ab,", max_size=4)


@given(VALUES, VALUES, VALUES, VALUES)
def test_no_value_pretends_to_be_another_field(a: str | None, b: str | None, c: str | None, d: str | None) -> None:
    def made(x: str | None, y: str | None) -> str:
        return vary_key(Headers((n, v) for n, v in (("x-a", x), ("x-b", y)) if v is not None), ("x-a", "x-b"))

    assert (made(a, b) == made(c, d)) is ((a, b) == (c, d))


@given(st.text(max_size=300))
def test_any_accept_encoding_is_keyed_without_raising(text: str) -> None:
    vary_key(Headers({"Accept-Encoding": text}), ("accept-encoding",))
