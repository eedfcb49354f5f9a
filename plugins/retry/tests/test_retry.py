"""Another attempt, over real sockets: when it is made, where it goes, and when it is not."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from spork_core.api import Chance
from spork_core.testing import gateway, holds, scripts, upstream
from spork_core.testing.harness import Harness
from spork_core.testing.upstreams import Upstream

BUSY = scripts.answer(503, "busy")


def retrying(script: Any, *, services: Any = None, **settings: Any) -> Any:
    """A gateway whose service plays ``script`` behind a retry that hardly waits."""
    instance = {"use": "retry", "backoff": "1ms", **settings}
    return gateway(plugins={"retry": instance}, upstream=script, services=services or {})


@asynccontextmanager
async def behind(*played: Any, **settings: Any) -> AsyncIterator[tuple[Harness, list[Upstream]]]:
    """A gateway with one service, whose endpoints play the scripts."""
    async with AsyncExitStack() as stack:
        backends = [await stack.enter_async_context(upstream(script)) for script in played]
        services = {"up": {"endpoints": [backend.url for backend in backends]}}
        plugins = {"retry": {"use": "retry", "backoff": "1ms", **settings}}
        yield await stack.enter_async_context(gateway(plugins=plugins, services=services)), backends


def retries(gw: Harness) -> dict[str, float]:
    """How often it tried again, by reason."""
    return {reason: count for (_, _, reason), count in gw.metrics()["retries"].items()}


def unlucky(gw: Harness) -> None:
    """Chance makes it wait as long as it can."""
    gw.gateway.snapshot.instances["retry"].plugin._chance = Chance(lambda size: b"\xff" * size)


# -- conditions ---------------------------------------------------------------------------------------

TRIED_AGAIN = [
    ({}, scripts.answer(503), "retriable-status-codes"),
    ({}, scripts.reset(), "reset"),
    ({}, scripts.closes_at_once(), "reset"),
    ({"retry_on": ["gateway-error"]}, scripts.answer(502), "gateway-error"),
    ({"retry_on": ["gateway-error"]}, scripts.reset(), "gateway-error"),
    ({"retry_on": ["gateway-error"]}, scripts.garbage(), "gateway-error"),
    ({"retry_on": ["5xx"]}, scripts.answer(500), "5xx"),
    ({"statuses": [500, 503]}, scripts.answer(500), "retriable-status-codes"),
]


@pytest.mark.parametrize(("settings", "script", "reason"), TRIED_AGAIN)
async def test_what_is_tried_again(settings: dict[str, Any], script: Any, reason: str) -> None:
    async with retrying(scripts.sequence(script, then=scripts.ok()), **settings) as gw:
        (await gw.get("/")).must_be(200)
        assert retries(gw) == {reason: 1}


NOT_TRIED_AGAIN = [
    ({}, scripts.answer(500), 500),
    ({}, scripts.answer(404), 404),
    ({}, scripts.garbage(), 502),
    ({"retry_on": ["connect-failure"]}, scripts.answer(503), 503),
    ({"retry_on": ["connect-failure"]}, scripts.reset(), 502),
    ({"retry_on": ["gateway-error"]}, scripts.answer(500), 500),
]


@pytest.mark.parametrize(("settings", "script", "status"), NOT_TRIED_AGAIN)
async def test_what_is_not(settings: dict[str, Any], script: Any, status: int) -> None:
    async with retrying(scripts.sequence(script, then=scripts.ok()), **settings) as gw:
        (await gw.get("/")).must_be(status)
        assert retries(gw) == {}


async def test_a_time_out_is_tried_again_where_it_is_asked_for() -> None:
    patient = {"up": {"timeouts": {"response": "3s"}}}
    script = scripts.sequence(scripts.slow_head(60), then=scripts.ok())
    async with retrying(script, services=patient, retry_on=["timeout"]) as gw:
        asking = asyncio.ensure_future(gw.get("/"))
        await gw.clock.elapse(4)
        (await asking).must_be(200)
        assert retries(gw) == {"timeout": 1}


async def test_a_connection_that_cannot_be_made_is_tried_again_at_the_same_endpoint() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        services = {"up": {"endpoints": [f"http://127.0.0.1:{unused.getsockname()[1]}"]}}
        async with gateway(plugins={"retry": {"backoff": "1ms"}}, services=services) as gw:
            (await gw.post("/", body="x")).must_be_problem("upstream-connect-failed", 502)
            assert retries(gw) == {"connect-failure": 2}


async def test_an_open_circuit_is_not_tried_again() -> None:
    breaker = {"use": "circuit-breaker", "consecutive_failures": 1}
    plugins = {"breaker": breaker, "retry": {"backoff": "1ms", "retry_on": ["5xx", "gateway-error", "connect-failure"]}}
    async with gateway(plugins=plugins, upstream=scripts.answer(500)) as gw:
        for _ in range(3):
            (await gw.get("/")).must_be_problem("circuit-open")
        gw.upstream.must_have_got(1)
        services = gw.gateway.snapshot.instances["retry"].plugin.describe(gw.gateway.view())["services"]
        assert services["up"]["budget"] == {"requests": 1, "retries": 1, "exhausted": 0}


# -- how often ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_no_more_than_that(most: int) -> None:
    async with retrying(BUSY, retries=most, retry_budget=None) as gw:
        (await gw.get("/")).must_be(503).must_say("busy")
        gw.upstream.must_have_got(1 + most)


async def test_what_the_kernel_tries_by_itself_does_not_count() -> None:
    with socket.socket() as one, socket.socket() as other:
        unused = [one, other]
        for each in unused:
            each.bind(("127.0.0.1", 0))
        dead = [f"http://127.0.0.1:{each.getsockname()[1]}" for each in unused]
        async with upstream(scripts.ok()) as alive:
            services = {"up": {"endpoints": [*dead, alive.url]}}
            async with gateway(plugins={"retry": {"retries": 1}}, services=services) as gw:
                (await gw.get("/")).must_be(200)
                assert retries(gw) == {}


async def test_another_endpoint_comes_first() -> None:
    async with behind(BUSY, BUSY, scripts.ok()) as (gw, backends):
        (await gw.get("/")).must_be(200)
        assert [len(backend.got) for backend in backends] == [1, 1, 1]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_what_may_have_been_processed_is_not_repeated_with_an_unsafe_method(method: str) -> None:
    async with retrying(BUSY) as gw:
        (await gw.request(method, "/", body="x")).must_be(503)
        gw.upstream.must_have_got(1)


async def test_methods_may_be_fewer() -> None:
    async with retrying(BUSY, methods=["GET"]) as gw:
        (await gw.put("/", body="x")).must_be(503)
        gw.upstream.must_have_got(1)


# -- waiting ------------------------------------------------------------------------------------------


async def test_back_off_grows_up_to_the_most() -> None:
    async with retrying(BUSY, backoff="1s", max_backoff="3s", retries=4, retry_budget=None) as gw:
        unlucky(gw)
        asking = asyncio.ensure_future(gw.get("/"))
        seen = []
        for seconds in (0.99, 0.01, 1.99, 0.01, 2.99, 0.01, 3):
            await holds(lambda: gw.upstream.got)
            await gw.clock.elapse(seconds)
            seen.append(len(gw.upstream.got))
        (await asking).must_be(503)

        assert seen == [1, 2, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("retry_after", ["2", "Thu, 01 Jan 1970 00:00:02 GMT"])
async def test_a_retry_after_is_waited_for(retry_after: str) -> None:
    script = scripts.sequence(scripts.answer(503, headers={"Retry-After": retry_after}), then=scripts.ok())
    async with retrying(script, max_retry_after="5s") as gw:
        gw.clock.advance(-gw.clock.now) if "1970" in retry_after else None
        asking = asyncio.ensure_future(gw.get("/"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(1.9)
        gw.upstream.must_have_got(1)
        await gw.clock.elapse(0.2)
        (await asking).must_be(200)


async def test_a_retry_after_that_asks_for_more_is_the_clients() -> None:
    async with retrying(scripts.answer(503, "later", {"Retry-After": "30"})) as gw:
        (await gw.get("/")).must_be(503).must_say("later").must_have("Retry-After", "30")
        gw.upstream.must_have_got(1)


async def test_all_attempts_stay_inside_the_total_time() -> None:
    hurried = {"up": {"timeouts": {"total": "5s"}}}
    async with retrying(BUSY, services=hurried, backoff="3s", max_backoff="60s", retries=9, retry_budget=None) as gw:
        unlucky(gw)
        asking = asyncio.ensure_future(gw.get("/"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(3)

        (await asking).must_be(503)  # at once, for the next wait would be too long
        gw.upstream.must_have_got(2)


async def test_each_try_has_its_time() -> None:
    script = scripts.sequence(scripts.slow_head(60), scripts.slow_head(60), then=scripts.ok())
    async with retrying(script, per_try_timeout="2s", retry_on=["timeout"]) as gw:
        asking = asyncio.ensure_future(gw.get("/"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(2.1)
        await holds(lambda: len(gw.upstream.got) == 2)
        await gw.clock.elapse(2.1)

        (await asking).must_be(200)
        assert retries(gw) == {"timeout": 2}


async def test_a_client_that_is_slow_uses_up_no_try() -> None:
    async with retrying(scripts.ok(), per_try_timeout="2s", retry_on=["timeout"]) as gw:
        client = await gw.connect()
        await client.wire.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(3)
        await client.wire.send(b"b")
        assert (await client.wire.message()).status == 200


async def test_an_answer_whose_head_came_in_time_may_take_longer() -> None:
    async with retrying(scripts.slow_body("abc", every=2.0), per_try_timeout="3s") as gw:
        asking = asyncio.ensure_future(gw.get("/"))
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(10)
        (await asking).must_be(200).must_say("abc")


# -- content ------------------------------------------------------------------------------------------


async def test_small_content_that_is_there_is_sent_again() -> None:
    async with retrying(scripts.sequence(BUSY, then=scripts.echo())) as gw:
        (await gw.put("/", body="x" * 1000)).must_be(200).must_say("x" * 1000)


async def test_content_past_the_most_is_not() -> None:
    async with retrying(BUSY, max_body="999B") as gw:
        (await gw.put("/", body="x" * 1000)).must_be(503)
        gw.upstream.must_have_got(1)


async def slowly(*parts: str) -> AsyncIterator[bytes]:
    for part in parts:
        await asyncio.sleep(0)
        yield part.encode()


@pytest.mark.parametrize("hold", [False, True])
async def test_content_that_comes_late_is_held_by_choice(hold: bool) -> None:
    async with retrying(scripts.sequence(BUSY, then=scripts.echo()), hold_bodies=hold) as gw:
        client = await gw.connect()
        head = b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
        await client.wire.send(head + b"ab")
        await holds(lambda: hold or gw.upstream.got)
        await client.wire.send(b"cd")
        answer = await client.wire.message()

        assert (answer.status, answer.body) == ((200, b"abcd") if hold else (503, b"busy"))


@pytest.mark.parametrize("declared", [True, False])
async def test_content_that_turns_out_too_long_to_hold_goes_on_once(declared: bool) -> None:
    async with retrying(scripts.echo(), hold_bodies=True, max_body="1000B") as gw:
        parts = ["x" * 600, "y" * 600]
        body: Any = "".join(parts) if declared else slowly(*parts)
        (await gw.put("/", body=body)).must_be(200).must_say("".join(parts))


async def test_held_content_of_a_post_streams_on() -> None:
    async with retrying(scripts.early_answer(413), hold_bodies=True) as gw:
        (await gw.post("/", body=slowly("a", "b"))).must_be(413)


# -- the rest -----------------------------------------------------------------------------------------


async def test_the_service_is_told_which_attempt_it_is() -> None:
    async with retrying(scripts.sequence(BUSY, BUSY, then=scripts.ok()), attempt_header="X-Attempt") as gw:
        await gw.get("/", headers={"X-Attempt": "77"})
        for number, request in enumerate(gw.upstream.got, 1):
            request.must_have("X-Attempt", str(number))


async def test_the_budget_ends_a_storm() -> None:
    async with retrying(BUSY, retry_budget={"minimum": 0, "ratio": 0.2}) as gw:
        for _ in range(100):
            (await gw.get("/")).must_be(503)

        assert len(gw.upstream.got) == 100 + 20
        assert gw.metrics()["retry_budget_exhausted"] == {("retry", "up"): 80 + 20}


async def test_a_client_that_leaves_gives_its_part_of_the_budget_back() -> None:
    script = scripts.sequence(BUSY, scripts.never(), BUSY, then=scripts.ok())
    async with retrying(script, retry_budget={"minimum": 1, "ratio": 0}) as gw:
        client = await gw.connect()
        await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await holds(lambda: len(gw.upstream.got) == 2)
        client.wire.reset()
        await holds(lambda: gw.transcript.of("retry", "on_complete").lines)

        (await gw.get("/")).must_be(200)


async def test_its_numbers_and_what_it_says_of_itself() -> None:
    async with retrying(scripts.sequence(BUSY, then=scripts.ok())) as gw:
        await gw.get("/")
        await gw.reload(plugins={"retry": {"backoff": "2ms"}})
        await gw.get("/")

        plugin = gw.gateway.snapshot.instances["retry"].plugin
        assert gw.metrics()["retries_succeeded"] == {("retry", "up"): 1}
        assert plugin.describe(gw.gateway.view())["services"]["up"] == {
            "retries": {"retriable-status-codes": 1},
            "succeeded": 1,
            "running": 0,
            "budget": {"requests": 1, "retries": 0, "exhausted": 0},
        }


async def test_without_anything_to_do_it_has_few_hooks() -> None:
    async with retrying(scripts.ok()) as gw:
        await gw.get("/")
        gw.transcript.must_be(["retry.after_attempt → None", "retry.on_complete → None"])
