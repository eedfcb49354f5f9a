"""What the running gateway is measured at, beside whom, and what it is held to."""

from typing import Final

from attrs import frozen

from benchmarks.subjects import (
    SPORK_BARE,
    SPORK_CACHE,
    SPORK_CACHE_REDIS,
    SPORK_FULL,
    SPORK_LIMIT,
    SPORK_LIMIT_REDIS,
    SPORK_PLUGINS,
    SPORK_UNMEASURED,
    Subject,
    called,
    repeating,
)


@frozen
class Promise:
    """What the subject is held to beside ``against``, by name. ``at_least``, ``aim``: so many times its requests/s.
    ``more_us``: so much more CPU for a request at most."""

    against: str
    at_least: float | None = None
    aim: float | None = None
    more_us: float | None = None


@frozen
class Scenario:
    """``against``: peers by name, as far as the run has them."""

    name: str
    title: str
    about: str
    subject: Subject
    against: tuple[str, ...] = ()
    path: str = "/api/users/1"
    connections: int | None = None
    """None: as many as the run says."""
    promises: tuple[Promise, ...] = ()
    short: str = ""
    """The name in the targets."""
    crowd: bool = False
    """True: time-outs and p99 are promised too, against the first promise's."""
    beside: tuple[Subject, ...] = ()
    """Other Sporks to measure in the same run."""
    again: int | None = None
    """None: one request repeats. Else each has its number at the end of ``path``, and after so many they come again;
    0: never, and the traceparent differs too."""


REPEATED: Final = "/api/users/1"
"""The path for subjects that get one request again where the others' differ."""
_IN_TURN: Final = 1000

SCENARIOS: Final = (
    Scenario(
        "bare",
        "Bare proxy",
        "A small JSON answer on keep-alive connections.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy", "traefik", "caddy"),
        promises=(Promise("envoy", 1.0, aim=1.2),),
        short="bare proxy",
    ),
    Scenario(
        "crowd",
        "Bare proxy, 1,000 connections",
        "The same with many clients at once.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy", "traefik"),
        connections=1000,
        promises=(Promise("envoy", 1.2),),
        crowd=True,
        short="1,000 connections",
    ),
    Scenario(
        "big",
        "Bodies of 1 MiB",
        "The same with 1 MiB in each answer, on 16 connections.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy"),
        path="/big",
        connections=16,
        promises=(Promise("haproxy", 1.0),),
        short="bodies of 1 MiB",
    ),
    Scenario(
        "full",
        "Nine plugins: the whole chain",
        "Spork with nine plugins on, beside Envoy and Traefik with the like. Spork and Envoy check a token (a wrong "
        "one is sent before each measurement and must be refused); Traefik has no such middleware. All count requests "
        "against a limit, write a JSON line for each, set five fields and those of CORS, keep statistics, and would "
        "retry and break the circuit.",
        SPORK_FULL,
        ("envoy-full", "traefik-full"),
        promises=(Promise("envoy-full", 1.0), Promise("traefik-full", 2.5)),
        short="nine plugins",
    ),
    Scenario(
        "varied",
        "Bare proxy, requests that all differ",
        "Each request has a path and a traceparent of its own, each answer a field of its own. In all other tables one "
        "request is repeated, and Spork keeps what it made of heads and targets that come again; here none does. Of "
        "real clients some say the same fields in each request and some do not, so what they get lies between the two "
        "rows of Spork. The second is the same gateway in the same run under one request that repeats.",
        SPORK_BARE,
        ("envoy", "traefik"),
        path="/varied/users/",
        beside=(repeating(SPORK_BARE),),
        again=0,
        short="bare, varied",
    ),
    Scenario(
        "varied-full",
        "Nine plugins, requests that all differ",
        "The whole chain, likewise.",
        SPORK_FULL,
        ("envoy-full", "traefik-full"),
        path="/varied/users/",
        beside=(repeating(SPORK_FULL),),
        again=0,
        short="nine plugins, varied",
    ),
    Scenario(
        "cache",
        "Cache, hits in memory",
        "An answer that the cache has, beside the bare proxy that gets it from the backend each time.",
        SPORK_CACHE,
        path="/cached/users/1",
        beside=(called(SPORK_BARE, "spork, bare"),),
        promises=(Promise("spork, bare", 1.5),),
        short="cache, memory",
    ),
    Scenario(
        "cache-redis",
        "Cache, hits in Redis",
        f"{_IN_TURN:,} answers in turn, which Redis has and the memory of 64 KiB in front of it has not, beside the "
        "bare proxy under the same load. A Valkey on a unix socket has the backend's core; the run fails unless every "
        "request found its answer there.",
        SPORK_CACHE_REDIS,
        path="/cached/users/",
        beside=(called(SPORK_BARE, "spork, bare"),),
        again=_IN_TURN,
        promises=(Promise("spork, bare", 0.6),),
        short="cache, Redis",
    ),
    Scenario(
        "limit-redis",
        "Rate limit in Redis",
        "A limit that is never reached, counted in Redis and in memory. The CPU is that of the gateway's process: a "
        "Valkey on a unix socket has the backend's core. The run fails unless it counted every request; one that "
        "it could not count is an error.",
        SPORK_LIMIT_REDIS,
        beside=(SPORK_LIMIT,),
        connections=64,
        promises=(Promise("spork, memory", more_us=15.0),),
        short="rate limit, Redis",
    ),
    Scenario(
        "plugins",
        "Four plugins",
        "Spork with its first four plugins on, beside Traefik bare, and beside Traefik and Envoy with middlewares of "
        "their own. For information: those do more or other work than Spork here.",
        SPORK_PLUGINS,
        ("traefik", "traefik-full", "envoy-full"),
        short="four plugins",
    ),
    Scenario(
        "times",
        "Who took how long: what it costs to know",
        "Four plugins, with the time of each hook measured, as always, and with `attribution: {hooks: false}`.",
        SPORK_PLUGINS,
        beside=(SPORK_UNMEASURED,),
        promises=(Promise(SPORK_UNMEASURED.name, 0.97),),
        short="times on",
    ),
)
