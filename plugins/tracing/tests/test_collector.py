"""The way to the collector: what is sent, and what becomes of it when the collector is slow, down or unwilling."""

import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from spork_tracing import Tracing, TracingConfig
from spork_tracing.tracer import endpoint_of

from spork_core.api import Event, GatewayView, Plugin, Secret, hookimpl
from spork_core.testing import Harness, gateway, holds


class Sees(Plugin):
    """Keeps events, and what the tracing instance tells."""

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, name)
        type(self).events: list[str] = []

    @hookimpl
    def on_event(self, gateway: GatewayView, event: Event) -> None:
        self.events.append(event.message)


class Shown(Tracing):
    """Shows itself."""

    last: "Shown"

    def __init__(self, config: TracingConfig, name: str) -> None:
        super().__init__(config, name)
        Shown.last = self


@asynccontextmanager
async def traced(**settings: Any) -> AsyncIterator[Harness]:
    """A gateway with every exchange recorded."""
    async with gateway(plugins={"tracing": (Shown, {"sample": 1, **settings}), "sees": Sees}) as gw:
        yield gw


def told(gw: Harness) -> dict[str, Any]:
    return Shown.last.describe(None)  # type: ignore[arg-type]  # it asks nothing of the gateway


async def test_spans_are_sent_while_it_runs(collector: Any) -> None:
    async with traced(endpoint=collector.url, export_interval="100ms", headers={"X-Api-Key": "k3y"}) as gw:
        await gw.get("/")
        await holds(lambda: told(gw)["spans"]["exported"] == 2, "spans at the collector")

        assert (set(collector.paths), collector.headers["x-api-key"]) == ({"/v1/traces"}, "k3y")
        assert told(gw)["spans"] == {"exported": 2, "lost": 0, "dropped": 0, "waiting": 0}
        (spans, waiting) = Shown.last.collect(None)  # type: ignore[arg-type]
        assert spans.samples[("tracing", "exported")] == 2
        assert waiting.samples == {("tracing",): 0}


async def test_shutdown_sends_what_waits(collector: Any) -> None:
    async with traced(endpoint=f"{collector.url}/own/path") as gw:
        for _ in range(5):
            await gw.get("/")

    assert len(collector.of("SERVER")) == 5
    assert collector.paths == ["/own/path"]


async def test_a_collector_that_is_down_hurts_nobody_and_is_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with traced(endpoint=url, export_interval="10ms", export_timeout="10ms") as gw:
            for wanted in (2, 4):
                (await gw.get("/")).must_say("ok")
                await holds(lambda wanted=wanted: told(gw)["spans"]["lost"] == wanted, "spans that are lost")

            assert "Connection refused" in told(gw)["problem"]
            assert len(Sees.events) == 1
            assert "the collector cannot be reached" in Sees.events[0]

    assert not [record for record in caplog.records if record.name.startswith("opentelemetry")]


async def test_a_collector_that_comes_back_is_told_of(collector: Any) -> None:
    collector.status = 400
    async with traced(endpoint=collector.url, export_interval="10ms") as gw:
        await gw.get("/")
        await holds(lambda: len(Sees.events) == 1, "an event")
        assert told(gw)["problem"] == "the collector answers 400 Bad Request"
        collector.status = 200
        await gw.get("/")
        await holds(lambda: len(Sees.events) == 2, "another event")

        assert "reach the collector again" in Sees.events[1]
        assert told(gw)["problem"] is None


async def test_a_collector_that_stalls_fills_a_queue_that_has_a_bound(collector: Any) -> None:
    collector.open.clear()
    async with traced(endpoint=collector.url, export_interval="10ms", queue=4) as gw:
        while told(gw)["spans"]["dropped"] < 10:
            (await gw.get("/")).must_say("ok")
            assert told(gw)["spans"]["waiting"] <= 4
        collector.open.set()

    assert 2 <= len(collector.spans) <= 8


