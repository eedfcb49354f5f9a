"""What the config takes, what it refuses, and what it says then."""

from typing import Any

import pytest
from spork_cache import CacheConfig, KeyConfig

MIB = 1 << 20


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"max_size": 1000}, "write 64KiB or more"),
        ({"max_size": MIB, "max_entry": MIB}, "at most half of max_size"),
        ({"max_entry": 0}, "at least 1B"),
        ({"heuristic": 1.5}, "from 0 to 1"),
        ({"lifetimes": {500: 1.0}}, "status 500"),
        ({"lifetimes": {206: 1.0}}, "status 206"),
        ({"lifetimes": {404: -1.0}}, "must not be negative"),
        ({"identified_by": ("a b",)}, '"a b" is not a header name'),
        ({"targeted": ("é",)}, "is not a header name"),
        ({"name": "a b"}, "cannot stand in Cache-Status"),
        ({"wait": -1.0}, "must not be negative"),
        ({"variants": 0}, "from 1 to 10000"),
    ],
)
def test_what_is_refused_says_why(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CacheConfig(**settings)


def test_two_ways_to_choose_parameters_are_one_too_many() -> None:
    with pytest.raises(ValueError, match="only_query already ignores all others"):
        KeyConfig(ignore_query=("a",), only_query=("b",))


@pytest.mark.parametrize(("size", "entry", "largest"), [(64 * MIB, None, MIB), (MIB, None, MIB // 8), (MIB, 9, 9)])
def test_the_longest_content(size: int, entry: int | None, largest: int) -> None:
    assert CacheConfig(max_size=size, max_entry=entry).largest == largest


def test_the_policy_is_what_the_config_says() -> None:
    policy = CacheConfig(name="edge", heuristic=0.1, stale_if_error=5.0, honour_client=False).policy()
    assert (policy.name, policy.heuristic, policy.stale_if_error, policy.honour_client) == ("edge", 0.1, 5.0, False)
