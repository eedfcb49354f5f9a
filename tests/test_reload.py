"""From one config to the next while clients are served: what ends, what goes on, what is carried over."""

import asyncio
import gc
import json
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme

from spork_core.api import Exchange, GatewayView, Plugin, ResourceKey, hookimpl, setting
from spork_core.config import loads
from spork_core.config.model import Address, Certificate, ForwardedConfig, GatewayConfig, Listener, ListenerTLS
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from tests.processes import MOST, Backend, Client, backend, get

TEXT = """
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
timeouts: {drain: DRAIN}
services: {b: {endpoints: ["URL"]}}
"""
ROUTE = "\nroutes: {all: {match: {}, service: b, chain: [CHAIN]}}\n"
THING: ResourceKey[str] = ResourceKey("thing")


@attrs.frozen
class StampConfig:
    """A word to add to answers, and what goes wrong."""

    word: str = setting("The word.", default="")
    fails: bool = setting("Whether startup fails.", default=False)
    gives: str = setting("A resource to give.", default="")
    takes: bool = setting("Whether to take that resource.", default=False)


class Stamp(Plugin[StampConfig]):
    """Notes what happens to it."""

    Config = StampConfig
    happened: list[str] = []  # noqa: RUF012  emptied by the fixture

    def note(self, what: str) -> None:
        self.happened.append(f"{what} {self.name} {self.config.word}".rstrip())

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self.note("startup")
        if self.config.gives:
            gateway.resources[THING] = self.config.gives
        if self.config.takes:
            self.note(f"{gateway.resources[THING]} for")
        if self.config.fails:
            raise OSError("no luck")

    @hookimpl
    async def shutdown(self) -> None:
        self.note("shutdown")

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers[f"X-{self.name}"] = self.config.word

    @hookimpl
    def on_complete(self) -> None:
        self.note("complete")


@pytest.fixture(autouse=True)
def happened() -> list[str]:
    """What happened to the instances since it was last cleared."""
    Stamp.happened.clear()
    return Stamp.happened


class Live:
    """A gateway in this process, its client, and its configs."""

    def __init__(self, upstream: Backend) -> None:
        self.upstream = upstream
        self.registry = Registry({"stamp": Stamp})
        self.gateway: Gateway
        self.url = self.admin = ""

    async def config(self, chain: str = "", plugins: str = "{}", more: str = "", drain: str = "5s") -> GatewayConfig:
        text = TEXT + (more or ROUTE) + f"\nplugins: {plugins}\n"
        for name, value in (("DRAIN", drain), ("URL", self.upstream.url), ("CHAIN", chain)):
            text = text.replace(name, value)
        return await asyncio.to_thread(loads, text, plugins=self.registry)  # reads files

    async def stamps(self, **words: str) -> GatewayConfig:
        """One instance for each word, all on one route."""
        plugins = ", ".join(f"{name}: {{use: stamp, {word}}}" for name, word in words.items())
        return await self.config(", ".join(words), f"{{{plugins}}}")

    async def start(self, config: GatewayConfig) -> None:
        self.gateway = Gateway(config, self.registry)
        await self.gateway.start()
        self.url, self.admin = (f"http://{at}" for at in (*self.gateway.addresses, *self.gateway.admin_addresses))

    async def retired(self) -> None:
        """Waits until no old snapshot is left."""
        async with asyncio.timeout(MOST):
            while tasks := tuple(self.gateway._retiring):
                await asyncio.wait(tasks)
                await asyncio.sleep(0)


@pytest.fixture
async def live() -> AsyncIterator[Live]:
    async with backend() as upstream:
        live = Live(upstream)
        try:
            yield live
        finally:
            await live.gateway.stop(0)


@asynccontextmanager
async def slow(live: Live) -> AsyncIterator[Client]:
    """A request that waits for the backend."""
    live.upstream.asked.clear()
    client = await Client.to(live.url)
    await client.send("/slow")
    await live.upstream.asked.wait()
    yield client
    client.close()


@asynccontextmanager
async def upgraded(live: Live) -> AsyncIterator[Client]:
    """A connection that is a tunnel to the backend."""
    client = await Client.to(live.url)
    assert (await client.get("/", Connection="Upgrade", Upgrade="echo"))[0] == 101
    yield client
    client.close()


async def echoed(client: Client, data: bytes) -> bytes:
    client.writer.write(data)
    async with asyncio.timeout(MOST):
        return await client.reader.readexactly(len(data))


