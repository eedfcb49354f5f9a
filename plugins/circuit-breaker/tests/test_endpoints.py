"""The circuits of endpoints, over real sockets: requests go where it works, and never silently nowhere."""

import asyncio
import gc
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from spork_core.api import Attempt, Endpoint, Exchange, Plugin, hookimpl
from spork_core.testing import gateway, holds, scripts, upstream
from spork_core.testing.harness import Harness
from spork_core.testing.upstreams import Upstream

QUICK: dict[str, Any] = {"use": "circuit-breaker", "consecutive_failures": 2, "jitter": 0, "ramp": "0s", "successes": 1}


@asynccontextmanager
async def behind(
    *played: Any, weights: tuple[int, ...] = (), plugins: Any = None, **settings: Any
) -> AsyncIterator[tuple[Harness, list[Upstream]]]:
    """A gateway with one service, whose endpoints play the scripts, behind a breaker of endpoints only."""
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(upstream(script)) for script in played]
        endpoints = [
            {"url": backend.url, "weight": weight}
            for backend, weight in zip(backends, weights or (1,) * len(backends), strict=True)
        ]
        instances = {**(plugins or {}), "breaker": {**QUICK, "scope": "endpoint", **settings}}
        gw = await stack.enter_async_context(gateway(plugins=instances, services={"up": {"endpoints": endpoints}}))
        yield gw, backends


def states(gw: Harness) -> dict[str, float]:
    return {endpoint: value for (_, _, endpoint), value in gw.metrics()["circuit_breaker_state"].items()}


async def asked(gw: Harness, times: int) -> list[int]:
    return [(await gw.get("/")).status for _ in range(times)]


async def test_an_endpoint_that_fails_is_passed_over() -> None:
    async with behind(scripts.answer(500), scripts.ok()) as (gw, (bad, good)):
        assert sorted(await asked(gw, 4)) == [200, 200, 500, 500]
        assert states(gw) == {bad.url: 1, good.url: 0}

        assert await asked(gw, 6) == [200] * 6
        bad.must_have_got(2)


async def test_it_is_tried_again_by_one_request_and_then_used_as_before() -> None:
    async with behind(scripts.storm(2), scripts.ok()) as (gw, (weak, _)):
        await asked(gw, 4)
        gw.clock.advance(1)

        assert await asked(gw, 4) == [200] * 4
        weak.must_have_got(2 + 2)
        assert states(gw)[weak.url] == 0


async def test_the_others_share_by_weight_meanwhile() -> None:
    played = (scripts.answer(500), scripts.ok(), scripts.ok())
    async with behind(*played, weights=(1, 1, 3)) as (gw, (_, light, heavy)):
        await asked(gw, 10)
        before = len(light.got), len(heavy.got)
        await asked(gw, 8)

        assert (len(light.got) - before[0], len(heavy.got) - before[1]) == (2, 6)


async def test_when_all_are_open_they_are_used_all_the_same() -> None:
    async with behind(scripts.answer(500), scripts.answer(500)) as (gw, backends):
        await asked(gw, 4)
        assert list(states(gw).values()) == [1, 1]

        assert await asked(gw, 4) == [500] * 4
        assert [len(each.got) for each in backends] == [4, 4]


async def test_one_on_its_way_back_comes_before_one_that_is_open() -> None:
    async with behind(scripts.answer(500), scripts.storm(2), ramp="10s", open_for="1s") as (gw, (dead, back)):
        await asked(gw, 4)
        gw.clock.advance(1)
        await asked(gw, 2)
        assert states(gw) == {dead.url: 1, back.url: 2}

        assert await asked(gw, 20) == [200] * 20
        dead.must_have_got(2 + 1)


async def test_when_all_are_open_they_may_be_refused() -> None:
    async with behind(scripts.answer(500), scripts.answer(500), all_open="refuse") as (gw, _):
        await asked(gw, 4)

        (await gw.get("/")).must_be_problem("circuit-open", 503).must_have("Retry-After", "1")


