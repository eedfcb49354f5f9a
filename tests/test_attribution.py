"""Who took how long: in the exchange, in the instance's totals, in Server-Timing, and told to an observer."""

import asyncio
import logging
import re
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest

from spork_core.api import Exchange, Forbidden, NoConfig, Plugin, Response, Timing, hookimpl
from spork_core.attribution import Called, Metering
from spork_core.exchange import Request
from spork_core.pipeline import Pipeline
from tests.reference import instance_of, plugin_of
from tests.wire.conftest import GET, gateway, holds, upstream


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "spork_core"):
        yield


def busy(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


class Works(Plugin[NoConfig]):
    """Works 2 ms in each hook, and waits 20 ms in one."""

    reads_timings: ClassVar[bool] = True
    seen: ClassVar[list[tuple[Timing, ...]]] = []

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        busy(0.002)

    @hookimpl
    async def on_request(self, exchange: Exchange) -> None:
        busy(0.002)
        await asyncio.sleep(0.02)
        busy(0.002)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        type(self).seen.append(exchange.timings)


async def test_own_time_and_waiting_are_told_apart() -> None:
    Works.seen.clear()
    async with upstream() as backend, gateway(backend, plugins={"works": Works}) as gate:
        await gate.ask(GET)
        await holds(lambda: Works.seen)

    ((first, second),) = Works.seen
    assert [(timing.instance, timing.hook) for timing in (first, second)] == [
        ("works", "pre_auth"),
        ("works", "on_request"),
    ]
    assert first.own >= 0.002
    assert first.waiting == 0
    assert second.own >= 0.004
    assert second.waiting >= 0.019


async def test_the_totals_of_an_instance_grow() -> None:
    async with upstream() as backend, gateway(backend, plugins={"works": Works}) as gate:
        await gate.ask(GET)
        await gate.ask(GET)
        await holds(lambda: len(Works.seen) >= 2)
        stats = gate.gateway.snapshot.instances["works"].stats

    assert {hook: of.calls for hook, of in stats.items()} == {"pre_auth": 2, "on_request": 2, "on_complete": 2}
    assert stats["on_request"].own >= 0.008
    assert stats["on_request"].waiting >= 0.038


class Refuses(Plugin[NoConfig]):
    """Says no."""

    reads_timings: ClassVar[bool] = True

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        raise Forbidden("No.")

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        Works.seen.append(exchange.timings)


async def test_a_hook_that_raises_is_measured_too() -> None:
    Works.seen.clear()
    async with upstream() as backend, gateway(backend, plugins={"no": Refuses}) as gate:
        await gate.ask(GET)
        await holds(lambda: Works.seen)

    assert [timing.hook for timing in Works.seen[0]] == ["pre_auth"]


async def test_where_nobody_reads_them_times_are_not_kept_in_the_exchange() -> None:
    exchange = Exchange(Request())
    instance = instance_of(plugin_of(pre_auth=lambda self: None))
    pipeline = Pipeline([instance], metering=Metering())

    assert pipeline.pre_auth is not None
    pipeline.pre_auth(exchange)

    assert exchange.timings == ()
    assert instance.stats["pre_auth"].calls == 1


async def test_without_attribution_nothing_is_measured() -> None:
    exchange = Exchange(Request())
    instance = instance_of(plugin_of({"reads_timings": True}, pre_auth=lambda self: None))
    pipeline = Pipeline([instance], metering=Metering(hooks=False))

    assert pipeline.pre_auth is not None
    pipeline.pre_auth(exchange)

    assert (exchange.timings, instance.stats["pre_auth"].calls) == ((), 0)


async def test_server_timing_tells_the_client_who_took_how_long() -> None:
    async with (
        upstream() as backend,
        gateway(backend, plugins={"works": Works}, route={"server_timing": True}) as gate,
    ):
        answer = await gate.ask(GET)

    (value,) = answer.values(b"server-timing")
    found = re.fullmatch(
        rb'works;dur=([\d.]+);desc="waiting ([\d.]+)", upstream;dur=([\d.]+), total;dur=([\d.]+)', value
    )
    assert found
    took, waited, asked, total = map(float, found.groups())
    assert took >= waited + 6
    assert total >= took + asked


async def test_server_timing_needs_no_plugin_and_is_off_by_default() -> None:
    async with upstream() as backend, gateway(backend, route={"server_timing": True}) as gate:
        with_it = await gate.ask(GET)
    async with upstream() as backend, gateway(backend) as gate:
        without = await gate.ask(GET)

    assert [value.split(b";")[0] for value in with_it.values(b"server-timing")[0].split(b", ")] == [
        b"upstream",
        b"total",
    ]
    assert without.values(b"server-timing") == []


async def test_an_observer_is_told_of_every_call_with_what_the_hook_itself_did() -> None:
    told: list[Called] = []

    async def answers(self: Any) -> Response:
        await asyncio.sleep(0)
        return Response(204)

    def fails(self: Any) -> None:
        raise ValueError("broken")

    chain = [
        instance_of(plugin_of(pre_auth=fails), "fails", on_failure="open"),
        instance_of(plugin_of(pre_auth=answers), "answers"),
    ]
    pipeline = Pipeline(chain, metering=Metering(observer=told.append))

    assert pipeline.pre_auth is not None
    await pipeline.pre_auth(Exchange(Request()))

    assert [(one.instance, one.hook, type(one.error), type(one.answer)) for one in told] == [
        ("fails", "pre_auth", ValueError, type(None)),
        ("answers", "pre_auth", type(None), Response),
    ]
    assert told[1].waiting > 0
