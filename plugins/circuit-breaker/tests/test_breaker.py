"""The circuit of a service, over real sockets: what opens it, what clients get meanwhile, and how it closes."""

import asyncio
from typing import Any

import pytest

from spork_core.api import BREAKER, Exchange, Plugin, Response, hookimpl
from spork_core.testing import gateway, holds, scripts
from spork_core.testing.harness import Harness

QUICK: dict[str, Any] = {"use": "circuit-breaker", "consecutive_failures": 2, "jitter": 0, "ramp": "0s", "successes": 1}


class Notes(Plugin[Any]):
    """Keeps what the breaker said of each exchange."""

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, name)
        self.said: list[str | None] = []

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        self.said.append(exchange.get(BREAKER))


def breaker(script: Any, *, services: Any = None, **settings: Any) -> Any:
    """A gateway whose service plays ``script`` behind a breaker that opens quickly."""
    return gateway(plugins={"breaker": {**QUICK, **settings}}, upstream=script, services=services or {})


def state(gw: Harness, endpoint: str = "", service: str = "up") -> float:
    return gw.metrics()["circuit_breaker_state"][("breaker", service, endpoint)]


async def opened(gw: Harness, failures: int = 2) -> None:
    for _ in range(failures):
        await gw.get("/")
    assert state(gw) == 1


FAILURES = {
    "500": scripts.answer(500),
    "503 passed through": scripts.answer(503, "busy"),
    "closed": scripts.closes_at_once(),
    "reset": scripts.reset(),
    "garbage": scripts.garbage(),
    "content cut": scripts.truncated(),
}


@pytest.mark.parametrize("script", FAILURES.values(), ids=FAILURES)
async def test_failures_in_a_row_open_the_circuit(script: Any) -> None:
    async with breaker(script) as gw:
        await opened(gw)
        answer = await gw.get("/")

        answer.must_be_problem("circuit-open", 503).must_have("Retry-After", "1")
        gw.upstream.must_have_got(2) if script is not FAILURES["closed"] else None


async def test_a_time_out_is_a_failure() -> None:
    patient = {"up": {"timeouts": {"response": "3s"}}}
    async with breaker(scripts.slow_head(60), services=patient, consecutive_failures=1) as gw:
        asking = asyncio.ensure_future(gw.get("/"))
        await gw.clock.elapse(3)
        (await asking).must_be(504)

        (await gw.get("/")).must_be_problem("circuit-open")


@pytest.mark.parametrize("status", [404, 429])
async def test_a_refusal_of_the_service_is_no_failure(status: int) -> None:
    async with breaker(scripts.answer(status)) as gw:
        for _ in range(4):
            (await gw.get("/")).must_be(status)


async def test_statuses_say_what_a_failure_is() -> None:
    async with breaker(scripts.sequence(*map(scripts.answer, (500, 500, 429, 429))), statuses=[429, 503]) as gw:
        for _ in range(4):
            await gw.get("/")

        (await gw.get("/")).must_be_problem("circuit-open")


async def test_a_good_answer_between_failures_keeps_it_closed() -> None:
    storm = scripts.sequence(*(scripts.answer(status) for status in (500, 200, 500, 200, 500)), then=scripts.ok())
    async with breaker(storm) as gw:
        for _ in range(6):
            await gw.get("/")
        (await gw.get("/")).must_be(200)


async def test_the_share_of_failures_opens_it() -> None:
    storm = scripts.sequence(*(scripts.answer(status) for status in (200, 500) * 2), then=scripts.ok())
    async with breaker(storm, consecutive_failures=None, failure_ratio=0.5, min_calls=4) as gw:
        for _ in range(4):
            await gw.get("/")

        assert state(gw) == 1
        circuit = gw.gateway.snapshot.instances["breaker"].plugin.describe(gw.gateway.view())["circuits"][0]
        assert circuit["why"] == "2 of 4 calls failed"


async def test_slow_answers_open_it() -> None:
    async with breaker(scripts.slow_head(6), slow_ratio=1, min_calls=2) as gw:
        for _ in range(2):
            asking = asyncio.ensure_future(gw.get("/"))
            await gw.clock.elapse(6)
            (await asking).must_be(200)

        (await gw.get("/")).must_be_problem("circuit-open")