async def test_an_endpoint_that_is_alone_can_be_refused() -> None:
    async with behind(scripts.answer(500), all_open="refuse") as (gw, (backend,)):
        assert await asked(gw, 4) == [500, 500, 503, 503]
        backend.must_have_got(2)


async def test_both_scopes_refuse_when_everything_fails_and_steer_when_not() -> None:
    works_for_a_while = scripts.sequence(*[scripts.ok()] * 6, then=scripts.answer(500))
    async with behind(scripts.answer(500), works_for_a_while, scope="both", failure_ratio=None) as (gw, (bad, good)):
        await asked(gw, 8)
        assert states(gw) == {"": 0, bad.url: 1, good.url: 0}

        assert await asked(gw, 4) == [500, 500, 503, 503]
        assert states(gw) == {"": 1, bad.url: 1, good.url: 1}


async def test_on_the_ramp_an_endpoint_gets_a_share_of_its_share() -> None:
    async with behind(scripts.storm(2), scripts.ok(), ramp="10s") as (gw, (weak, strong)):
        await asked(gw, 4)
        gw.clock.advance(1)
        await asked(gw, 2)
        gw.clock.advance(5)
        before = len(weak.got), len(strong.got)

        assert await asked(gw, 100) == [200] * 100
        assert len(weak.got) - before[0] == pytest.approx(25, abs=2)
        assert len(strong.got) - before[1] == pytest.approx(75, abs=2)


async def test_a_probe_that_is_out_makes_the_others_go_elsewhere() -> None:
    script = scripts.sequence(scripts.answer(500), scripts.answer(500), then=scripts.slow_head(9))
    async with behind(script, scripts.ok(), probes=1) as (gw, (weak, _)):
        await asked(gw, 4)
        gw.clock.advance(1)
        clients = [await gw.connect() for _ in range(2)]
        probing = [asyncio.ensure_future(client.get("/")) for client in clients]
        await holds(lambda: len(weak.got) == 3)
        assert await asked(gw, 5) == [200] * 5

        await gw.clock.elapse(9)
        assert [(await each).status for each in probing] == [200, 200]
        weak.must_have_got(3)


async def test_a_retry_goes_to_an_endpoint_that_was_not_tried() -> None:
    retry = {"retry": {"use": "retry", "retry_on": ["5xx"], "backoff": "1ms", "retry_budget": None}}
    played = (scripts.answer(500), scripts.answer(502), scripts.ok())
    async with behind(*played, plugins=retry, consecutive_failures=1) as (gw, backends):
        assert await asked(gw, 6) == [200] * 6
        assert [len(each.got) for each in backends] == [1, 1, 6]


async def test_another_plugins_choice_is_refused_while_its_circuit_is_open() -> None:
    class Sticky(Plugin[Any]):
        """Always the first."""

        @hookimpl
        def select_upstream(self, exchange: Exchange, attempt: Attempt) -> Endpoint:
            return attempt.choices[0]

    async with behind(scripts.answer(500), scripts.ok(), plugins={"sticky": Sticky}) as (gw, (first, second)):
        assert await asked(gw, 4) == [500, 500, 503, 503]
        first.must_have_got(2)
        second.must_not_be_reached()


async def test_an_endpoint_that_cannot_be_reached_is_passed_over() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        dead = f"http://127.0.0.1:{unused.getsockname()[1]}"
        async with upstream(scripts.ok()) as good:
            services = {"up": {"endpoints": [dead, good.url]}}
            async with gateway(plugins={"breaker": {**QUICK, "scope": "endpoint"}}, services=services) as gw:
                assert await asked(gw, 6) == [200] * 6
                assert states(gw) == {dead: 1, good.url: 0}


async def test_an_endpoint_that_is_gone_takes_its_circuit_along() -> None:
    async with behind(scripts.answer(500), scripts.ok()) as (gw, (bad, good)):
        await asked(gw, 4)
        await gw.reload(services={"up": {"endpoints": [good.url]}})
        await gw.get("/")
        gw.transcript.clear()  # it holds the exchanges of the service that is gone
        gc.collect()

        assert states(gw) == {good.url: 0}
        assert len(bad.got) == 2
