"""Time in a test's hands: the gateway's clock, the loop's timers, and waits that are not fooled by it."""

import asyncio
import time
from collections.abc import Iterator

import pytest
import uvloop

from spork_core.api import GatewayView, Plugin, hookimpl
from spork_core.testing import StillClock, gateway
from spork_core.testing.patience import Patience


async def test_the_clock_stands_still_until_it_is_moved() -> None:
    clock = StillClock(now=1000)
    before = clock.clock.time(), clock.clock.monotonic_ns()
    await asyncio.sleep(0.01)
    assert (clock.clock.time(), clock.clock.monotonic_ns()) == before
    clock.advance(1.5)
    assert (clock.now, clock.clock.monotonic_ns() - before[1]) == (1001.5, 1_500_000_000)
    assert repr(clock) == "<StillClock 1970-01-01 00:16:41.500000+00:00>"


async def test_timers_are_moved_by_the_same_leap() -> None:
    begun = time.monotonic()
    clock = StillClock()
    sleeping = asyncio.create_task(asyncio.sleep(3600))
    await asyncio.sleep(0)
    clock.advance(3600)
    await sleeping
    assert time.monotonic() - begun < 5


async def test_real_time_goes_on_underneath() -> None:
    StillClock().advance(10)
    await asyncio.wait_for(asyncio.sleep(0.01), 5)


async def test_what_runs_every_ten_seconds_runs_six_times_in_a_minute() -> None:
    class Refreshes(Plugin[None]):
        times = 0

        @hookimpl
        async def startup(self, gateway: GatewayView) -> None:
            self.clock = gateway.clock
            self.task = asyncio.create_task(self.refresh())

        async def refresh(self) -> None:
            while True:
                await asyncio.sleep(10)
                type(self).times += 1

        @hookimpl
        async def shutdown(self, gateway: GatewayView) -> None:
            self.task.cancel()

    async with gateway({"refreshes": Refreshes}) as gw:
        before = gw.clock.now
        await gw.clock.elapse(61)
        assert Refreshes.times == 6
        assert gw.clock.now == pytest.approx(before + 61)


async def test_two_gateways_may_share_a_clock() -> None:
    async with gateway() as one, gateway(clock=one.clock) as other:
        one.clock.advance(5)
        assert other.gateway.clock.time() == one.clock.now


async def test_an_idle_connection_ends_when_its_time_has_passed() -> None:
    async with gateway(timeouts={"keep_alive": "75s"}) as gw, await gw.connect() as client:
        await client.get("/x")
        await gw.clock.elapse(76)
        assert await client.wire.rest() == b""


async def test_patience_is_not_fooled_by_a_leap() -> None:
    clock = StillClock()
    waiting = asyncio.create_task(waits(60))
    await asyncio.sleep(0)
    clock.advance(3600)
    await asyncio.sleep(0.01)
    assert not waiting.done()
    waiting.cancel()


async def test_patience_ends() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for nothing"):
        await waits(0.01)


async def waits(seconds: float) -> None:
    async with Patience("nothing", seconds):
        await asyncio.Event().wait()


@pytest.fixture
def on_uvloop() -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        yield runner


def test_uvloop_says_that_its_timers_cannot_be_moved(on_uvloop: asyncio.Runner) -> None:
    async def moves() -> None:
        async with gateway() as gw:
            (await gw.get("/x")).must_be(200)
            gw.clock.advance(1)

    with pytest.raises(
        RuntimeError, match=r"the timers of uvloop\.Loop cannot be moved; run this test on asyncio's loop"
    ):
        on_uvloop.run(moves())