async def test_a_client_that_is_slow_is_no_slow_service() -> None:
    async with breaker(scripts.ok(), slow_ratio=1, min_calls=1) as gw:
        client = await gw.connect()
        await client.wire.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
        await holds(lambda: gw.upstream.got)
        await gw.clock.elapse(6)
        await client.wire.send(b"b")
        assert (await client.wire.message()).status == 200

        (await gw.get("/")).must_be(200)


async def test_a_probe_that_another_plugin_answers_gives_its_permit_back() -> None:
    class Answers(Plugin[Any]):
        """Answers some attempts itself."""

        @hookimpl
        def before_attempt(self, exchange: Exchange) -> Response | None:
            if exchange.request.path != "/mine":
                return None
            return Response(418)

    async with gateway(
        plugins={"breaker": {**QUICK, "probes": 1}, "answers": Answers}, upstream=scripts.storm(2)
    ) as gw:
        await opened(gw)
        gw.clock.advance(1)
        (await gw.get("/mine")).must_be(418)

        (await gw.get("/")).must_be(200)


async def test_a_client_that_leaves_is_no_failure() -> None:
    async with breaker(scripts.never(), consecutive_failures=1) as gw:
        for turn in range(2):
            client = await gw.connect()
            await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await holds(lambda turn=turn: len(gw.upstream.got) > turn)
            client.wire.reset()
            await holds(lambda turn=turn: len(gw.transcript.of("breaker", "on_complete").lines) > turn)

        assert gw.metrics()["circuit_breaker_state"] == {}


async def test_it_tries_again_and_closes() -> None:
    async with breaker(scripts.storm(2)) as gw:
        await opened(gw)
        gw.clock.advance(0.9)
        (await gw.get("/")).must_be(503)
        gw.clock.advance(0.1)

        (await gw.get("/")).must_be(200)
        assert state(gw) == 0


async def test_each_failed_try_doubles_the_waiting_up_to_the_most() -> None:
    async with breaker(scripts.answer(500), max_open_for="3s") as gw:
        await opened(gw)
        for seconds in (1, 2, 3, 3):
            (await gw.get("/")).must_have("Retry-After", str(seconds))
            gw.clock.advance(seconds)
            (await gw.get("/")).must_be(500)


async def test_after_a_calm_time_waiting_begins_anew() -> None:
    script = [scripts.answer(500)] * 3 + [scripts.ok()] + [scripts.answer(500)] * 2
    async with breaker(scripts.sequence(*script), calm="1m") as gw:
        await opened(gw)
        for seconds, status in ((1, 500), (2, 200)):
            gw.clock.advance(seconds)
            (await gw.get("/")).must_be(status)
        gw.clock.advance(60)
        await opened(gw)

        (await gw.get("/")).must_have("Retry-After", "1")


async def test_never_more_probes_at_once_than_allowed() -> None:
    async with breaker(scripts.sequence(scripts.answer(500), scripts.answer(500), then=scripts.slow_head(9))) as gw:
        await opened(gw)
        gw.clock.advance(1)
        askers = [await gw.connect() for _ in range(8)]
        asking = [asyncio.ensure_future(each.get("/")) for each in askers]
        await holds(lambda: sum(each.done() for each in asking) == 5)
        await gw.clock.elapse(9)

        assert sorted([(await each).status for each in asking]) == [200] * 3 + [503] * 5
        gw.upstream.must_have_got(2 + 3)


async def test_a_probe_whose_client_leaves_gives_its_permit_back() -> None:
    script = scripts.sequence(scripts.answer(500), scripts.answer(500), scripts.never(), then=scripts.ok())
    async with breaker(script, probes=1) as gw:
        await opened(gw)
        gw.clock.advance(1)
        client = await gw.connect()
        await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await holds(lambda: len(gw.upstream.got) == 3)
        (await gw.get("/")).must_be(503)
        client.wire.reset()
        await holds(lambda: len(gw.transcript.of("breaker", "on_complete").lines) == 4)

        (await gw.get("/")).must_be(200)


