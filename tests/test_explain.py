"""X-Spork-Explain on real requests: who may ask, and that nothing of the exchange is different but its answer."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from spork_core.api import Exchange, GatewayView, NoConfig, Plugin, Request, Response, hookimpl
from spork_core.attribution import Metering
from spork_core.config.model import InstanceConfig
from spork_core.explain import tokens
from spork_core.pipeline import Pipeline
from spork_core.registry import Registry, make_instance
from tests.explaining import EXPLAIN, NOW, SECRET, STILL, Knows, explained, explaining, plugin, request, token
from tests.wire.conftest import Wire, gateway, holds, upstream


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Failures are what the test is about."""
    with caplog.at_level(logging.CRITICAL, "spork_core"):
        yield


# -- who may ask ----------------------------------------------------------------------------------------


BAD: dict[str, Callable[[], str]] = {
    "no token": lambda: "please",
    "another secret": lambda: tokens.make(SECRET[::-1], NOW),
    "expired": lambda: tokens.make(SECRET, NOW - 61, 60),
    "another method": lambda: token(method="POST"),
    "another path": lambda: token(prefix="/y"),
    "above the path": lambda: token(prefix="/x/y"),
    "beside the path": lambda: token(prefix="/xx"),
    "empty": str,
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
async def test_a_token_that_does_not_hold_is_refused_and_nothing_is_sent_or_told(bad: Callable[[], str]) -> None:
    async with upstream() as backend, explaining(backend, plugins={"all": Knows}) as gate:
        message = await gate.ask(request(explain=bad()))

        problem = json.loads(message.body)
        assert (message.status, problem["code"]) == (403, "explain-refused")
        assert "make another one with `spork explain --token`" in problem["detail"]
        assert b"steps" not in message.body
        backend.must_not_be_reached()


async def test_two_tokens_are_refused_though_both_hold() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        message = await gate.ask(request("GET /x", f"x-spork-explain: {token()}"))

        assert (message.status, b"send one" in message.body) == (403, True)
        backend.must_not_be_reached()


async def test_a_path_that_climbs_out_of_the_tokens_is_refused() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        message = await gate.ask(request("GET /open/../closed", explain=token(prefix="/open")))

        assert message.status == 403
        backend.must_not_be_reached()


async def test_a_token_for_a_method_and_a_path_is_good_for_what_lies_below() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        message = await gate.ask(request("GET /x/7?a=1", explain=token(method="GET", prefix="/x")))

        assert json.loads(message.body)["route"] == "all"


@pytest.mark.parametrize(
    ("head", "lines", "says"),
    [
        ("GET /x", ("Connection: Upgrade", "Upgrade: websocket"), b"switch to another protocol cannot be explained"),
        ("HEAD /x", (), b""),
    ],
)
async def test_a_request_whose_answer_has_no_room_is_refused(head: str, lines: tuple[str, ...], says: bytes) -> None:
    async with upstream() as backend, explaining(backend) as gate:
        message = await gate.ask(request(head, *lines), bodiless=head.startswith("HEAD"))

        assert (message.status, says in message.body) == (400, True)
        backend.must_not_be_reached()


async def test_without_the_config_the_header_is_like_any_other() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        message = await gate.ask(request(explain="v1.x"))

        assert (message.status, message.body) == (200, b"ok")
        backend.last.must_have("X-Spork-Explain", "v1.x")


async def test_with_the_config_other_requests_are_answered_as_ever() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        assert (await gate.ask(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).body == b"ok"


# -- that nothing else is different ---------------------------------------------------------------------


async def test_an_answer_that_never_ends_is_not_waited_for() -> None:
    async def events(wire: Wire) -> None:
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        await wire.forever()

    async with upstream(events) as backend, explaining(backend) as gate:
        found = await explained(gate)

        assert (found["answer"]["status"], found["answer"]["body_length"]) == (200, None)
        await holds(lambda: backend.wires[0].ended(), "the connection to the service to be given up")


async def test_on_complete_sees_the_answer_that_was_sent() -> None:
    outcomes: list[Any] = []
    log = plugin(on_complete=lambda self, exchange: outcomes.append(exchange.outcome))
    async with upstream() as backend, explaining(backend, plugins={"log": log}) as gate:
        message = await gate.ask(request())
        await holds(lambda: outcomes, "on_complete")

    (outcome,) = outcomes
    assert (outcome.status, outcome.source, outcome.complete) == (200, "gateway", True)
    assert outcome.bytes_sent == len(message.body)


async def test_the_connection_serves_on() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        client = await gate.client()
        await client.send(request() + b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n")

        assert json.loads((await client.message()).body)["live"] is True
        assert (await client.message()).body == b"ok"


async def test_content_goes_to_the_service_as_ever() -> None:
    async with upstream() as backend, explaining(backend) as gate:
        client = await gate.client()
        await client.send(request("POST /x", "Content-Length: 5") + b"hello", bytewise=True)

        assert (await client.message()).status == 200
        assert backend.last.body == b"hello"


async def test_a_header_that_would_break_the_answer_is_told_as_what_comes_of_it(quiet: None) -> None:
    def breaks(self: object, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Bad"] = "a\r\nSet-Cookie: b"

    async with upstream() as backend, explaining(backend, plugins={"bad": plugin(on_response=breaks)}) as gate:
        found = await explained(gate)

    assert (found["answer"]["status"], found["refused"]["code"]) == (502, "upstream-malformed")


async def test_a_reload_switches_it_on_and_off() -> None:
    async with upstream() as backend, gateway(backend, clock=STILL) as gate:
        off = gate.gateway.config
        await gate.gateway.reload(attrs.evolve(off, explain=EXPLAIN))
        assert (await explained(gate))["live"] is True
        await gate.gateway.reload(off)
        assert (await gate.ask(request())).body == b"ok"


async def test_an_inner_exchange_is_explained_to_the_plugin_that_asks() -> None:
    class Asks(Plugin[NoConfig]):
        @hookimpl
        def startup(self, gateway: GatewayView) -> None:
            self.gateway = gateway

        @hookimpl
        async def pre_auth(self, exchange: Exchange) -> Response | None:
            if exchange.request.path != "/outer":
                return None
            inner = Request("GET", "/inner", host="a")
            inner.headers["X-Spork-Explain"] = token()
            return await self.gateway.dispatch(inner)

    async with upstream() as backend, explaining(backend, plugins={"asks": Asks}) as gate:
        message = await gate.ask(b"GET /outer HTTP/1.1\r\nHost: a\r\n\r\n")

    assert json.loads(message.body)["asked"]["target"] == "/inner"


async def test_fields_that_code_made_are_checked_though_a_token_was_taken_out(quiet: None) -> None:
    class Smuggles(Plugin[NoConfig]):
        @hookimpl
        def startup(self, gateway: GatewayView) -> None:
            self.gateway = gateway

        @hookimpl
        async def pre_auth(self, exchange: Exchange) -> Response | None:
            if exchange.request.path == "/inner":
                return None
            inner = Request("GET", "/inner", host="a")
            inner.headers.update({"X-Spork-Explain": token(), "X-Bad": "a\r\nX-Smuggled: b"})
            return await self.gateway.dispatch(inner)

    async with upstream() as backend, explaining(backend, plugins={"bad": Smuggles}, faults=True) as gate:
        message = await gate.ask(b"GET /outer HTTP/1.1\r\nHost: a\r\n\r\n")
        backend.must_not_be_reached()

    assert json.loads(message.body)["answer"]["status"] == 500


async def test_who_watched_the_hooks_before_still_does() -> None:
    told: list[list[str]] = [[], []]
    instance = make_instance(InstanceConfig("p", "p", settings=NoConfig()), Registry({"p": Knows}))
    watched = Pipeline([instance], metering=Metering(observer=lambda called: told[0].append(called.hook)))

    authenticate = watched.observed(lambda called: told[1].append(called.hook)).authenticate

    assert authenticate is not None
    authenticate(Exchange(Request()))
    assert told == [["authenticate"], ["authenticate"]]
