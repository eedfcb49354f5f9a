"""What is measured: Spork with one of its configs, or a peer."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs
from attrs import field, frozen

from benchmarks import peers
from benchmarks.options import CONFIGS


@frozen
class Subject:
    """Something to measure. ``config``: a Spork config; None: a peer, whose name says which. ``environ``: variables
    that the config refers to."""

    name: str
    work: str
    config: Path | None = None
    environ: Mapping[str, str] = field(factory=dict)
    shows: tuple[str, ...] = ()
    """Fields by which its answer to a request that was made before shows that its plugins did their work."""
    guarded: bool = False
    """It must refuse a token that is not right."""
    store: bool = False
    """It is given a Valkey, and must find there what every request needs."""
    constant: bool = False
    """It gets one request again and again, even where the others' differ."""


_FOUR: Final = ("x-request-id", "x-content-type-options", "x-served-by")
SPORK_BARE: Final = Subject("spork", peers.BARE, CONFIGS / "bare.yaml")
SPORK_PLUGINS: Final = Subject(
    "spork", "request-id, access-log, security-headers, headers", CONFIGS / "plugins.yaml", shows=_FOUR
)
SPORK_UNMEASURED: Final = Subject(
    "spork, times off",
    "the same, no hook measured",
    SPORK_PLUGINS.config,
    {"SPORK_BENCH_TIMES": "false"},
    shows=_FOUR,
)
SPORK_FULL: Final = Subject(
    "spork",
    "request id, log, metrics, cors, jwt, rate limit, 5 headers, breaker, retry",
    CONFIGS / "full.yaml",
    shows=("x-request-id", "ratelimit", "access-control-allow-origin", "x-frame-options", "referrer-policy"),
    guarded=True,
)
SPORK_CACHE: Final = Subject("spork", "cache, hit in memory", CONFIGS / "cache.yaml", shows=("age",))
SPORK_CACHE_REDIS: Final = Subject(
    "spork", "cache, hit in Redis", CONFIGS / "cache_redis.yaml", shows=("age",), store=True
)
SPORK_LIMIT: Final = Subject("spork, memory", "rate limit, in memory", CONFIGS / "limit.yaml", shows=("ratelimit",))
SPORK_LIMIT_REDIS: Final = Subject(
    "spork", "rate limit, in Redis", CONFIGS / "limit_redis.yaml", shows=("ratelimit",), store=True
)


def called(subject: Subject, name: str) -> Subject:
    """The same, by another name: for a table in which the other Spork is the subject."""
    return attrs.evolve(subject, name=name)


def repeating(subject: Subject) -> Subject:
    """The same under one request that repeats, for a table in which the others' all differ."""
    return attrs.evolve(subject, name=f"{subject.name}, repeated", work="the same, one request again", constant=True)


def peer(name: str) -> Subject:
    """The peer of that name."""
    return Subject(name, peers.PEERS[name].work, guarded=peers.PEERS[name].guarded)