# -- exchanges ------------------------------------------------------------------------------------------


async def test_an_exchange_ends_on_the_pipeline_it_began_with(live: Live) -> None:
    await live.start(await live.stamps(a="word: old"))
    async with slow(live) as client:
        await live.gateway.reload(await live.stamps(a="word: new"))
        assert (await get(live.url, "/"))[1]["x-a"] == "new"
        live.upstream.let_go.set()
        assert (await client.answer())[1]["x-a"] == "old"

        assert (await client.get("/"))[1]["x-a"] == "new"


async def test_an_idle_connection_meets_the_new_config_with_its_next_request(live: Live) -> None:
    await live.start(await live.stamps(a="word: old"))
    client = await Client.to(live.url)
    assert (await client.get("/"))[1]["x-a"] == "old"

    await live.gateway.reload(await live.stamps(a="word: new"))

    assert (await client.get("/"))[1]["x-a"] == "new"
    client.close()


async def test_an_exchange_on_a_changed_route_is_cut_after_the_drain_time(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: old"))
    async with slow(live) as client:
        await live.gateway.reload(await live.config(drain="10ms"))

        assert await client.ended()
        await live.retired()
        assert happened == ["startup a old", "complete a old", "shutdown a old"]


async def test_an_exchange_on_an_unchanged_route_outlives_the_drain_time(live: Live) -> None:
    await live.start(await live.config())
    async with slow(live) as client:
        for _ in range(3):
            await live.gateway.reload(await live.config(drain="10ms"))
            await live.retired()
        live.upstream.let_go.set()

        assert (await client.answer())[0] == 200
    assert live.gateway.snapshot.running == 0


async def test_an_open_connection_is_seen_by_the_new_config(live: Live) -> None:
    """Who is trusted, and how the gateway calls itself, is asked again for the next request."""
    trusting = attrs.evolve(await live.config(), trusted_proxies=(ip_network("127.0.0.0/8"),))
    await live.start(trusting)
    client = await Client.to(live.url)
    await client.get("/", **{"X-Forwarded-For": "192.0.2.1"})

    await live.gateway.reload(attrs.evolve(await live.config(), forwarded=ForwardedConfig(via="third")))
    await client.get("/", **{"X-Forwarded-For": "192.0.2.1"})

    head = live.upstream.heads[-1]
    assert (b"Via: 1.1 third" in head, b"192.0.2.1" in head) == (True, False)
    client.close()


# -- tunnels --------------------------------------------------------------------------------------------


async def test_a_tunnel_on_an_unchanged_route_goes_on(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: same"))
    async with upgraded(live) as client:
        assert await echoed(client, b"before") == b"before"

        for _ in range(3):
            await live.gateway.reload(await live.stamps(a="word: same"))
            await live.retired()

        assert await echoed(client, b"after") == b"after"
        assert happened == ["startup a same"]


async def test_a_tunnel_on_a_changed_route_ends_after_the_drain_time(live: Live) -> None:
    await live.start(await live.config())
    async with upgraded(live) as client:
        route = "\nroutes: {all: {match: {path: /new}, service: b}}\n"
        began = asyncio.get_running_loop().time()
        await live.gateway.reload(await live.config(more=route, drain="100ms"))
        assert await echoed(client, b"still") == b"still"

        assert await client.ended()
        assert asyncio.get_running_loop().time() - began >= 0.1


async def test_a_tunnel_goes_with_the_plugin_it_went_through(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: old"))
    async with upgraded(live) as client:
        await live.gateway.reload(
            attrs.evolve(await live.stamps(a="word: new"), timeouts=(await live.config(drain="10ms")).timeouts)
        )

        assert await client.ended()
        await live.retired()
        assert happened == ["startup a old", "startup a new", "complete a old", "shutdown a old"]


# -- instances and services -----------------------------------------------------------------------------


async def test_instances_that_did_not_change_are_carried_over(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: one", b="word: one", c="word: one"))
    before = dict(live.gateway.snapshot.instances)
    happened.clear()

    await live.gateway.reload(await live.stamps(a="word: one", b="word: two", d="word: one"))
    await live.retired()

    after = live.gateway.snapshot.instances
    assert [name for name in after if after[name] is before.get(name)] == ["a"]
    assert happened == ["startup b two", "startup d one", "shutdown c one", "shutdown b one"]


async def test_all_are_shut_down_once_at_the_end(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: one", b="word: one"))
    async with slow(live):
        await live.gateway.reload(await live.stamps(a="word: one", b="word: two"))
        happened.clear()

        await live.gateway.stop(0)

    assert happened == ["complete b one", "complete a one", "shutdown b one", "shutdown b two", "shutdown a one"]


async def test_an_instance_goes_with_the_one_that_gave_it_something(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(giver="gives: one", taker="takes: true", other="word: x"))
    happened.clear()

    await live.gateway.reload(await live.stamps(giver="gives: two", taker="takes: true", other="word: x"))
    await live.retired()

    assert happened == ["startup giver", "startup taker", "two for taker", "shutdown taker", "shutdown giver"]


async def test_what_a_removed_instance_gave_is_gone(live: Live) -> None:
    await live.start(await live.stamps(giver="gives: one"))
    await live.gateway.reload(await live.stamps(other="word: x"))

    assert THING not in live.gateway.snapshot.resources


async def test_a_service_that_did_not_change_keeps_its_connections(live: Live) -> None:
    await live.start(await live.config())
    await get(live.url, "/")

    await live.gateway.reload(await live.stamps(a="word: new"))
    await live.retired()
    await get(live.url, "/")

    assert live.upstream.connections == 1


async def test_an_old_snapshot_is_forgotten(live: Live) -> None:
    await live.start(await live.stamps(a="word: old"))
    await get(live.url, "/")
    old = weakref.ref(live.gateway.snapshot)

    await live.gateway.reload(await live.stamps(a="word: new"))
    await live.retired()

    async with asyncio.timeout(MOST):
        while old() is not None:  # the thread that prepared the new one may just be letting go
            await asyncio.to_thread(gc.collect)


# -- refusals -------------------------------------------------------------------------------------------


async def test_a_startup_that_fails_changes_nothing(live: Live, happened: list[str]) -> None:
    await live.start(await live.stamps(a="word: old"))
    happened.clear()

    with pytest.raises(ConfigError, match=r"\$\.plugins\.c: instance did not start: OSError: no luck"):
        await live.gateway.reload(await live.stamps(a="word: new", b="word: b", c="fails: true", d="word: d"))

    assert happened == ["startup a new", "startup b b", "startup c", "shutdown c", "shutdown b b", "shutdown a new"]
    assert (await get(live.url, "/"))[1]["x-a"] == "old"


async def test_the_status_says_how_reloads_went(live: Live) -> None:
    async def status() -> tuple[int, bool]:
        told: dict[str, Any] = json.loads((await get(live.admin, "/status"))[2])
        return told["reloads"], told["last_reload_error"] is not None

    await live.start(await live.config())
    with pytest.raises(ConfigError):
        await live.gateway.reload(await live.stamps(c="fails: true"))
    assert await status() == (0, True)

    await live.gateway.reload(await live.config())
    assert await status() == (1, False)


@pytest.mark.parametrize(
    ("key", "value"), [("listen", (Listener(Address("127.0.0.1", 1)),)), ("admin", None), ("workers", 2)]
)
async def test_what_belongs_to_the_process_cannot_change(live: Live, key: str, value: object) -> None:
    await live.start(await live.config())

    with pytest.raises(ConfigError, match=rf"\$\.{key}: a reload cannot"):
        await live.gateway.reload(attrs.evolve(live.gateway.config, **{key: value}))


@pytest.fixture
def tls(tmp_path: Path) -> ListenerTLS:
    """A certificate for localhost, in files."""
    issued = trustme.CA().issue_cert("localhost")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "cert")
    issued.private_key_pem.write_to_path(tmp_path / "key")
    return ListenerTLS(certificates=(Certificate(tmp_path / "cert", tmp_path / "key"),))


async def test_a_reload_that_could_not_ask_clients_for_certificates_is_refused(live: Live, tls: ListenerTLS) -> None:
    def listening(tls: ListenerTLS) -> GatewayConfig:
        return attrs.evolve(config, listen=(Listener(Address("127.0.0.1", 0), tls),))

    config = await live.config()
    await live.start(listening(tls))
    await live.gateway.reload(listening(tls))

    with pytest.raises(ConfigError, match="not min_version, tls_handshake or whether clients need one"):
        await live.gateway.reload(listening(attrs.evolve(tls, client_ca=tls.certificates[0].certificate)))
