"""The admin listener: what it shows of the circuits, and holding one open or closed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest

from spork_core.api import STORE, Clock, GatewayView, MemoryStore, Plugin, StoreDown, Subscription, hookimpl
from spork_core.testing import gateway, holds, scripts, upstream
from spork_core.testing.answers import Answer
from spork_core.testing.harness import Harness

QUICK: dict[str, Any] = {"use": "circuit-breaker", "consecutive_failures": 2, "jitter": 0, "ramp": "0s", "successes": 1}
PATH = "/plugins/breaker"
ADMIN = {"listen": "127.0.0.1:0"}


@asynccontextmanager
async def operated(
    script: Any, *, plugins: Any = None, services: Any = None, **settings: Any
) -> AsyncIterator[Harness]:
    """A gateway with a breaker and an admin listener."""
    instances = {**(plugins or {}), "breaker": {**QUICK, **settings}}
    async with gateway(plugins=instances, upstream=script, services=services or {}, admin=ADMIN) as gw:
        yield gw


async def want(gw: Harness, state: str, endpoint: str | None = None) -> Answer:
    more = {} if endpoint is None else {"endpoint": endpoint}
    return await gw.admin.post(PATH, json={"service": "up", "state": state, **more})


async def test_it_shows_each_circuit_and_why_it_opened() -> None:
    async with operated(scripts.answer(500)) as gw:
        for _ in range(2):
            await gw.get("/")
        gw.clock.advance(0.25)
        (circuit,) = (await gw.admin.get(PATH)).must_be(200).json()["circuits"]

        assert circuit["state"] == "open"
        assert circuit["why"] == "2 failures in a row"
        assert (circuit["for_seconds"], circuit["tried_again_in_seconds"]) == (0.25, 0.75)


async def test_a_service_is_held_open_until_it_is_let_go() -> None:
    async with operated(scripts.ok()) as gw:
        (await want(gw, "open")).must_be(200)
        (await gw.get("/")).must_be_problem("circuit-open", 503)
        gw.upstream.must_not_be_reached()
        assert gw.metrics()["circuit_breaker_state"] == {("breaker", "up", ""): 1}

        (await want(gw, "auto")).must_be(200)
        (await gw.get("/")).must_be(200)


async def test_a_service_is_held_closed_whatever_its_calls_say() -> None:
    async with operated(scripts.answer(500)) as gw:
        await want(gw, "closed")
        for _ in range(5):
            (await gw.get("/")).must_be(500)


async def test_an_open_circuit_may_be_held_closed_and_goes_on_afterwards() -> None:
    async with operated(scripts.answer(500)) as gw:
        for _ in range(2):
            await gw.get("/")
        await want(gw, "closed")
        (await gw.get("/")).must_be(500)
        await want(gw, "auto")
        (await gw.get("/")).must_be_problem("circuit-open")


@pytest.mark.parametrize("scope", ["both", "endpoint"])
async def test_an_endpoint_that_is_held_open_gets_nothing_even_when_it_is_the_last(scope: str) -> None:
    async with upstream(scripts.ok()) as one, upstream(scripts.ok()) as other:
        services = {"up": {"endpoints": [one.url, other.url]}}
        async with operated(None, services=services, scope=scope) as gw:
            (await want(gw, "open", one.url)).must_be(200)
            for _ in range(4):
                (await gw.get("/")).must_be(200)
            one.must_not_be_reached()

            await want(gw, "open", other.url)
            (await gw.get("/")).must_be_problem("circuit-open", 503)


async def test_what_is_held_stays_so_over_a_reload() -> None:
    async with operated(scripts.ok()) as gw:
        await want(gw, "open")
        await gw.reload(plugins={"breaker": {**QUICK, "probes": 1}})
        (await gw.get("/")).must_be_problem("circuit-open")


async def test_holding_is_an_event() -> None:
    async with operated(scripts.ok()) as gw:
        await want(gw, "open")
        await want(gw, "auto")
        assert [(event.kind, event.message) for event in gw.gateway.events] == [
            ("circuit_forced", "breaker: service up is held open by an operator"),
            ("circuit_forced", "breaker: service up is let go by an operator"),
        ]


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        (b"", "That is no JSON"),
        (b"[" * 9999, "That is no JSON"),
        (b"[]", "A service is missing"),
        (b'{"service": 1, "state": "open"}', "A service is missing"),
        (b'{"service": "up", "endpoint": 1, "state": "open"}', "The endpoint is a URL"),
        (b'{"service": "up"}', "The state is one of open, closed, auto"),
        (b'{"service": "down", "state": "open"}', "There is no service"),
        (b'{"service": "up", "endpoint": "http://a", "state": "open"}', "The service has no endpoint"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(wish: bytes, why: str) -> None:
    async with operated(scripts.ok()) as gw:
        (await gw.admin.post(PATH, body=wish)).must_be_problem("bad-request", 400).must_mention(why)
        assert (await gw.admin.get(PATH)).json()["circuits"] == []


@pytest.mark.parametrize(("scope", "whole"), [("service", False), ("endpoint", True), ("both", False)])
async def test_what_has_no_circuit_cannot_be_held(scope: str, whole: bool) -> None:
    async with operated(scripts.ok(), scope=scope) as gw:
        (await want(gw, "open", None if whole else gw.upstream.url)).must_be(400)


# -- several workers ----------------------------------------------------------------------------------


class Common(MemoryStore):
    """A store that several gateways of a test have."""

    down = False
    shared: ClassVar[bool] = True  # type: ignore[misc]  # a property of the one in memory

    async def set(self, key: str, value: bytes, ttl: float | None = None, *, only_new: bool = False) -> bool:
        if self.down:
            raise StoreDown(reason="as the test wants it")
        return await super().set(key, value, ttl, only_new=only_new)


def giving(store: Common) -> type[Plugin[Any]]:
    """A plugin that provides ``store``."""

    class Gives(Plugin[Any]):
        """Provides it."""

        gives: ClassVar = (STORE,)

        @hookimpl
        def startup(self, gateway: GatewayView) -> None:
            gateway.resources[STORE] = store

    return Gives


async def test_all_workers_hold_what_one_was_told() -> None:
    plugins = {"store": giving(Common(Clock()))}
    async with upstream(scripts.ok()) as backend:
        services = {"up": {"endpoints": [backend.url]}}
        async with operated(None, plugins=plugins, services=services) as one:
            async with operated(None, plugins=plugins, services=services) as other:
                assert (await want(one, "open")).json()["told_all_workers"] is True
                (await other.get("/")).must_be_problem("circuit-open")
            async with operated(None, plugins=plugins, services=services) as late:
                (await late.get("/")).must_be_problem("circuit-open")
                await want(late, "auto")
                (await one.get("/")).must_be(200)


async def test_what_was_said_while_the_connection_was_gone_is_read_afterwards() -> None:
    class Broken(Common):
        """Its messages do not arrive."""

        def subscribe(self, channel: str, listener: Any, lost: Any = None) -> Subscription:
            self.lost = lost
            return super().subscribe(f"not {channel}", listener)

    store = Broken(Clock())
    async with operated(scripts.ok(), plugins={"store": giving(store)}) as gw:
        store.set_now("circuit-breaker:breaker:held", b'[["up", "", "open"]]')
        (await gw.get("/")).must_be(200)
        store.lost()
        await holds(lambda: gw.metrics()["circuit_breaker_state"] == {("breaker", "up", ""): 1})


async def test_while_the_store_is_down_one_worker_does_as_it_is_told() -> None:
    store = Common(Clock())
    store.down = True
    async with operated(scripts.ok(), plugins={"store": giving(store)}) as gw:
        assert (await want(gw, "open")).must_be(200).json()["told_all_workers"] is False
        (await gw.get("/")).must_be_problem("circuit-open")


@pytest.mark.parametrize("written", [b"", b"{}x", b"[1]", b'[["up", "", "ajar"]]', b'[["up", 7, "open"]]', b"\xff"])
async def test_what_cannot_be_understood_is_left_alone(written: bytes) -> None:
    store = Common(Clock())
    store.set_now("circuit-breaker:breaker:held", written)
    async with operated(scripts.ok(), plugins={"store": giving(store)}) as gw:
        (await gw.get("/")).must_be(200)
