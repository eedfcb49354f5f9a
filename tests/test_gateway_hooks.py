"""Hooks of the gateway that go wrong: named, with their place, and no harm to anybody else."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from spork_core.api import Event, Exchange, GatewayView, NoConfig, Plugin, hookimpl
from spork_core.errors import ConfigError
from spork_core.testing import gateway


class Odd(BaseException):
    """Neither an Exception nor anything that Python knows."""


ERRORS: list[Any] = [
    partial(ValueError, "broken"),
    partial(SystemExit, 3),
    partial(Odd, "odd"),
    KeyboardInterrupt,
    asyncio.CancelledError,
]


def name_of(error: Any) -> str:
    return str(getattr(error, "func", error).__name__)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "spork_core"):
        yield


class Told(Plugin[NoConfig]):
    """Tells of each exchange, and does what ``act`` says when it is told of something."""

    act: Callable[[], Any]

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.gateway = gateway

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        self.gateway.event("noticed", "somebody came", odd={object(): {1, float("nan")}})

    @hookimpl
    def on_event(self, event: Event) -> Any:
        return type(self).act()


def raising(error: Callable[[], BaseException]) -> Callable[[], Any]:
    def act() -> Any:
        raise error()

    return act


async def nothing() -> None:
    return None


def told(act: Callable[[], Any]) -> type[Plugin[Any]]:
    return type("Told", (Told,), {"act": staticmethod(act)})


@pytest.mark.parametrize("error", [*ERRORS, GeneratorExit], ids=name_of)
async def test_what_on_event_raises_stops_no_exchange(error: Callable[[], BaseException]) -> None:
    async with gateway(plugins={"told": told(raising(error))}, failures_expected=True) as gw:
        (await gw.get("/")).must_be(200)
        instance = gw.gateway.snapshot.instances["told"]

    line = raising.__code__.co_firstlineno + 2
    assert instance.failures == 1
    assert str(instance.last_failure).startswith(f"on_event at {__file__}:{line}: {name_of(error)}")


async def test_a_coroutine_from_on_event_is_a_failure() -> None:
    async with gateway(plugins={"told": told(nothing)}, failures_expected=True) as gw:
        (await gw.get("/")).must_be(200)
        instance = gw.gateway.snapshot.instances["told"]

    assert "answered with a coroutine" in str(instance.last_failure)


class Starts(Plugin[NoConfig]):
    """Raises at its start."""

    error: Callable[[], BaseException]

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        await asyncio.sleep(0)
        raise type(self).error()


@pytest.mark.parametrize("error", ERRORS, ids=name_of)
async def test_what_startup_raises_refuses_the_config_with_its_place(error: Callable[[], BaseException]) -> None:
    line = Starts.startup.__code__.co_firstlineno + 3
    async with gateway() as gw:
        with pytest.raises(ConfigError) as refused:
            await gw.reload(plugins={"starts": type("Starts", (Starts,), {"error": staticmethod(error)})})

        (await gw.get("/")).must_be(200)
    assert name_of(error) in str(refused.value)
    assert f", at {__file__}:{line}" in str(refused.value)


class Says(Told):
    """Says of itself what is no JSON, or nothing, for it fails."""

    act = staticmethod(lambda: None)

    @hookimpl
    def describe(self) -> Any:
        return {"when": object(), ("a", 1): [float("inf"), {2}]}

    @hookimpl
    async def health(self) -> None:
        raise asyncio.CancelledError


async def test_what_one_plugin_says_does_not_keep_the_others_from_being_heard() -> None:
    async with gateway(plugins={"says": Says}, admin={"listen": "127.0.0.1:0"}) as gw:
        await gw.get("/")
        status = (await gw.admin.get("/status")).must_be(200).json()
        ready = await gw.admin.get("/readyz")

    assert status["instances"]["says"]["describe"]["('a', 1)"] == ["inf", [2]]
    assert [event["kind"] for event in status["events"]] == ["noticed"]
    assert ready.status == 503
    assert "health raised CancelledError" in ready.text
