"""Several servers: sentinels that name another primary, and a cluster whose slots move."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_redis.cluster import SLOTS, slot_of

from spork_core.api import Script, StoreDown
from spork_core.testing import holds
from tests.services import free_port

PAIR = Script(
    "pair",
    "return {redis.call('INCR', KEYS[1]), redis.call('INCR', KEYS[2])}",
    lambda *_: None,
)


# -- sentinels ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def watched(folder: Path, valkeys: Any) -> Iterator[list[Any]]:
    """A primary, its replica, and a sentinel, which takes half a second of silence for the end."""
    primary, replica = valkeys(folder / "primary"), valkeys(folder / "replica")
    primary.start()
    replica.options = ("--replicaof", f"127.0.0.1 {primary.port}", "--repl-diskless-sync-delay", "0")
    replica.start()
    conf = folder / "sentinel.conf"
    conf.write_text(
        f"sentinel monitor mine 127.0.0.1 {primary.port} 1\n"
        "sentinel down-after-milliseconds mine 300\nsentinel failover-timeout mine 1000\n"
    )
    sentinel = valkeys(folder / "sentinel", str(conf), "--sentinel")
    sentinel.start()
    yield [primary, replica, sentinel]
    for each in (primary, replica, sentinel):
        each.kill()


@pytest.mark.slow
async def test_the_primary_is_followed(watched: list[Any], start: Any) -> None:
    primary, replica, sentinel = watched
    await holds(lambda: "slave" in replica.ask("ROLE") and "connected" in replica.ask("ROLE"))
    await holds(lambda: str(replica.port) in sentinel.ask("SENTINEL", "REPLICAS", "mine"))
    url = f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/mine"
    async with start(url) as redis:
        assert await redis.store.add("a") == 1
        await holds(lambda: replica.ask("GET", "spork:a") == "1")

        primary.kill()
        await redis.until_down()
        await redis.until_up()

        assert await redis.store.add("a") == 2
        assert replica.ask("GET", "spork:a") == "2"
        assert redis.view.events == ["store-down", "store-up"]


async def test_a_service_that_nobody_knows(watched: list[Any], start: Any) -> None:
    async with start(f"redis+sentinel://127.0.0.1:{watched[2].port}/other") as redis:
        assert "the sentinels name no primary" in redis.store.problem()


async def test_a_primary_that_was_demoted_is_left(server: Any, redis: Any) -> None:
    await redis.store.add("a")
    server.ask("REPLICAOF", "127.0.0.1", "1")
    with pytest.raises(StoreDown):
        await redis.store.add("a")
    server.ask("REPLICAOF", "NO", "ONE")
    await holds(lambda: redis.told["connected"] > 2)
    await redis.until_up()

    assert await redis.store.add("a") == 2


# -- a cluster ------------------------------------------------------------------------------------------------


@given(st.text(st.characters(codec="utf-8", exclude_characters="{}")), st.text(), st.text())
def test_keys_of_one_tag_have_one_slot(tag: str, before: str, after: str) -> None:
    key = f"{before.replace('{', '')}{{{tag}}}{after}"

    assert 0 <= slot_of(key) < SLOTS
    assert not tag or slot_of(key) == slot_of(f"{{{tag}}}") == slot_of(tag)


@pytest.mark.parametrize(("key", "slot"), [("foo", 12182), ("{user1000}.following", 3443), ("foo{}{bar}", 8363)])
def test_slots_are_those_of_the_servers(key: str, slot: int) -> None:
    assert slot_of(key) == slot


@pytest.fixture(scope="module")
def nodes(folder: Path, valkeys: Any) -> Iterator[list[Any]]:
    """Three nodes that share the slots, and a replica of the first."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "500", "--repl-diskless-sync-delay", "0")
    buses = [str(free_port()) for _ in range(4)]
    nodes = [valkeys(folder / f"node{number}", *options, "--cluster-port", bus) for number, bus in enumerate(buses)]
    for node in nodes:
        node.start()
    share = SLOTS // 3 + 1
    for number, node in enumerate(nodes[:3]):
        node.ask("CLUSTER", "ADDSLOTSRANGE", str(number * share), str(min((number + 1) * share, SLOTS) - 1))
    for number, node in enumerate(nodes):
        node.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        node.ask("CLUSTER", "MEET", "127.0.0.1", str(nodes[0].port), buses[0])
    yield nodes
    for node in nodes:
        node.kill()


