"""The plugin in a gateway: what others get of it, what it tells of itself, and what reloads leave alone."""

import json
import re
from typing import Any

import pytest

from spork_core.api import STORE, Exchange, GatewayView, Plugin, Response, Script, Store, hookimpl
from spork_core.testing import gateway, holds

NAME = re.compile(r"store(_[a-z]+)+")


class Counting(Plugin[Any]):
    """Counts requests in the store that it is given."""

    store: Store

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.store = gateway.resources[STORE]

    @hookimpl
    async def serve(self, exchange: Exchange) -> Response:
        return Response(200, str(await self.store.add("n")))


def plugins(url: str, **more: Any) -> dict[str, Any]:
    return {"counting": Counting, "store": {"use": "redis", "url": url, **more}}


async def test_others_are_given_the_store_wherever_it_stands(server: Any) -> None:
    async with (
        gateway(plugins=plugins(server.url), chain=["counting"]) as one,
        gateway(plugins=plugins(server.url), chain=["counting"]) as other,
    ):
        (await one.get("/")).must_say("1")
        (await other.get("/")).must_say("2")
        (await one.get("/")).must_say("3")


async def test_prefixes_keep_gateways_apart(server: Any) -> None:
    async with (
        gateway(plugins=plugins(server.url, prefix="a:"), chain=["counting"]) as one,
        gateway(plugins=plugins(server.url, prefix="b:"), chain=["counting"]) as other,
    ):
        (await one.get("/")).must_say("1")
        (await other.get("/")).must_say("1")
    assert [server.ask("GET", key) for key in ("a:n", "b:n", "n")] == ["1", "1", "None"]


async def test_databases_keep_gateways_apart(server: Any) -> None:
    async with (
        gateway(plugins=plugins(server.tcp), chain=["counting"]) as one,
        gateway(plugins=plugins(f"{server.tcp}/3"), chain=["counting"]) as other,
    ):
        (await one.get("/")).must_say("1")
        (await other.get("/")).must_say("1")


async def test_a_reload_goes_over_to_another_and_back(server: Any) -> None:
    async with gateway(plugins=plugins(server.url), chain=["counting"]) as gw:
        (await gw.get("/")).must_say("1")
        await gw.reload(plugins={"counting": Counting})
        (await gw.get("/")).must_say("1")  # in memory
        await gw.reload(plugins=plugins(server.url, command_timeout="30ms"))
        (await gw.get("/")).must_say("2")


async def test_the_client_is_told_that_something_is_down_and_not_what(server: Any) -> None:
    async with gateway(plugins=plugins(server.tcp), chain=["counting"]) as gw:
        (await gw.get("/")).must_say("1")
        server.kill()
        answer = None
        while answer is None or answer.status == 200:
            answer = await gw.get("/")

        answer.must_be_problem("store-down", 503).must_have("Retry-After", "1")
        answer.must_not_mention(str(server.port)).must_not_mention("127.0.0.1")


async def test_what_operators_are_told(redis: Any) -> None:
    for number in range(3):
        await redis.store.set(f"k{number}", b"1")
    await redis.store.run(Script("one", "return 1", lambda *_: 1), [])
    await holds(lambda: redis.told["server"])
    told = json.loads(json.dumps(redis.told))

    assert told["server"].startswith("Valkey ")
    assert (told["mode"], told["problem"], told["breakers_open"]) == ("standalone", None, 0)
    assert (told["connections"], told["connected"]) == (2, 2)
    assert told["commands"] >= 6
    assert 1 <= told["commands_a_write"] <= told["commands"]


async def test_what_metrics_are_told(server: Any, redis: Any) -> None:
    await redis.store.set("a", b"1")
    found = {metric.name: metric.samples[()] for metric in redis.plugin.collect(redis.view)}
    assert all(NAME.fullmatch(name) for name in found)
    assert (found["store_up"], found["store_timeouts"], found["store_connects"]) == (1, 0, 2)

    server.kill()
    await redis.until_down()
    later = {metric.name: metric.samples[()] for metric in redis.plugin.collect(redis.view)}

    assert later["store_up"] == 0
    assert later["store_commands"] >= found["store_commands"] > 0


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1", "unix:///nowhere", "redis+cluster://127.0.0.1:1"])
async def test_a_store_that_was_never_there(start: Any, url: str) -> None:
    async with start(url) as redis:
        assert redis.plugin.health(redis.view).startswith("the store does not answer: ")
        assert redis.view.events == ["store-down"]
        assert redis.told["connections"] == 0
