"""Traces over real connections: from a client through the gateway to a service, and to a collector."""

import re
from typing import Any

import aiohttp
import pytest
from spork_tracing import Tracing

from spork_core.api import (
    CACHE_STATUS,
    SESSION_TRACING,
    TRACE_ID,
    Attempt,
    Event,
    Exchange,
    GatewayView,
    Plugin,
    Response,
    hookimpl,
)
from spork_core.testing import Harness, Wire, gateway, holds, scripts, upstream

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PROXY = {"trusted_proxies": ["127.0.0.1"]}
USERS = {"users": {"match": {"path": "/users/{id}"}, "service": "up"}}


class Sees(Plugin):
    """Keeps trace ids and events."""

    traces: list[str]
    events: list[str]

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, name)
        type(self).traces, type(self).events = [], []

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        self.traces.append(exchange.get(TRACE_ID, ""))

    @hookimpl
    def on_event(self, gateway: GatewayView, event: Event) -> None:
        self.events.append(event.message)


class Again(Plugin):
    """Tries once more."""

    @hookimpl
    def should_retry(self, exchange: Exchange, attempt: Attempt) -> float | None:
        return 0 if attempt.number == 1 else None


def tracing(collector: Any, **changes: Any) -> tuple[type[Tracing], dict[str, Any]]:
    return Tracing, {"endpoint": collector.url, "sample": 1, **changes}


def came_with(gw: Harness) -> tuple[str, str, str]:
    """Trace id, span id and flags that the service got last."""
    found = re.fullmatch("00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", gw.upstream.last.headers["traceparent"])
    assert found is not None
    return found[1], found[2], found[3]


async def test_an_exchange_is_a_server_span_with_a_client_span_for_its_attempt(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, routes=USERS) as gw:
        asked = {"User-Agent": "curl/8", "Host": "api.example.com"}
        (await gw.post("/users/7?token=s3cret&page=2", headers=asked, body="hello")).must_say("ok")
        trace_id, span_id, flags = came_with(gw)

    server, client = collector.one("SERVER"), collector.one("CLIENT")
    assert (server.name, server.parent, server.error) == ("POST /users/{id}", "", False)
    assert server.attributes.pop("spork.request_id")
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": "/users/{id}",
        "http.response.status_code": 200,
        "http.request.body.size": 5,
        "http.response.body.size": 2,
        "url.scheme": "http",
        "url.path": "/users/7",
        "url.query": "token=REDACTED&page=REDACTED",
        "server.address": "api.example.com",
        "server.port": 80,
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "user_agent.original": "curl/8",
        "spork.route": "users",
        "spork.service": "up",
        "spork.source": "upstream",
    }
    assert (client.name, client.parent, client.error) == ("POST", server.span_id, False)
    assert (client.trace_id, client.span_id, "01") == (trace_id, span_id, flags)
    assert server.trace_id == trace_id
    port = client.attributes.pop("server.port")
    assert gw.upstream.url.endswith(f":{port}")
    assert client.attributes == {
        "http.request.method": "POST",
        "http.response.status_code": 200,
        "url.full": f"{gw.upstream.url}/users/7?token=REDACTED&page=REDACTED",
        "url.scheme": "http",
        "server.address": "127.0.0.1",
        "network.protocol.version": "1.1",
        "spork.service": "up",
        "spork.connection.reused": False,
    }
    assert server.resource["service.name"] == "spork"


async def test_times_are_the_gateways(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}) as gw:
        began = gw.clock.now
        await gw.get("/")

    server, client = collector.one("SERVER"), collector.one("CLIENT")
    assert began * 1e9 == server.start <= client.start <= client.end <= server.end


async def test_a_trusted_proxys_trace_is_continued(collector: Any) -> None:
    fields = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1,b=2", "baggage": "user=7"}
    async with gateway(plugins={"tracing": tracing(collector, sample=0), "sees": Sees}, **PROXY) as gw:
        await gw.get("/", headers=fields)

        gw.upstream.last.must_have("tracestate", "a=1,b=2").must_have("baggage", "user=7")
        assert came_with(gw)[0] == TRACE
        assert came_with(gw)[2] == "01"

    server = collector.one("SERVER")
    assert (server.trace_id, server.parent, server.state) == (TRACE, SPAN, "a=1,b=2")
    assert Sees.traces == [TRACE]