async def test_the_share_let_in_grows_on_the_ramp() -> None:
    async with breaker(scripts.storm(2), ramp="10s") as gw:
        await opened(gw)
        gw.clock.advance(1)
        (await gw.get("/")).must_be(200)
        shares = []
        for _ in range(4):
            gw.clock.advance(2.5)
            shares.append(sum([(await gw.get("/")).status == 200 for _ in range(100)]))

        assert shares == [pytest.approx(share, abs=2) for share in (25, 50, 75, 100)]
        assert state(gw) == 0


async def test_a_service_with_little_traffic_is_refused_nothing_on_the_ramp() -> None:
    async with breaker(scripts.storm(2), ramp="10s") as gw:
        await opened(gw)
        for _ in range(10):
            gw.clock.advance(1)
            (await gw.get("/")).must_be(200)


async def test_a_failure_on_the_ramp_opens_it_again_for_longer() -> None:
    script = [scripts.answer(500)] * 2 + [scripts.ok()] + [scripts.answer(500)] * 2
    async with breaker(scripts.sequence(*script), ramp="10s") as gw:
        await opened(gw)
        for _ in range(3):
            gw.clock.advance(1)
            await gw.get("/")

        (await gw.get("/")).must_have("Retry-After", "2")


async def test_the_fallback_is_answered() -> None:
    fallback = {"status": 200, "body": "[]", "headers": {"Cache-Control": "no-store"}}
    async with breaker(scripts.answer(500), fallback=fallback) as gw:
        await opened(gw)

        answer = (await gw.get("/")).must_be(200).must_say("[]")
        answer.must_have("Cache-Control", "no-store").must_have("Content-Type", "application/json")
        answer.must_not_have("Retry-After")


async def test_a_fallback_that_is_a_503_says_when_to_come_again() -> None:
    async with breaker(scripts.answer(500), fallback={"body": "{}"}) as gw:
        await opened(gw)
        (await gw.get("/")).must_be(503).must_say("{}").must_have("Retry-After", "1")


async def test_others_are_told_when_a_request_did_not_pass_as_usual() -> None:
    plugins: dict[str, Any] = {"notes": Notes, "breaker": {**QUICK, "fallback": {"status": 200}}}
    async with gateway(plugins=plugins, upstream=scripts.storm(2)) as gw:
        notes = gw.gateway.snapshot.instances["notes"].plugin
        for seconds in (0, 0, 0, 1, 0):
            gw.clock.advance(seconds)
            await gw.get("/")

        assert notes.said == [None, None, "fallback", "probe", None]


async def test_each_opening_and_closing_is_an_event() -> None:
    async with breaker(scripts.storm(2)) as gw:
        await opened(gw)
        gw.clock.advance(1)
        await gw.get("/")

        told = [(event.kind, event.message, event.facts["service"]) for event in gw.gateway.events]
        assert told == [
            ("circuit_opened", "breaker: service up is left alone for 1 s: 2 failures in a row", "up"),
            ("circuit_closed", "breaker: service up is used as usual again: 1 probes went well", "up"),
        ]


async def test_its_numbers() -> None:
    async with breaker(scripts.storm(2)) as gw:
        await opened(gw)
        await gw.get("/")
        gw.clock.advance(1)
        await gw.get("/")

        name, numbers = ("breaker", "up", ""), gw.metrics()
        assert numbers["circuit_breaker_rejected"] == {name: 1}
        assert numbers["circuit_breaker_transitions"] == {(*name, "open"): 1, (*name, "closed"): 1}


async def test_state_lives_on_over_a_reload() -> None:
    async with breaker(scripts.answer(500)) as gw:
        await opened(gw)
        await gw.reload(plugins={"breaker": {**QUICK, "probes": 1}})

        (await gw.get("/")).must_be_problem("circuit-open").must_have("Retry-After", "1")
        assert gw.metrics()["circuit_breaker_transitions"][("breaker", "up", "", "open")] == 1


async def test_a_service_that_changes_keeps_its_circuit() -> None:
    async with breaker(scripts.answer(500)) as gw:
        await opened(gw)
        await gw.reload(services={"up": {"timeouts": {"connect": "7s"}}})
        (await gw.get("/")).must_be_problem("circuit-open")
