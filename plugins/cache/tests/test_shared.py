"""Two gateways on one store: what one has stored the other serves, and what one has purged no other does."""

import asyncio
import re
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from spork_cache.purges import Purge

from spork_core.api import STORE, Clock, GatewayView, MemoryStore, Plugin, StoreDown, hookimpl
from spork_core.testing import Harness, StillClock, gateway, holds


class Shaky(MemoryStore):
    """A store that several gateways share, and that can be made to fail."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.down = False
        self.deaf = False
        """Messages go nowhere."""
        self.bend: Callable[[bytes], bytes] = bytes
        """What becomes of values on their way out."""
        self.lost: list[Callable[[], object]] = []

    def _check(self) -> None:
        if self.down:
            raise StoreDown

    async def get(self, key: str) -> bytes | None:
        self._check()
        value = await super().get(key)
        return None if value is None else self.bend(value)

    async def get_many(self, keys: Sequence[str]) -> list[bytes | None]:
        self._check()
        first, *rest = await super().get_many(keys)
        return [None if first is None else self.bend(first), *rest]

    async def set(self, key: str, value: bytes, ttl: float | None = None, *, only_new: bool = False) -> bool:
        self._check()
        return await super().set(key, value, ttl, only_new=only_new)

    async def run(self, *given: Any) -> Any:
        self._check()
        return await super().run(*given)

    async def publish(self, channel: str, message: bytes) -> None:
        self._check()
        if not self.deaf:
            await super().publish(channel, message)

    def subscribe(self, channel: str, listener: Any, lost: Any = None) -> Any:
        self.lost.append(lost)
        return super().subscribe(channel, listener, lost)

    def problem(self) -> str | None:
        return "down" if self.down else None


class Nodes:
    """Gateways that share a store, a clock and a service."""

    def __init__(self, stack: AsyncExitStack, origin: Any) -> None:
        self._stack = stack
        self._origin = origin
        self.clock = StillClock()
        self.store = Shaky(self.clock.clock)

    async def one(self, **settings: Any) -> Harness:
        """One more of them."""
        store = self.store

        class Gives(Plugin):
            """Gives the store."""

            gives = (STORE,)

            @hookimpl
            def startup(self, gateway: GatewayView) -> None:
                gateway.resources[STORE] = store

        plugins = {"store": Gives, "cache": {"use": "cache", "store": "shared", **settings}}
        made = gateway(plugins=plugins, upstream=self._origin, clock=self.clock, admin={"listen": "127.0.0.1:0"})
        return await self._stack.enter_async_context(made)


@pytest.fixture
async def nodes(origin: Any) -> Any:
    async with AsyncExitStack() as stack:
        yield Nodes(stack, origin)


def core(gw: Harness) -> Any:
    plugin: Any = gw.gateway.snapshot.instances["cache"].plugin
    return plugin._core


async def written(gw: Harness) -> None:
    await holds(lambda: not core(gw).shared.writing, "the store to be written")


async def get(gw: Harness, target: str = "/x", **headers: str) -> Any:
    answer = (await gw.get(target, headers={name.replace("_", "-"): value for name, value in headers.items()})).must_be(
        200
    )
    await written(gw)
    return answer


async def purge(gw: Harness, **what: Any) -> Any:
    return (await gw.admin.post("/plugins/cache/purge", json=what)).must_be(200).json()


def hit(answer: Any) -> bool:
    return "; hit" in answer.headers["Cache-Status"]


async def test_what_one_stores_the_other_serves(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    await get(one)
    nodes.clock.advance(10)
    (await get(two)).must_say("hello").must_have("Age", "10").must_have("Cache-Status", "spork; hit; ttl=50")
    two.upstream.must_not_be_reached()


async def test_variants_too(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    origin.varies = "Accept-Language"
    await get(one, Accept_Language="de")
    await get(one, Accept_Language="en")
    (await get(two, Accept_Language="en")).must_say("en").must_have("Age")
    (await get(two, Accept_Language="de")).must_say("de").must_have("Age")
    (await get(two, Accept_Language="fr")).must_say("fr").must_have("Cache-Status", re.compile(".*vary-miss.*"))


async def test_one_looks_for_all(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    await get(one)
    for each in await asyncio.gather(*(get(two) for _ in range(5))):
        each.must_say("hello")
    two.upstream.must_not_be_reached()


@pytest.mark.parametrize(
    "what",
    [{"url": "http://gateway.test/x"}, {"prefix": "http://gateway.test/"}, {"tag": "blue"}, {"all": True}],
)
@pytest.mark.parametrize("deaf", [False, True])
async def test_a_purge_holds_on_every_node(nodes: Any, origin: Any, what: dict[str, Any], deaf: bool) -> None:
    origin.headers["Surrogate-Key"] = "red blue"
    one, two, new = await nodes.one(), await nodes.one(), await nodes.one()
    for node in (one, two):
        await get(node)
    nodes.store.deaf = deaf
    origin.body = b"new"

    assert (await purge(one, **what))["reach"] == "everywhere"

    if deaf:
        for lost in nodes.store.lost:  # what a store says when its connection comes back
            lost()
    for node in (new, two, one):
        answer = (await get(node)).must_say("new")
    assert hit(answer)


async def test_a_node_that_missed_the_purge_never_takes_the_old_answer_from_the_store(nodes: Any, origin: Any) -> None:
    one = await nodes.one()
    await get(one)
    nodes.store.deaf = True
    await purge(one, url="http://gateway.test/x")
    origin.body = b"new"
    late = await nodes.one()
    (await get(late)).must_say("new").must_have("Cache-Status", re.compile(".*detail=purged.*"))


async def test_what_was_asked_for_before_a_purge_is_not_kept_after_it(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    origin.open.clear()
    old = asyncio.ensure_future(get(two))
    await holds(lambda: two.upstream.got, "the request at the service")
    await purge(one, url="http://gateway.test/x")
    origin.open.set()
    (await old).must_say("hello")
    origin.body = b"new"
    (await get(two)).must_say("new")
    (await get(one)).must_say("new")


async def test_a_soft_purge_makes_stale(nodes: Any, origin: Any) -> None:
    origin.etag = '"a"'
    one, two = await nodes.one(), await nodes.one()
    await get(one)
    await purge(one, url="http://gateway.test/x", soft=True)
    for node in (one, two):
        (await get(node)).must_say("hello")
    one.upstream.last.must_have("If-None-Match", '"a"')


async def test_an_unsafe_method_on_one_node_reaches_the_other(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    for node in (one, two):
        await get(node)
    await one.post("/x")
    await written(one)
    origin.body = b"new"
    await holds(lambda: not len(core(two).memory), "the other node to hear of it")
    (await get(two)).must_say("new")


async def test_so_many_purges_that_not_all_are_remembered(nodes: Any, origin: Any) -> None:
    one, late = await nodes.one(), await nodes.one()
    await get(one)
    nodes.store.deaf = True
    for number in range(260):
        await core(one).shared.purge(Purge("tag", str(number)))
    origin.body = b"new"
    (await get(late)).must_say("new")  # the log has become "all", rather than forget


async def test_a_store_that_is_down_is_passed_by(nodes: Any, origin: Any) -> None:
    one = await nodes.one()
    nodes.store.down = True
    (await get(one)).must_say("hello").must_have("Cache-Status", re.compile(".*uri-miss.*detail=store-down"))
    assert hit(await get(one))
    (await one.admin.post("/plugins/cache/purge", json={"all": True})).must_be(503)
    assert not hit(await get(one))
    nodes.store.down = False
    assert (await one.admin.get("/plugins/cache/stats")).json()["shared"]["failures"] > 0


@pytest.mark.parametrize(
    ("bend", "why"),
    [
        (lambda value: value[: len(value) // 2], "store-truncated"),
        (lambda value: value[:-1], "store-truncated"),
        (lambda value: value[:-1] + b"?", "store-corrupt"),
        (lambda value: b"?" + value[1:], "store-corrupt"),
        (lambda _: b"", "store-corrupt"),
    ],
)
async def test_a_value_that_is_not_whole_is_a_miss(nodes: Any, origin: Any, bend: Any, why: str) -> None:
    one, two = await nodes.one(), await nodes.one()
    await get(one)
    nodes.store.bend = bend
    (await get(two)).must_say("hello").must_have("Cache-Status", re.compile(f".*uri-miss.*detail={why}"))
    two.upstream.must_have_got(1)


async def test_a_log_that_is_lost_counts_as_a_purge_of_everything(nodes: Any, origin: Any) -> None:
    one, two = await nodes.one(), await nodes.one()
    await get(one)
    await nodes.store.delete("cache:cache:log")
    nodes.clock.advance(1)
    origin.body = b"new"
    (await get(two)).must_say("new").must_have("Cache-Status", re.compile(".*detail=purged"))