async def test_what_a_trusted_proxy_does_not_record_is_passed_on_as_it_is(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, **PROXY) as gw:
        await gw.get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-00", "tracestate": "a=1"})

        assert came_with(gw) == (TRACE, SPAN, "00")
        gw.upstream.last.must_have("tracestate", "a=1")

    assert collector.spans == []


@pytest.mark.parametrize(("sampler", "sent", "flags"), [("always_on", "00", "01"), ("always_off", "01", "00")])
async def test_a_sampler_that_asks_no_parent(
    collector: Any, monkeypatch: pytest.MonkeyPatch, sampler: str, sent: str, flags: str
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", sampler)
    async with gateway(plugins={"tracing": (Tracing, {"endpoint": collector.url})}, **PROXY) as gw:
        await gw.get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-{sent}"})
        trace_id, span_id, got = came_with(gw)

    assert (trace_id, span_id != SPAN, got) == (TRACE, True, flags)
    assert [span.parent for span in collector.of("SERVER")] == ([SPAN] if flags == "01" else [])


async def test_nobody_elses_trace_is_continued_but_linked(collector: Any) -> None:
    fields = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=1", "baggage": "admin=1"}
    async with gateway(plugins={"tracing": tracing(collector)}) as gw:
        await gw.get("/", headers=fields)

        gw.upstream.last.must_not_have("tracestate").must_not_have("baggage")
        assert came_with(gw)[0] != TRACE

    assert (collector.one("SERVER").links, collector.one("SERVER").parent) == ([TRACE], "")


async def test_nobody_else_decides_what_is_recorded(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector, sample=0)}) as gw:
        await gw.get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})

        assert came_with(gw)[2] == "00"

    assert collector.spans == []


@pytest.mark.parametrize(
    "sent",
    [
        [f"00-{TRACE}-{SPAN}-01"] * 2,
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}"],
        [""],
        ["\xff"],
        [],
    ],
)
async def test_a_malformed_parent_is_none(collector: Any, sent: list[str]) -> None:
    fields = [*(("traceparent", value) for value in sent), ("tracestate", "a=1")]
    async with gateway(plugins={"tracing": tracing(collector)}, **PROXY) as gw:
        await gw.get("/", headers=fields)

        gw.upstream.last.must_not_have("tracestate").must_have("traceparent", re.compile("00-.*-01"))
        assert came_with(gw)[0] != TRACE


async def test_a_later_version_is_understood_and_answered_in_ours(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector, trust="always")}) as gw:
        await gw.get("/", headers={"traceparent": f"cc-{TRACE}-{SPAN}-07-what-comes"})

        assert came_with(gw)[::2] == (TRACE, "03")


async def test_each_attempt_is_a_span(collector: Any) -> None:
    storm = scripts.sequence(scripts.answer(503, "busy"), scripts.answer(200, "there"))
    async with gateway(plugins={"tracing": tracing(collector), "again": Again}, upstream=storm) as gw:
        (await gw.get("/")).must_say("there")
        sent = [received.headers["traceparent"].split("-")[2] for received in gw.upstream.got]

    first, second = collector.of("CLIENT")
    assert [first.span_id, second.span_id] == sent
    assert (first.error, first.attributes["error.type"]) == (True, "503")
    assert (second.error, second.attributes["http.request.resend_count"]) == (False, 1)
    assert not collector.one("SERVER").error


@pytest.mark.parametrize(
    ("script", "status", "server", "client"),
    [
        (scripts.answer(404, ""), 404, None, "404"),
        (scripts.answer(500, ""), 500, "500", "500"),
        (scripts.reset(), 502, "upstream-reset", "upstream-reset"),
        (scripts.garbage(), 502, "upstream-malformed", "upstream-malformed"),
    ],
)
async def test_errors(collector: Any, script: scripts.Turn, status: int, server: str | None, client: str) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, upstream=script) as gw:
        (await gw.get("/")).must_be(status)

    for span, code in ((collector.one("SERVER"), server), (collector.one("CLIENT"), client)):
        assert span.error is (code is not None)
        assert span.attributes.get("error.type") == code
    assert collector.one("SERVER").attributes["http.response.status_code"] == status


