"""Whatever bytes a client sends as a token: 401, soon, and nothing is kept. And JSON is read as strictly as it says."""

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from spork_jwt import Jwt, JwtConfig
from spork_jwt.cache import Entry, TokenCache
from spork_jwt.claims import Accepted, field_text
from spork_jwt.reasons import Refused
from spork_jwt.tokens import DEEPEST, parse_object

from spork_core.api import (
    FIELD_VALUE,
    BadRequest,
    Exchange,
    Headers,
    Identity,
    Problem,
    Request,
    Secret,
    Unauthenticated,
)

SECRET = "n0t-a-secret-but-64-bytes-long-so-that-it-is-enough-for-hs512-too!!"
QUICK = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

part = st.text("ABCDabcd0123-_=.é\udcff ", max_size=60)
looks_like_a_token = st.builds("{}.{}.{}".format, part, part, part)
header_values = st.one_of(st.text(max_size=200), looks_like_a_token, st.binary(max_size=200).map(bytes.hex))


@pytest.fixture
async def plugin() -> Any:
    from spork_core.testing import gateway

    async with gateway(plugins={"jwt": {"secret": SECRET, "cookie": "c", "query": "q"}}) as gw:
        yield gw.gateway.snapshot.instances["jwt"].plugin


@QUICK
@given(header_values)
@example("a.b.c" * 1600)
@example("eyJhbGciOiJIUzI1NiJ9..")
async def test_any_text_is_refused(plugin: Any, value: str) -> None:
    exchange = Exchange(Request(headers=Headers({"Authorization": f"Bearer {value}"})))
    before = time.thread_time()
    with pytest.raises(Problem) as refused:
        plugin.authenticate(exchange)
    assert refused.value.status == 401
    assert time.thread_time() - before < 0.05
    assert not plugin._cache.entries


@QUICK
@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60))
async def test_anywhere_it_stands(plugin: Any, authorization: str, cookie: str, query: str) -> None:
    headers = Headers({"Authorization": authorization, "Cookie": cookie})
    with suppress(Unauthenticated, BadRequest):
        assert plugin.authenticate(Exchange(Request(query=query, headers=headers))) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=25,
)


def depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


@QUICK
@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_json_comes_back(value: dict[str, Any]) -> None:
    if depth(value) <= DEEPEST:
        assert parse_object(json.dumps(value, ensure_ascii=False).encode()) == value


@QUICK
@given(st.binary(max_size=100))
def test_bytes_are_an_object_or_refused(data: bytes) -> None:
    with suppress(Refused):
        assert isinstance(parse_object(data), dict)


@pytest.mark.parametrize("levels", [DEEPEST, DEEPEST + 1, 5000])
def test_nesting_has_a_bound(levels: int) -> None:
    data = b'{"[[[":' * levels + b"1" + b"}" * levels
    if levels <= DEEPEST:
        assert parse_object(data)
    else:
        with pytest.raises(Refused):
            parse_object(data)


@QUICK
@given(json_values)
def test_what_is_forwarded_is_a_field(value: Any) -> None:
    text = field_text(value)
    assert text is None or (FIELD_VALUE.fullmatch(text) and text == text.strip() and text)


@QUICK
@given(
    st.integers(0, 5),
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.integers(1, 500), st.booleans()), max_size=40),
)
def test_the_cache_keeps_its_bounds(most: int, steps: list[tuple[str, int, bool]]) -> None:
    cache = TokenCache(most, 1000)
    for moment, (field, weight, used) in enumerate(steps):
        entry = Entry(Accepted(Identity(field), 99.0, None, None, Headers()), moment + 5.0, (field, "all"), weight)
        entry.used = used
        cache.put(field, entry, moment)
        assert len(cache.entries) <= most
        assert cache.size == sum(each.weight for each in cache.entries.values()) <= 1000
        assert cache._named.get("all", set()) == set(cache.entries)
    cache.drop_named("all")
    assert (cache.size, cache._named, cache.entries) == (0, {}, {})


def test_a_config_shows_no_secret() -> None:
    plugin = Jwt(JwtConfig(secret=Secret(SECRET)), "jwt")
    assert SECRET not in repr((plugin, plugin.config, vars(plugin)))
