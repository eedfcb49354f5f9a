"""However many ask at once, of however many gateways: no more than the limit get through, and no fewer."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spork_rate_limit import RateLimit, RateLimitConfig

from spork_core.api import (
    STORE,
    Clock,
    Exchange,
    MemoryStore,
    Rate,
    Request,
    Resources,
    TooManyRequests,
)
from spork_core.testing import Harness, gateway
from tests.services import Server, valkey

ALGORITHMS = ("sliding-window", "gcra", "fixed-window")
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)


class Network(MemoryStore):
    """A store that others share, with a way to it and back that takes turns of the loop, as many as it is told."""

    shared = True  # type: ignore[misc]
    turns: Iterator[int]

    async def run(self, *what: Any) -> Any:
        for _ in range(next(self.turns, 0)):
            await asyncio.sleep(0)
        answer = self.run_now(*what)
        for _ in range(next(self.turns, 0)):
            await asyncio.sleep(0)
        return answer


class View:
    """As much of a gateway as the plugin looks at when it starts."""

    slot = None

    def __init__(self, store: MemoryStore, clock: Clock) -> None:
        self.clock = clock
        self.resources = Resources()
        self.resources[STORE] = store


def node(store: MemoryStore, clock: Clock, algorithm: Any, limits: list[Rate]) -> RateLimit:
    made = RateLimit(RateLimitConfig(limit=tuple(limits), algorithm=algorithm, headers="none"), "limit")
    made.startup(View(store, clock))  # type: ignore[arg-type]
    return made


async def passes(node: RateLimit) -> bool:
    try:
        answer = node.pre_auth(Exchange(Request(client="192.0.2.1")))
        if answer is not None:
            await answer
    except TooManyRequests:
        return False
    return True


@given(
    st.sampled_from(ALGORITHMS),
    st.integers(1, 20),
    st.integers(1, 4),
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=5),
    st.lists(st.integers(0, 3), max_size=200),
)
def test_in_no_span_do_more_get_through_than_the_limit(
    algorithm: str, count: int, nodes: int, waves: list[tuple[int, int]], turns: list[int]
) -> None:
    """``waves``: seconds to wait, and how many then ask at once, of all nodes in turn."""
    now = 1_000_000_000.0
    clock = Clock(lambda: now, lambda: int(now * 1e9))
    store = Network(clock)
    store.turns = iter(turns)
    limits = [Rate(count, 60.0)]
    cluster = [node(store, clock, algorithm, limits) for _ in range(nodes)]
    passed: list[float] = []
    asked = 0

    for seconds, clients in waves:
        now += seconds
        asked += clients

        async def wave(clients: int = clients) -> list[bool]:
            return list(await asyncio.gather(*(passes(cluster[at % nodes]) for at in range(clients))))

        passed += [now] * sum(asyncio.run(wave()))

    most = count if algorithm == "sliding-window" else 2 * count
    for end in passed:
        assert sum(end - 60 < when <= end for when in passed) <= most
    if sum(seconds for seconds, _ in waves[1:]) == 0:
        assert len(passed) == min(asked, count)


@algorithms
@settings(max_examples=20)
@given(turns=st.lists(st.integers(0, 3), max_size=200))
def test_of_several_windows_none_is_overrun(algorithm: str, turns: list[int]) -> None:
    clock = Clock(lambda: 1.0, lambda: 1)
    store = Network(clock)
    store.turns = iter(turns)
    cluster = [node(store, clock, algorithm, [Rate(7, 1.0), Rate(20, 60.0)]) for _ in range(3)]

    async def wave() -> int:
        return sum(await asyncio.gather(*(passes(cluster[at % 3]) for at in range(40))))

    assert asyncio.run(wave()) == 7


# -- a real server, several gateways --------------------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with valkey() as server:
        yield server


def config(server: Server, **settings: Any) -> dict[str, Any]:
    return {
        "store": {"use": "redis", "url": f"unix://{server.path}"},
        "limit": {"use": "rate-limit", "by": "header:X-Caller", **settings},
    }


async def clients(gateways: list[Harness], caller: str, number: int, each: int) -> list[int]:
    """What ``number`` clients at once get, ``each`` that many times, spread over the gateways."""

    async def ask(at: int) -> list[int]:
        gw = gateways[at % len(gateways)]
        return [(await gw.get("/", headers={"X-Caller": caller})).status for _ in range(each)]

    told = await asyncio.gather(*map(ask, range(number)))
    return [status for statuses in told for status in statuses]


@pytest.mark.parametrize("algorithm", ["sliding-window", "gcra", "fixed-window"])
async def test_many_clients_of_several_gateways_never_get_more_than_the_limit(server: Server, algorithm: str) -> None:
    plugins = config(server, limit="40/hour", algorithm=algorithm)
    async with gateway(plugins=plugins) as one, gateway(plugins=plugins) as two, gateway(plugins=plugins) as three:
        told = await clients([one, two, three], algorithm, 30, 5)

        assert (told.count(200), told.count(429)) == (40, 110)