async def test_a_client_that_leaves_is_no_error_of_the_server(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, upstream=scripts.slow_head(60)) as gw:
        client = await gw.connect()
        await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await holds(lambda: gw.upstream.got, "a request to the upstream")
        client.close()
        await holds(lambda: "tracing.on_complete → None" in gw.transcript.told(), "the end of the exchange")

    server = collector.one("SERVER")
    assert not server.error
    assert server.attributes["error.type"] == "client-disconnected"
    assert "http.response.status_code" not in server.attributes
    assert collector.one("CLIENT").attributes["error.type"] == "client-disconnected"


async def switches(wire: Wire) -> None:
    """A service that switches to another protocol, and says a word in it."""
    await wire.head()
    await wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhello")
    await wire.rest()


async def test_a_tunnel_is_one_span_until_its_end(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, upstream=switches) as gw:
        client = await gw.connect()
        await client.wire.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
        await client.wire.until(b"hello")
        gw.clock.advance(60)
        client.close()
        await holds(lambda: "tracing.on_complete → None" in gw.transcript.told(), "the end of the exchange")

    server, attempt = collector.one("SERVER"), collector.one("CLIENT")
    assert server.attributes["http.response.status_code"] == 101
    assert not server.error
    assert server.end - server.start >= 60e9 > attempt.end - attempt.start


async def test_what_no_route_takes_and_no_method_names(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector)}, routes=USERS) as gw:
        (await gw.request("MKCOL", "/no?x")).must_be(404)

    server = collector.one("SERVER")
    assert server.name == "HTTP"
    assert server.attributes["http.request.method"] == "_OTHER"
    assert server.attributes["http.request.method_original"] == "MKCOL"
    assert server.attributes["spork.source"] == "client"


async def test_an_exchange_that_is_not_recorded_has_a_trace_all_the_same(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector, sample=0), "sees": Sees}) as gw:
        await gw.get("/")
        await gw.get("/")

        trace_id, _, flags = came_with(gw)
        assert flags == "00"
        assert Sees.traces[1] == trace_id != Sees.traces[0]

    assert (collector.spans, collector.paths) == ([], [])


async def test_without_an_exporter_contexts_are_passed_on(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector, exporter="none")}, **PROXY) as gw:
        await gw.get("/", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"})

        assert came_with(gw) == (TRACE, SPAN, "01")
        gw.transcript.must_be(["tracing.pre_auth → None"])


async def test_hooks_are_spans_by_choice(collector: Any) -> None:
    plugins = {"tracing": tracing(collector, plugin_spans=True), "again": Again}
    async with gateway(plugins=plugins, upstream=scripts.answer(503, "busy")) as gw:
        await gw.get("/")

    hooks, server = collector.of("INTERNAL"), collector.one("SERVER")
    assert [span.name for span in hooks] == [
        "tracing.pre_auth",
        "tracing.before_attempt",
        "again.should_retry",
        "tracing.before_attempt",
        "again.should_retry",
    ]
    assert {span.parent for span in hooks} == {server.span_id}
    assert [span.start for span in hooks] == sorted(span.start for span in hooks)
    assert hooks[0].attributes["spork.hook"] == "pre_auth"


class Asks(Plugin):
    """Asks somebody when it starts, as one that needs keys does."""

    url = ""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        configs = gateway.resources[SESSION_TRACING]
        async with aiohttp.ClientSession(trace_configs=configs) as session, session.get(f"{self.url}/keys?k=s3") as got:
            await got.read()


async def test_requests_of_plugins_are_spans_too(collector: Any) -> None:
    async with upstream(scripts.ok("keys")) as keys:
        Asks.url = keys.url
        async with gateway(plugins={"asks": Asks, "tracing": tracing(collector)}):
            sent = keys.last.headers["traceparent"]

    span = collector.one("CLIENT")
    assert sent.startswith(f"00-{span.trace_id}-{span.span_id}-0")
    assert span.attributes["url.full"] == f"{keys.url}/keys"
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["http.request.method"] == "GET"


class Says(Plugin):
    """Answers from a memory."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        exchange[CACHE_STATUS] = "hit"
        return Response(200, "cached")


async def test_what_others_say_of_the_exchange_is_an_attribute(collector: Any) -> None:
    async with gateway(plugins={"tracing": tracing(collector), "says": Says}) as gw:
        (await gw.get("/")).must_say("cached")

    server = collector.one("SERVER")
    assert (server.attributes["spork.cache"], server.attributes["spork.source"]) == ("hit", "plugin")
    assert collector.of("CLIENT") == []
