"""The config class, and what it refuses: limits that nobody reaches or nobody passes, and words that say nothing."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_core.api import TOKEN, Rate, setting
from spork_rate_limit.callers import HEADER

_ALONE: Final = {"alone": True}
"""One item may stand without its list."""
_MOST: Final = 10_000_000
_CENTURY: Final = 100 * 365 * 86400.0
_SOMEBODY: Final = ("address", "identity", "key", "route")
_SENT: Final = ("authorization", "cookie", "x-api-key")

Algorithm = Literal["sliding-window", "gcra", "fixed-window"]


def _rates(_: object, _field: "Attribute[Any]", rates: Sequence[Rate]) -> None:
    if not rates:
        raise ValueError('there is no limit; write one, such as "60/minute"')
    ordered = sorted(rates, key=lambda rate: rate.seconds)
    for rate in ordered:
        if rate.count > _MOST:
            raise ValueError(f'"{rate}" limits nothing that a gateway could do; write {_MOST:,} or less')
        if rate.seconds < 0.001:
            raise ValueError(f'"{rate}" has too short a window; write a period of 1ms or more')
    for short, long in pairwise(ordered):
        if short.seconds == long.seconds:
            raise ValueError(f'"{short}" and "{long}" limit the same window; keep the lower one')
        if short.count >= long.count:
            raise ValueError(f'"{short}" is never reached, since "{long}" allows no more than that; leave it out')
        if short.per_second <= long.per_second:
            raise ValueError(f'"{long}" is never reached, since "{short}" allows no more than that; leave it out')


def _by(_: object, _field: "Attribute[Any]", by: Sequence[str]) -> None:
    if not by:
        raise ValueError(f'nobody is counted; write one of {", ".join(_SOMEBODY)} or "{HEADER}NAME"')
    for each in by:
        name = each.removeprefix(HEADER)
        if each not in _SOMEBODY and (name == each or not TOKEN.fullmatch(name)):
            raise ValueError(f'"{each}" tells nobody apart; write one of {", ".join(_SOMEBODY)} or "{HEADER}NAME"')
        if name != each and name.lower() in _SENT[:2]:
            raise ValueError(f'"{each}" holds credentials in forms that vary; write "key"')
    if len({each.lower() for each in by}) < len(by):
        raise ValueError("the same stands there twice; keep one")


def _tier_by(_: object, _field: "Attribute[Any]", by: str) -> None:
    first, _, path = by.partition(".")
    if by not in ("roles", "scopes") and (first != "claims" or not all(path.split("."))):
        raise ValueError(f'"{by}" is nothing that identities have; write roles, scopes or "claims.NAME"')


def _tier_limits(_: object, _field: "Attribute[Any]", limits: Mapping[str, "Tier"]) -> None:
    if not limits:
        raise ValueError("there are no tiers; write at least one, such as {gold: 600/minute}")
    if "" in limits:
        raise ValueError("a tier has no name; write one, such as gold")


def _burst(config: "RateLimitConfig", _field: "Attribute[Any]", burst: int | None) -> None:
    if burst is None:
        return
    if config.algorithm != "gcra":
        raise ValueError(f"{config.algorithm} has no burst; write algorithm: gcra, or leave burst out")
    if not 1 <= burst <= _MOST:
        raise ValueError(f"{burst} is no burst; write 1 to {_MOST:,}")
    for rates in config.all_rates():
        for rate in rates:
            if burst / rate.per_second > _CENTURY:
                most = max(1, int(rate.per_second * _CENTURY))
                raise ValueError(
                    f'a burst of {burst} takes more than a century to come back by "{rate}"; write {most} or less'
                )
    if any(len(rates) > 1 for rates in config.all_rates()):
        raise ValueError("it is not clear of which limit this is the burst; keep one limit, or leave burst out")


def _cost(config: "RateLimitConfig", _field: "Attribute[Any]", cost: int) -> None:
    _affordable(config, [("a request", cost)], least=1)


def _costs(config: "RateLimitConfig", _field: "Attribute[Any]", costs: Mapping[str, int]) -> None:
    for method in costs:
        if not TOKEN.fullmatch(method) or method != method.upper():
            raise ValueError(f'"{method}" is not a method; write it in capitals, such as POST')
    _affordable(config, [(f"a {method}", cost) for method, cost in costs.items()], least=0)


def _affordable(config: "RateLimitConfig", costs: Iterable[tuple[str, int]], least: int) -> None:
    for what, cost in costs:
        if cost < least:
            raise ValueError(f"{cost} is no cost; write {least} or more")
        for rates in config.all_rates():
            for rate in rates:
                most = config.burst or rate.count
                if cost > most:
                    raise ValueError(f'{what} of cost {cost} never passes "{rate}"; write {most} or less')


def _policy(_: object, _field: "Attribute[Any]", name: str | None) -> None:
    if name is not None and not (name and all(" " <= letter <= "~" for letter in name)):  # RFC 9651 section 3.3.3
        raise ValueError(f'"{name}" cannot stand in a field; write letters, digits and hyphens')


def _keys(_: object, _field: "Attribute[Any]", most: int) -> None:
    if not 100 <= most <= _MOST:
        raise ValueError(f"{most} callers are too few or too many; write 100 to {_MOST:,}")


def _prefix(_: object, _field: "Attribute[Any]", bits: int) -> None:
    if not 16 <= bits <= 128:
        raise ValueError(f"{bits} is no prefix that tells callers apart; write 16 to 128, such as 64")


@frozen
class Tier:
    """What callers of one tier may do."""

    limit: tuple[Rate, ...] = setting(
        "The limit, or several with different windows, of which all hold.",
        validator=_rates,
        metadata={**_ALONE, "shorthand": True},
    )


@frozen
class Tiers:
    """Other limits for some identities."""

    by: str = setting(
        "Where an identity says its tier: roles, scopes, or a claim by its path, such as claims.plan.",
        validator=_tier_by,
    )
    limits: dict[str, Tier] = setting(
        "Tier to its limit. Of several tiers of one identity the one that stands here first counts; whoever has none "
        "is held to the limit of the instance.",
        validator=_tier_limits,
    )


@frozen
class RateLimitConfig:
    """How much a caller may ask, and what happens past that."""

    limit: tuple[Rate, ...] = setting(
        'Requests in a time, such as "60/minute", "5/s" or "100/10s"; or a list of such, of which all hold.',
        validator=_rates,
        metadata=_ALONE,
    )
    by: tuple[str, ...] = setting(
        "Who is counted: address, identity, key (the credential as sent), route, or header:NAME; a list for a "
        "combination.",
        default=("address",),
        validator=_by,
        metadata=_ALONE,
    )
    algorithm: Algorithm = setting(
        "How: sliding-window never lets more through in any span; gcra is a token bucket; fixed-window begins anew at "
        "once.",
        default="sliding-window",
    )
    tiers: Tiers | None = setting("Other limits for some identities.", default=None)
    burst: int | None = setting(
        "With gcra: the most requests at once. Not given: the number of the limit.", default=None, validator=_burst
    )
    cost: int = setting("Units that a request takes of the limit.", default=1, validator=_cost)
    costs: dict[str, int] = setting(
        "Units by method, where they differ from cost; 0: not counted.", factory=dict, validator=_costs
    )
    headers: Literal["standard", "legacy", "both", "none"] = setting(
        "How clients are told: RateLimit and RateLimit-Policy, X-RateLimit-Limit, -Remaining and -Reset, both, or not.",
        default="standard",
    )
    policy: str | None = setting(
        "The name of the limit in fields and refusals. Not given: the instance's.", default=None, validator=_policy
    )
    store: Literal["shared", "memory"] = setting(
        "Where it counts: in the store that all workers and machines share, if there is one; or in this process.",
        default="shared",
    )
    on_store_error: Literal["local", "allow", "deny"] = setting(
        "While the store is down: count in this process, let everything through, or refuse everything with 503.",
        default="local",
    )
    max_keys: int = setting(
        "Callers that this process remembers at once, of each tier; past that those who used least are forgotten.",
        default=100_000,
        validator=_keys,
    )
    ipv6_prefix: int = setting(
        "Bits of an IPv6 address that tell clients apart; one customer usually has all addresses of a /64.",
        default=64,
        validator=_prefix,
    )
    dry_run: bool = setting("Count and tell operators, refuse nobody and tell clients nothing.", default=False)

    def all_rates(self) -> list[tuple[Rate, ...]]:
        """The limits of the instance, and those of each tier."""
        return [self.limit, *(tier.limit for tier in self.tiers.limits.values())] if self.tiers else [self.limit]
