"""URLs and settings: what they mean, and the sentence that refuses the others."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_redis.config import Breaker, RedisConfig, Tls
from spork_redis.places import Place, parse

from spork_core.api import Secret

ONE = (("h", 6379),)


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("embedded", Place("own")),
        ("redis://h", Place("standalone", ONE)),
        ("redis://h/", Place("standalone", ONE)),
        ("redis://h:1/3", Place("standalone", (("h", 1),), database=3)),
        ("rediss://h", Place("standalone", ONE, tls=True)),
        ("redis://[::1]:7/2", Place("standalone", (("::1", 7),), database=2)),
        ("redis://u:p%40%3A%2F@h", Place("standalone", ONE, username="u", password=Secret("p@:/"))),
        ("redis://:p@h", Place("standalone", ONE, password=Secret("p"))),
        ("unix:///run/a%20b", Place("standalone", path="/run/a b")),
        ("unix:///run/a?db=4", Place("standalone", path="/run/a", database=4)),
        ("redis+sentinel://a,b:1/mine", Place("sentinel", (("a", 26379), ("b", 1)), service="mine")),
        ("rediss+sentinel://a/mine/2", Place("sentinel", (("a", 26379),), service="mine", database=2, tls=True)),
        ("redis+cluster://a,[::1]:2", Place("cluster", (("a", 6379), ("::1", 2)))),
        ("rediss+cluster://:p@a/0", Place("cluster", (("a", 6379),), tls=True, password=Secret("p"))),
    ],
)
def test_what_urls_mean(url: str, place: Place) -> None:
    assert parse(url) == place


@pytest.mark.parametrize(
    ("url", "remedy"),
    [
        ("", "write embedded, or one that begins with redis://"),
        ("localhost:6379", "write embedded"),
        ("http://h", "write embedded"),
        ("redis:h", "write embedded"),
        ("redis://", "write names such as"),
        ("redis://a,b", "write redis+cluster:// or redis+sentinel://"),
        ("redis://h:x", "write host:6379"),
        ("redis://h:0", "write host:6379"),
        ("redis://h:99999", "write host:6379"),
        ("redis://h:", "write host:6379"),
        ("redis://h/x", "as /0"),
        ("redis://h/1/2", "such as redis://host/0"),
        ("redis://h?ssl=true", "write them as settings"),
        ("redis://h#x", "write it as %23"),
        ("redis://u@h", "write user:password@"),
        ("redis://[::1", "redis://127.0.0.1:6379"),
        ("redis://[::1]x", "write [::1]:6379"),
        ("redis://a b", "write names such as"),
        ("unix://run/a", "as unix:///run/valkey.sock"),
        ("unix:///", "as unix:///run/valkey.sock"),
        ("unix:///a?x=1", 'write "?db=1"'),
        ("redis+sentinel://a", "as /mymaster"),
        ("redis+cluster://a/1", "write the url without"),
    ],
)
def test_what_is_refused_says_what_to_write(url: str, remedy: str) -> None:
    with pytest.raises(ValueError, match="write") as caught:
        parse(url)

    assert remedy in str(caught.value)


def told(url: str) -> str:
    """All that somebody may see of a url."""
    try:
        place = parse(url)
    except ValueError as error:
        return str(error)
    return f"{place} {place!r}"


@given(st.text())
def test_no_error_tells_the_url(password: str) -> None:
    for url in (f"redis://u:hunter2{password}@h:x", f"nonsense://hunter2{password}"):
        assert "hunter2" not in told(url)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"url": "redis://:a@h", "password": Secret("b")}, "a password stands in the url and in password"),
        ({"url": "redis://u:a@h", "username": "v"}, "a user stands in the url and in username"),
        ({"url": "redis://h", "username": "v"}, "a user without a password"),
        ({"url": "redis://h", "sentinel_password": Secret("b")}, "there are no sentinels in the url"),
        ({"url": "redis+sentinel://h/m", "sentinel_username": "u"}, "write sentinel_password"),
        ({"url": "redis://h", "tls": Tls()}, "write rediss://"),
        ({"url": "embedded", "password": Secret("b")}, "an embedded server has no password"),
        ({"url": "embedded", "prefix": "a b"}, "a prefix is printable ASCII"),
        ({"url": "embedded", "prefix": "{a}"}, "a prefix is printable ASCII"),
        ({"url": "embedded", "command_timeout": 0.2}, "1 ms to 100 ms"),
        ({"url": "embedded", "memory": 1000}, "write 64MiB"),
    ],
)
def test_mixtures_are_refused(settings: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=r"write|leave") as caught:
        RedisConfig(**{**settings, "url": Secret(settings["url"])})

    assert said in str(caught.value)


def test_parts_that_do_not_fit_each_other() -> None:
    with pytest.raises(ValueError, match="write both, or neither"):
        Tls(key_file="a")
    with pytest.raises(ValueError, match="write a longer one"):
        Breaker(first_pause=2, longest_pause=1)
