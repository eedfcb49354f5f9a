"""What an instance tells operators: a description as JSON, and its numbers as metrics."""

from collections.abc import Iterable, Mapping
from typing import Any

from spork_core.api import Metric
from spork_jwt.cache import TokenCache
from spork_jwt.jwks import RemoteKeys
from spork_jwt.keys import KeySet
from spork_jwt.revocations import Revocations


def described(
    keys: KeySet | None,
    remote: RemoteKeys | None,
    cache: TokenCache,
    hits: int,
    results: Mapping[str, int],
    revocations: Revocations | None,
) -> dict[str, Any]:
    """Keys by kid and algorithm, where they come from, how full the cache is, and what became of tokens."""
    return {
        "keys": [] if keys is None else keys.told(),
        "keys_left_out": [] if keys is None else list(keys.refused),
        "jwks": None if remote is None else remote.told(),
        "cache": {"tokens": len(cache.entries), "bytes": cache.size, "evicted": cache.evicted, "hits": hits},
        "verified": {why: count for why, count in results.items() if count},
        "revocation": None
        if revocations is None
        else {"channel": revocations.names.channel, "shared": revocations.memory is None, "heard": revocations.heard},
    }


def collected(
    name: str,
    keys: KeySet | None,
    remote: RemoteKeys | None,
    cache: TokenCache,
    hits: int,
    results: Mapping[str, int],
) -> Iterable[Metric]:
    """The instance's numbers."""
    mine: tuple[str, ...] = (name,)
    verified: dict[tuple[str, ...], float] = {(name, "cached"): hits}
    verified.update({(name, why): count for why, count in results.items()})
    yield Metric("jwt_verifications", "counter", "Tokens, by what became of them.", ("instance", "result"), verified)
    for metric, kind, text, value in (
        ("jwt_cache_entries", "gauge", "Verified tokens that are remembered.", len(cache.entries)),
        ("jwt_cache_bytes", "gauge", "Memory that they take, about.", cache.size),
        ("jwt_cache_evictions", "counter", "Remembered tokens that had to go before their time.", cache.evicted),
        ("jwt_keys", "gauge", "Keys that tokens are verified with.", 0 if keys is None else len(keys.keys)),
    ):
        yield Metric(metric, kind, text, ("instance",), {mine: value})  # type: ignore[arg-type]  # one of the two kinds
    if remote is not None:
        done: dict[tuple[str, ...], float] = {
            (name, "good"): remote.fetches - remote.failures,
            (name, "failed"): remote.failures,
        }
        yield Metric("jwt_jwks_fetches", "counter", "Fetches of the provider's keys.", ("instance", "result"), done)
        if remote.age is not None:
            text = "Time since the keys were fetched."
            yield Metric("jwt_jwks_age_seconds", "gauge", text, ("instance",), {mine: remote.age})
