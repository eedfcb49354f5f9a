"""What a config may say, and what it is told otherwise."""

import re
from typing import Any

import pytest
from spork_rate_limit.config import RateLimitConfig, Tier, Tiers

from spork_core.api import Rate
from spork_core.testing import gateway

MINUTE = Rate(60, 60.0)
BY = 'write one of address, identity, key, route or "header:NAME"'


def config(**settings: Any) -> RateLimitConfig:
    return RateLimitConfig(**{"limit": (MINUTE,), **settings})


@pytest.mark.parametrize(
    ("settings", "found", "remedy"),
    [
        ({"limit": ()}, "there is no limit", 'write one, such as "60/minute"'),
        (
            {"limit": (Rate(10**9, 1.0),)},
            '"1000000000/second" limits nothing that a gateway could do',
            "write 10,000,000 or less",
        ),
        ({"limit": (Rate(1, 0.0001),)}, '"1/0.0001s" has too short a window', "write a period of 1ms or more"),
        (
            {"limit": (MINUTE, Rate(50, 60.0))},
            '"60/minute" and "50/minute" limit the same window',
            "keep the lower one",
        ),
        (
            {"limit": (MINUTE, Rate(60, 3600.0))},
            '"60/minute" is never reached, since "60/hour" allows no more than that',
            "leave it out",
        ),
        (
            {"limit": (Rate(1, 1.0), MINUTE)},
            '"60/minute" is never reached, since "1/second" allows no more than that',
            "leave it out",
        ),
        ({"by": ()}, "nobody is counted", BY),
        ({"by": ("ip",)}, '"ip" tells nobody apart', BY),
        ({"by": ("header:",)}, '"header:" tells nobody apart', BY),
        ({"by": ("header:Cookie",)}, '"header:Cookie" holds credentials in forms that vary', 'write "key"'),
        ({"by": ("route", "route")}, "the same stands there twice", "keep one"),
        ({"burst": 5}, "sliding-window has no burst", "write algorithm: gcra, or leave burst out"),
        ({"algorithm": "gcra", "burst": 0}, "0 is no burst", "write 1 to 10,000,000"),
        (
            {"algorithm": "gcra", "burst": 5, "limit": (Rate(5, 1.0), MINUTE)},
            "it is not clear of which limit this is the burst",
            "keep one limit, or leave burst out",
        ),
        (
            {"algorithm": "gcra", "burst": 36_501, "limit": (Rate(1, 86400.0),)},
            'a burst of 36501 takes more than a century to come back by "1/day"',
            "write 36500 or less",
        ),
        ({"cost": 0}, "0 is no cost", "write 1 or more"),
        ({"cost": 61}, 'a request of cost 61 never passes "60/minute"', "write 60 or less"),
        ({"costs": {"POST": 61}}, 'a POST of cost 61 never passes "60/minute"', "write 60 or less"),
        (
            {"algorithm": "gcra", "burst": 5, "cost": 6},
            'a request of cost 6 never passes "60/minute"',
            "write 5 or less",
        ),
        ({"costs": {"post": 2}}, '"post" is not a method', "write it in capitals, such as POST"),
        ({"costs": {"POST": -1}}, "-1 is no cost", "write 0 or more"),
        ({"policy": "ä"}, '"ä" cannot stand in a field', "write letters, digits and hyphens"),
        ({"policy": "a\tb"}, '"a\tb" cannot stand in a field', "write letters, digits and hyphens"),
        ({"max_keys": 5}, "5 callers are too few or too many", "write 100 to 10,000,000"),
        ({"ipv6_prefix": 0}, "0 is no prefix that tells callers apart", "write 16 to 128, such as 64"),
    ],
)
def test_what_is_wrong_is_refused_with_a_remedy(settings: dict[str, Any], found: str, remedy: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(f'{found}; {remedy}')}$"):
        config(**settings)


@pytest.mark.parametrize("by", ["plan", "claims", "claims.", "claims..plan", "role"])
def test_a_tier_is_found_where_identities_have_something(by: str) -> None:
    with pytest.raises(ValueError, match=r'nothing that identities have; write roles, scopes or "claims\.NAME"'):
        Tiers(by, {"gold": Tier((MINUTE,))})


def test_no_tiers_are_refused() -> None:
    with pytest.raises(ValueError, match="there are no tiers; write at least one"):
        Tiers("roles", {})


def test_a_tier_has_a_name() -> None:
    with pytest.raises(ValueError, match="a tier has no name; write one, such as gold"):
        Tiers("roles", {"": Tier((MINUTE,))})


def test_a_cost_must_pass_in_every_tier() -> None:
    with pytest.raises(ValueError, match='never passes "2/minute"'):
        config(cost=3, tiers=Tiers("roles", {"poor": Tier((Rate(2, 60.0),))}))


async def test_a_limit_by_identity_needs_one_before_it() -> None:
    with pytest.raises(Exception, match='"limit" requires identity, which no instance of this chain provides; put an'):
        async with gateway(plugins={"limit": {"use": "rate-limit", "limit": "1/minute", "by": "identity"}}):
            pass


async def test_a_bad_limit_is_told_with_its_place() -> None:
    with pytest.raises(Exception, match=r'\$\.plugins\.limit\.limit: "60" is not a rate; write "60/minute"'):
        async with gateway(plugins={"limit": {"use": "rate-limit", "limit": "60"}}):
            pass
