"""A collector for the tests: takes OTLP over HTTP on a real port, and shows the spans as plain values."""

import asyncio
import os
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Wire


class Collector:
    """``spans``: what it got, in order. ``status``: what it answers. ``headers``: of the last request."""

    def __init__(self) -> None:
        self.spans: list[SimpleNamespace] = []
        self.status = 200
        self.headers: Any = {}
        self.paths: list[str] = []
        self.url = ""
        self.open = asyncio.Event()
        """While it is not set nothing is answered."""
        self.open.set()

    async def take(self, request: web.Request) -> web.Response:
        """Takes a batch."""
        self.headers = request.headers
        self.paths.append(request.path)
        await self.open.wait()
        body = await request.read()  # decompressed, where it was compressed
        if self.status == 200:
            self.spans += _spans(ExportTraceServiceRequest.FromString(body))
        return web.Response(status=self.status)

    def of(self, kind: str) -> list[SimpleNamespace]:
        """The spans of a kind."""
        return [span for span in self.spans if span.kind == kind]

    def one(self, kind: str) -> SimpleNamespace:
        """The only span of a kind."""
        (span,) = self.of(kind)
        return span


def _spans(batch: ExportTraceServiceRequest) -> list[SimpleNamespace]:
    return [
        SimpleNamespace(
            name=span.name,
            kind=Wire.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_"),
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            attributes=_values(span.attributes),
            error=span.status.code == 2,
            message=span.status.message,
            start=span.start_time_unix_nano,
            end=span.end_time_unix_nano,
            links=[link.trace_id.hex() for link in span.links],
            state=span.trace_state,
            resource=_values(of_resource.resource.attributes),
        )
        for of_resource in batch.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _values(attributes: Any) -> dict[str, Any]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in attributes}


@pytest.fixture
async def collector() -> AsyncIterator[Collector]:
    """A running collector."""
    made = Collector()
    runner = web.ServerRunner(web.Server(made.take))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the machine's environment says of OpenTelemetry is not what the test is about."""
    for name in tuple(os.environ):
        if name.startswith("OTEL_"):
            monkeypatch.delenv(name)
