"""Counting in a store: who shares it shares the count, and what happens while it is down is what the config says."""

import asyncio
import re
from typing import Any, ClassVar

import pytest
from spork_rate_limit import RateLimit, RateLimitConfig
from spork_rate_limit.config import Tier, Tiers

from spork_core.api import (
    STORE,
    Clock,
    Exchange,
    GatewayView,
    Identity,
    MemoryStore,
    Plugin,
    Rate,
    Request,
    Resources,
    Store,
    StoreDown,
    hookimpl,
)
from spork_core.testing import Harness, gateway


class FakeStore(MemoryStore):
    """A store that says it is shared, and that a test makes slow, deaf or well."""

    shared = True  # type: ignore[misc]
    down = False
    stalled = False
    asked = 0

    async def run(self, *what: Any) -> Any:
        self.asked += 1
        if self.stalled:
            await asyncio.sleep(0)
            self.run_now(*what)  # it was counted, and nobody hears of it
            raise StoreDown(reason="no answer in time")
        if self.down:
            raise StoreDown(reason="gone")
        return self.run_now(*what)

    def problem(self) -> str | None:
        return "gone" if self.down else None


class Gives(Plugin):
    """Gives the store of the test."""

    gives = (STORE,)
    store: ClassVar[Store]

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        gateway.resources[STORE] = self.store


def sharing(given: MemoryStore, **settings: Any) -> dict[str, Any]:
    class Ours(Gives):
        """Gives this test's."""

        store = given

    return {"store": Ours, "limit": {"use": "rate-limit", "limit": "3/minute", **settings}}


@pytest.fixture
def store() -> FakeStore:
    return FakeStore(Clock(time=lambda: 1_900_000_000.0))


async def statuses(gw: Harness, number: int) -> list[int]:
    return [(await gw.get("/")).status for _ in range(number)]


async def test_two_gateways_share_one_count(store: FakeStore) -> None:
    async with gateway(plugins=sharing(store)) as one, gateway(plugins=sharing(store)) as other:
        assert await statuses(one, 2) == [200, 200]
        assert await statuses(other, 2) == [200, 429]
        (await one.get("/")).must_be(429).must_have("RateLimit", '"limit";r=0;t=60').must_have("Retry-After", "60")


async def test_with_store_memory_each_counts_alone(store: FakeStore) -> None:
    async with gateway(plugins=sharing(store, store="memory")) as gw:
        assert await statuses(gw, 4) == [200, 200, 200, 429]
        assert store.asked == 0


async def test_a_refusal_costs_nothing_in_any_window(store: FakeStore) -> None:
    async with gateway(plugins=sharing(store, limit=["2/second", "3/minute"])) as gw:
        assert await statuses(gw, 5) == [200, 200, 429, 429, 429]
        store.delete_now(next(key for key in store._kept if key.endswith("s1000000")))
        assert await statuses(gw, 2) == [200, 429]


@pytest.mark.parametrize(
    ("policy", "expected", "decided"),
    [
        ("local", [200, 200, 200, 429], {"allowed": 3, "limited": 1, "uncounted": 0}),
        ("allow", [200, 200, 200, 200], {"allowed": 0, "limited": 0, "uncounted": 4}),
        ("deny", [503, 503, 503, 503], {"allowed": 0, "limited": 0, "uncounted": 0}),
    ],
)
async def test_while_the_store_is_down(
    store: FakeStore, policy: str, expected: list[int], decided: dict[str, int]
) -> None:
    store.down = True
    async with gateway(plugins=sharing(store, on_store_error=policy)) as gw:
        assert await statuses(gw, 4) == expected

        numbers = gw.metrics()
        assert {name: numbers["rate_limit_requests"]["limit", name] for name in decided} == decided
        assert numbers["rate_limit_store_errors"] == {("limit",): 4}
        assert store.asked == 1  # then it is left alone until it says that it is well


