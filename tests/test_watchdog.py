"""What blocks the event loop is named: the instance, the file and the line, whether in a hook or beside one."""

import asyncio
import logging
from collections.abc import Iterator
from hashlib import pbkdf2_hmac
from inspect import getsourcelines
from typing import Any, Final

import pytest

from spork_core.api import Event, Exchange, GatewayView, NoConfig, Plugin, hookimpl
from tests.wire.conftest import GET, Running, gateway, holds, upstream

MANY: Final = 1_000_000
"""Rounds of a hash: 0.2 seconds or more, in one call that no thread can look into."""


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "spork_core"):
        yield


class Blocks(Plugin[NoConfig]):
    """Holds up the loop in a hook."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        pbkdf2_hmac("sha256", b"", b"", MANY)


class BlocksLater(Plugin[NoConfig]):
    """Holds up the loop in the second step of an async hook."""

    @hookimpl
    async def pre_auth(self, exchange: Exchange) -> None:
        await asyncio.sleep(0)
        pbkdf2_hmac("sha256", b"", b"", MANY)


class BlocksBeside(Plugin[NoConfig]):
    """Holds up the loop in a callback of its own."""

    def work(self) -> None:
        pbkdf2_hmac("sha256", b"", b"", MANY)

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        asyncio.get_running_loop().call_soon(self.work)


def line_of(function: Any) -> int:
    """Of the statement that blocks, the last of its function."""
    lines, first = getsourcelines(function)
    return first + len(lines) - 1


async def blocked(gate: Running) -> list[Event]:
    await holds(lambda: gate.gateway.events.count)
    return list(gate.gateway.events)


@pytest.mark.parametrize(
    ("cls", "blocking", "where"),
    [
        (Blocks, Blocks.pre_auth, "in pre_auth"),
        (BlocksLater, BlocksLater.pre_auth, "in pre_auth"),
        (BlocksBeside, BlocksBeside.work, "outside its exchange hooks"),
    ],
    ids=["hook", "second-step", "callback"],
)
async def test_what_blocks_is_named_with_file_and_line(cls: type[Plugin[Any]], blocking: Any, where: str) -> None:
    async with upstream() as backend, gateway(backend, plugins={"blocker": cls}) as gate:
        await gate.ask(GET)
        (event,) = await blocked(gate)

    assert (event.kind, event.facts["instance"]) == ("blocked", "blocker")
    assert event.facts["seconds"] > 0.05
    assert where in event.message
    assert event.message.endswith(f"at {__file__}:{line_of(blocking)}")


async def test_the_same_place_is_told_of_once_in_a_while() -> None:
    async with upstream() as backend, gateway(backend, plugins={"blocker": Blocks}) as gate:
        for _ in range(3):
            await gate.ask(GET)

        assert gate.gateway.events.count == 1


class Hears(Plugin[NoConfig]):
    """Keeps the events it is told of."""

    def __init__(self, config: NoConfig, name: str) -> None:
        super().__init__(config, name)
        self.heard: list[str] = []

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.gateway = gateway

    @hookimpl
    def on_event(self, event: Event, gateway: GatewayView) -> None:
        self.heard.append(f"{event.kind}: {event.message} {dict(event.facts)}")
        gateway.event("echo", "an event about an event is told to nobody")

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        self.gateway.event("noticed", "somebody came", path=exchange.request.path)


async def test_events_reach_plugins_and_plugins_make_them() -> None:
    async with upstream() as backend, gateway(backend, plugins={"hears": Hears}) as gate:
        await gate.ask(GET)
        plugin = gate.gateway.snapshot.instances["hears"].plugin

    assert isinstance(plugin, Hears)
    assert plugin.heard == ["noticed: somebody came {'path': '/'}"]
    assert [event.kind for event in gate.gateway.events] == ["noticed", "echo"]