async def test_a_collector_that_stalls_does_not_hold_the_shutdown(
    collector: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spork_tracing.exporting.LAST", 0.05)
    collector.open.clear()
    async with traced(endpoint=collector.url, export_timeout="30s") as gw:
        await gw.get("/")
        began = time.monotonic()

    assert time.monotonic() - began < 5
    collector.open.set()


async def test_the_environment_is_heard(collector: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=shop",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "edge",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "OTEL_TRACES_SAMPLER": "parentbased_always_on",
        "OTEL_BSP_MAX_QUEUE_SIZE": "many",
    }.items():
        monkeypatch.setenv(name, value)
    async with gateway(plugins={"tracing": (Tracing, {"resource": {"team": "core"}})}) as gw:
        await gw.get("/")

    resource = collector.one("SERVER").resource
    assert (resource["service.name"], resource["deployment.environment.name"]) == ("edge", "test")
    assert (resource["team"], resource["telemetry.sdk.name"]) == ("core", "opentelemetry")
    assert collector.headers["x-tenant"] == "shop"
    assert collector.headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize(
    ("name", "value"), [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none"), ("OTEL_TRACES_EXPORTER", "")]
)
async def test_the_environment_switches_off(
    collector: Any, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    async with gateway(plugins={"tracing": (Tracing, {"endpoint": collector.url, "sample": 1})}) as gw:
        await gw.get("/")

    assert bool(collector.spans) is (value == "")


async def test_the_console_shows_lines_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    async with gateway(plugins={"tracing": (Tracing, {"exporter": "console", "sample": 1})}) as gw:
        await gw.get("/users")

    spans = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [span["kind"] for span in spans] == ["SpanKind.CLIENT", "SpanKind.SERVER"]


async def test_a_reload_goes_on_and_sends_what_the_old_instance_had(collector: Any) -> None:
    async with gateway(plugins={"tracing": (Tracing, {"endpoint": collector.url, "sample": 1})}) as gw:
        await gw.get("/before")
        await gw.reload(plugins={"tracing": (Tracing, {"endpoint": collector.url, "sample": 1, "service_name": "new"})})
        await gw.get("/after")

    names = {span.attributes["url.path"]: span.resource["service.name"] for span in collector.of("SERVER")}
    assert names == {"/before": "spork", "/after": "new"}


def test_nothing_is_left_at_the_exporters_logger() -> None:
    assert logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter").filters == []


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (None, None),
        ("http://a:4318", "http://a:4318/v1/traces"),
        ("http://a:4318/", "http://a:4318/v1/traces"),
        ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
    ],
)
def test_where_spans_are_sent(text: str | None, url: str | None) -> None:
    assert endpoint_of(text) == url


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"endpoint": "collector:4318"}, 'write one like "http://127.0.0.1:4318"'),
        ({"endpoint": "grpc://collector:4317"}, 'write one like "http://127.0.0.1:4318"'),
        ({"endpoint": "http://a:port"}, 'write one like "http://127.0.0.1:4318"'),
        ({"endpoint": "http://u:p@a"}, "write them in headers"),
        ({"endpoint": "http://a/x?y=1"}, 'write "http://a/x"'),
        ({"headers": {"a b": "c"}}, "use letters"),
        ({"headers": {"a": "b\r\nc: d"}}, "write ASCII on one line"),
        ({"headers": {"a": ""}}, "write ASCII on one line"),
        ({"sample": 1.5}, "write a number from 0"),
        ({"sample": -0.1}, "write a number from 0"),
        ({"service_name": " "}, 'write one like "spork"'),
        ({"resource": {"service.name": "a"}}, "write service_name"),
        ({"resource": {"": "a"}}, "write one like"),
        ({"queue": 0}, "write a number from 1"),
        ({"export_interval": 0.0}, "write one like 5s"),
        ({"export_timeout": 7200.0}, "write one like 5s"),
    ],
)
def test_a_bad_config_is_refused_with_a_remedy(settings: dict[str, Any], remedy: str) -> None:
    if "headers" in settings:
        settings = {"headers": {name: Secret(value) for name, value in settings["headers"].items()}}
    with pytest.raises(ValueError, match=remedy):
        TracingConfig(**settings)