async def test_deny_says_when_to_try_again(store: FakeStore) -> None:
    store.down = True
    async with gateway(plugins=sharing(store, on_store_error="deny")) as gw:
        for _ in range(2):
            (await gw.get("/")).must_be_problem("store-down", 503).must_have("Retry-After", "1").must_not_have(
                "RateLimit"
            )
        gw.upstream.must_not_be_reached()


async def test_it_counts_in_the_store_again_when_that_is_well(store: FakeStore) -> None:
    async with gateway(plugins=sharing(store)) as gw:
        assert await statuses(gw, 2) == [200, 200]
        store.down = True
        assert await statuses(gw, 2) == [200, 429]
        store.down = False
        assert await statuses(gw, 2) == [200, 429]


async def test_who_has_nothing_left_in_the_store_has_nothing_without_it(store: FakeStore) -> None:
    async with gateway(plugins=sharing(store)) as one, gateway(plugins=sharing(store)) as other:
        assert await statuses(one, 3) == [200, 200, 200]
        assert await statuses(other, 1) == [429]
        store.down = True
        assert await statuses(other, 2) == [429, 429]
        other.clock.advance(61)
        assert await statuses(other, 4) == [200, 200, 200, 429]


async def test_losing_the_store_is_told_once_and_finding_it_too(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    async with gateway(plugins=sharing(store)) as gw:
        for store.down in (False, True, True, False, False):
            await gw.get("/")

    assert [record.getMessage() for record in caplog.records if record.name == "spork_core.events"] == [
        'limit_store_down: "limit" cannot count in the store: this process counts for itself meanwhile',
        'limit_store_up: "limit" counts in the store again',
    ]


async def test_a_count_that_timed_out_is_not_asked_for_again(store: FakeStore) -> None:
    store.stalled = True
    async with gateway(plugins=sharing(store)) as gw:
        assert await statuses(gw, 1) == [200]
        assert store.asked == 1
        store.stalled = False
        assert await statuses(gw, 3) == [200, 200, 429]  # the store has counted the first


class Worker:
    """As much of a gateway as the plugin looks at when it starts, in the worker ``slot``."""

    def __init__(self, store: MemoryStore, slot: int | None) -> None:
        self.clock = Clock()
        self.slot = slot
        self.resources = Resources()
        self.resources[STORE] = store
        self.events: list[str] = []

    def event(self, kind: str, message: str, **facts: Any) -> None:
        self.events.append(kind)


@pytest.mark.parametrize(
    ("slot", "where", "shared", "told"),
    [
        (0, "shared", False, ["limit_per_worker"]),
        (1, "shared", False, []),
        (None, "shared", False, []),
        (0, "memory", False, []),
        (0, "shared", True, []),
    ],
)
def test_workers_that_each_count_alone_say_so_once(slot: int | None, where: Any, shared: bool, told: list[str]) -> None:
    store = FakeStore(Clock()) if shared else MemoryStore(Clock())
    worker = Worker(store, slot)

    RateLimit(RateLimitConfig(limit=(Rate(3, 60.0),), store=where), "limit").startup(worker)  # type: ignore[arg-type]

    assert worker.events == told


def test_keys_of_the_store_hold_no_blank_and_lie_in_one_slot_whatever_a_tier_is_called(store: FakeStore) -> None:
    tiers = Tiers("roles", {"très {cher}": Tier((Rate(3, 1.0), Rate(9, 60.0)))})
    limit = RateLimit(RateLimitConfig(limit=(Rate(3, 60.0),), by=("identity",), tiers=tiers), "limit")
    limit.startup(Worker(store, None))  # type: ignore[arg-type]
    for subject, role in (("ann", "très {cher}"), ("bob ", "")):
        exchange = Exchange(Request())
        exchange.identity = Identity(subject, roles=frozenset([role]))
        asyncio.run(limit.on_request(exchange))

    tags = [re.fullmatch(r"limit:(\{limit:[0-9a-f]{32}\}):s[0-9]+", key) for key in store._kept]
    assert all(tags)
    assert [tag[1] for tag in tags if tag].count(tags[0][1]) == 2  # type: ignore[index]