@pytest.fixture
async def cluster(nodes: list[Any], start: Any) -> AsyncIterator[Any]:
    ready = ("cluster_state:ok", "cluster_known_nodes:4")
    await holds(lambda: all(word in node.ask("CLUSTER", "INFO") for node in nodes for word in ready))
    async with start(f"redis+cluster://127.0.0.1:1,127.0.0.1:{nodes[1].port}") as redis:
        await redis.until_up()
        yield redis


async def test_keys_are_found_on_all_nodes(cluster: Any, nodes: list[Any]) -> None:
    keys = [f"k{number}" for number in range(60)]
    await asyncio.gather(*(cluster.store.set(key, key.encode()) for key in keys))

    assert await cluster.store.get_many([*keys, "no"]) == [*(key.encode() for key in keys), None]
    assert await asyncio.gather(*(cluster.store.add("n", 1, 60) for _ in range(30)))
    assert await cluster.store.run(PAIR, ["{a}:1", "{a}:2"]) == [1, 1]
    assert await cluster.store.delete(*keys, "no") == 60
    assert cluster.told["connected"] >= 6


async def test_keys_of_two_slots_are_the_scripts_mistake(cluster: Any) -> None:
    with pytest.raises(Exception, match="slot") as caught:
        await cluster.store.run(PAIR, ["a", "b"])

    assert not isinstance(caught.value, StoreDown)


async def test_messages_reach_listeners_at_other_nodes(cluster: Any, nodes: list[Any]) -> None:
    heard: list[bytes] = []
    cluster.store.subscribe("news", heard.append)
    for node in nodes[:3]:
        heard.clear()
        await holds(lambda node=node: node.ask("PUBLISH", "spork:news", "1") and heard)


async def test_a_slot_that_moves_is_followed(cluster: Any, nodes: list[Any]) -> None:
    slot = slot_of("spork:moving")
    owner = next(node for node in nodes[:3] if "MOVED" not in _tried(node, "GET", "spork:moving"))
    target = next(node for node in nodes[:3] if node is not owner)
    ids = {node: node.ask("CLUSTER", "MYID") for node in nodes}
    await cluster.store.set("moving", b"1")
    target.ask("CLUSTER", "SETSLOT", str(slot), "IMPORTING", ids[owner])
    owner.ask("CLUSTER", "SETSLOT", str(slot), "MIGRATING", ids[target])
    owner.ask("MIGRATE", "127.0.0.1", str(target.port), "spork:moving", "0", "5000")

    assert await cluster.store.get("moving") == b"1"  # by ASK

    for node in (target, owner, *nodes[:3]):
        node.ask("CLUSTER", "SETSLOT", str(slot), "NODE", ids[target])
    for at in range(20):
        assert await cluster.store.add("{moving}n") == at + 1  # by MOVED, then by what was learned


@pytest.mark.slow
async def test_a_replica_takes_over(cluster: Any, nodes: list[Any]) -> None:
    first, replica = nodes[0], nodes[3]
    replica.ask("CLUSTER", "REPLICATE", first.ask("CLUSTER", "MYID"))
    await holds(lambda: "'master_link_status': 'up'" in replica.ask("INFO", "replication"))
    slot = next(number for number in range(999) if slot_of(f"spork:{number}") < 5000)
    await cluster.store.set(str(slot), b"kept")
    await holds(lambda: "slave0" in first.ask("INFO", "replication") and first.ask("WAIT", "1", "100") == "1")

    first.kill()
    await cluster.until_down()
    await cluster.until_up()

    assert await cluster.store.get(str(slot)) == b"kept"
    await holds(lambda: cluster.view.events[-2:] == ["store-down", "store-up"])


def _tried(node: Any, *words: str) -> str:
    try:
        return str(node.ask(*words))
    except Exception as error:
        return f"MOVED {error}"
