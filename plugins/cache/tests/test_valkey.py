"""On a real Valkey, by way of the redis plugin: the script in both its forms, and two gateways that share."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from spork_cache.purges import MOST
from spork_cache.shared import NOTE, Log

from spork_core.api import STORE, Clock, MemoryStore
from spork_core.testing import Harness, gateway, holds
from tests.services import Server, valkey

pytest.importorskip("spork_redis")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with valkey() as running:
        yield running


def node(server: Server, upstream: Any, prefix: str) -> Any:
    plugins = {
        "store": {"use": "redis", "url": f"redis://127.0.0.1:{server.port}", "prefix": prefix},
        "cache": {"use": "cache", "store": "shared"},
    }
    return gateway(plugins=plugins, upstream=upstream, chain=["cache"], admin={"listen": "127.0.0.1:0"})


def core(gw: Harness) -> Any:
    plugin: Any = gw.gateway.snapshot.instances["cache"].plugin
    return plugin._core


async def up(*nodes: Harness) -> None:
    for each in nodes:
        store = each.gateway.snapshot.resources[STORE]
        await holds(lambda store=store: store.problem() is None, "the store to be up")


async def written(gw: Harness) -> None:
    await holds(lambda: not core(gw).shared.writing, "the store to be written")


async def test_both_forms_of_the_script_do_the_same(server: Server, origin: Any) -> None:
    memory = MemoryStore(Clock())
    async with node(server, origin, "script:") as gw:
        await up(gw)
        real = gw.gateway.snapshot.resources[STORE]
        for record in ("", "u", "p0 http://a/ b", "t1 é", "", "a0 ", *(f"t0 {n}" for n in range(6))):
            texts = [await store.run(NOTE, ("{log}x",), (record, 5)) for store in (real, memory)]
            first, second = [text.partition(b" ")[2] for text in texts]
            assert first == second
            assert all(Log.parse(text) is not None for text in texts)
        assert len(Log.parse(texts[0]).lines) <= 5 < MOST
        assert await real.get("{log}x") == texts[0]


async def test_sharing_and_purging(server: Server, origin: Any) -> None:
    async with node(server, origin, "share:") as one, node(server, origin, "share:") as two:
        await up(one, two)
        await one.get("/x")
        await written(one)
        (await two.get("/x")).must_say("hello").must_have("Cache-Status", re.compile("spork; hit; .*"))
        origin.body = b"new"
        answer = await one.admin.post("/plugins/cache/purge", json={"prefix": "http://gateway.test/"})
        assert answer.json() == {"purged": "prefix", "entries": 1, "reach": "everywhere"}
        await holds(lambda: not len(core(two).memory), "the other node to hear of it")
        (await two.get("/x")).must_say("new")
        await written(two)
        (await one.get("/x")).must_say("new").must_have("Cache-Status", re.compile("spork; hit; .*"))
        one.upstream.must_have_got(1)
