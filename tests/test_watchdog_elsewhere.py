"""The watchdog outside exchange hooks: where it looks, whom it names, and whom it does not accuse."""

import asyncio
import logging
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from spork_core.api import Event, Exchange, GatewayView, NoConfig, Plugin, Response, hookimpl
from spork_core.events import Events
from spork_core.testing import gateway
from spork_core.watchdog import Watchdog, _whose
from tests.wire.conftest import holds

HERE = Path(__file__)
LIMIT = 0.2


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "spork_core"):
        yield


def spin(end: float) -> bool:
    return time.perf_counter() < end


def block(seconds: float = 0.15) -> None:
    end = time.perf_counter() + seconds
    while spin(end):  # whose frame is another one each time
        pass


class InStartup(Plugin[NoConfig]):
    """Holds up the loop that serves by the config before."""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        block()


class InBody(Plugin[NoConfig]):
    """Holds up the loop in the content of an answer."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        async def content() -> AsyncIterator[bytes]:
            yield b"a"
            block()
            yield b"b"

        return Response(200, content())


class InEvent(Plugin[NoConfig]):
    """Holds up the loop while it is told of something."""

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.gateway = gateway

    @hookimpl
    async def serve(self, exchange: Exchange) -> Response:
        asyncio.get_running_loop().call_soon(self.gateway.event, "noticed", "somebody came")
        return Response(200)

    @hookimpl
    def on_event(self, event: Event) -> None:
        if event.kind == "noticed":
            block()


class InHealth(Plugin[NoConfig]):
    """Holds up the loop when it is asked how it is."""

    @hookimpl
    def health(self) -> None:
        block()


async def blocked(events: Events) -> list[Event]:
    await holds(lambda: [event for event in events if event.kind == "blocked"])
    return [event for event in events if event.kind == "blocked"]


@pytest.mark.parametrize("cls", [InBody, InEvent, InHealth], ids=lambda cls: cls.__name__)
async def test_what_blocks_beside_exchange_hooks_is_named(cls: type[Plugin[Any]]) -> None:
    async with gateway(plugins={"blocker": cls}, admin={"listen": "127.0.0.1:0"}) as gw:
        await (gw.admin.get("/readyz") if cls is InHealth else gw.get("/"))
        event, *_ = await blocked(gw.gateway.events)

    assert event.facts["instance"] == "blocker"
    assert "ms outside its exchange hooks at" in event.message
    assert event.message.partition(" at ")[2].startswith(f"{__file__}:")


async def test_an_instance_that_only_starts_is_named() -> None:
    async with gateway() as gw:
        await gw.reload(plugins={"newcomer": InStartup})
        event, *_ = await blocked(gw.gateway.events)

    assert event.facts["instance"] == "newcomer"


@pytest.mark.parametrize(("endless", "told"), [(0.05, ["starter"]), (60.0, [])])
async def test_at_the_first_start_only_what_hangs_is_named(
    endless: float, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spork_core.watchdog._ENDLESS", endless)

    async with gateway(plugins={"starter": InStartup}) as gw:
        await gw.get("/")

        assert [event.facts["instance"] for event in gw.gateway.events][:1] == told


def frame_of(*files: str) -> FrameType:
    """A stack of functions whose code lies in ``files``, the outermost first."""
    found: list[FrameType] = []
    call: Any = partial(lambda: found.append(sys._getframe(1)))
    for file in reversed(files):
        space: dict[str, Any] = {"call": call}
        exec(compile("def here():\n    call()", file, "exec"), space)
        call = space["here"]
    call()
    return found[0]


def test_of_two_plugins_in_one_stack_the_inner_one_is_named() -> None:
    homes = {Path("/plugins/outer"): "outer", Path("/plugins/inner"): "inner"}
    frame = frame_of("/kernel.py", "/plugins/outer/a.py", "/kernel.py", "/plugins/inner/b.py", "/plugins/inner/c.py")

    met = _whose(frame, homes, {}, 0.0)

    assert met is not None
    assert (met.instance, met.place, met.call.f_code.co_filename) == (
        "inner",
        "/plugins/inner/c.py:2",
        "/plugins/inner/b.py",
    )


async def test_a_busy_loop_accuses_nobody() -> None:
    events = Events()
    watchdog = Watchdog(LIMIT, events, lambda: {HERE: "innocent"})
    watchdog.serving = True
    await watchdog.start()
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    for _ in range(40):  # each of them quick, all of them together long
        loop.call_soon(block, LIMIT / 20)
    loop.call_soon(done.set)
    await done.wait()
    await asyncio.sleep(0)
    await watchdog.stop()

    assert list(events) == []


async def test_events_of_a_thread_are_told_in_the_loop() -> None:
    events, told = Events(), asyncio.Queue[int]()
    events.settle()
    events.listen(lambda _: told.put_nowait(threading.get_ident()))

    await asyncio.to_thread(events.add, "noticed", "in a thread")

    assert await told.get() == threading.get_ident()
