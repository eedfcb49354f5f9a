"""Traces by OpenTelemetry: a span for each exchange, each attempt and, by choice, each hook of a plugin."""

import asyncio
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Final

from spork_core.api import (
    SESSION_TRACING,
    TRACE_ID,
    Attempt,
    Chance,
    Exchange,
    GatewayView,
    Metric,
    OnFailure,
    Plugin,
    ResourceKey,
    hookimpl,
)
from spork_tracing.config import TracingConfig
from spork_tracing.context import BAGGAGE, SAMPLED, TRACEPARENT, TRACESTATE, parse, state_of, written
from spork_tracing.recording import RECORDING, Recording
from spork_tracing.sampling import Sampling, bound_of, from_environment

if TYPE_CHECKING:
    from opentelemetry.sdk.resources import Resource

    from spork_core.api import Headers
    from spork_tracing.tracer import Tracer

__all__ = ["Tracing", "TracingConfig"]

_NEVER: Final = ""


class Tracing(Plugin[TracingConfig]):
    """Continues or begins the trace of an exchange, hands it on to the service, and tells a collector about it."""

    Config: ClassVar[type] = TracingConfig
    provides: ClassVar[tuple[str, ...]] = ("trace",)
    gives: ClassVar[tuple[ResourceKey[Any], ...]] = (SESSION_TRACING,)
    on_failure: ClassVar[OnFailure] = "open"

    def __init__(self, config: TracingConfig, name: str) -> None:
        super().__init__(config, name)
        self.reads_timings = config.plugin_spans
        self._from_anyone = config.trust == "always"
        self._from_proxies = config.trust == "trusted-proxies"
        self._hex = Chance().hex
        self._bound = _NEVER
        self._sampling = Sampling()
        self._kind = "none"
        self._tracer: Tracer | None = None

    def hooks(self) -> tuple[str, ...]:
        if self.config.exporter == "none":
            return ("pre_auth",)
        return ("pre_auth", "before_attempt", "on_complete")

    # -- an instance's life -------------------------------------------------------------------------

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        log = gateway.log.getChild(self.name)
        self._hex = gateway.chance.hex
        self._sampling = from_environment(os.environ, log.warning)
        if self.config.sample is not None:
            self._sampling = Sampling(self.config.sample)
        self._kind = self.config.exporter or _exporter_of_environment(log.warning)
        if self._kind == "none":
            gateway.resources[SESSION_TRACING] = []
            return
        loop = asyncio.get_running_loop()

        def tell(problem: str | None) -> None:
            try:
                loop.call_soon_threadsafe(self._tell, gateway, problem)
            except RuntimeError:
                return  # the loop is closed: nobody is there to be told

        def prepare() -> tuple[type["Tracer"], "Resource"]:
            from spork_tracing.tracer import Tracer, identity  # OpenTelemetry takes 0.3 s to import

            return Tracer, identity(self.config, gateway, os.environ)

        make, resource = await asyncio.to_thread(prepare)
        share = self._sampling.share
        self._tracer = make(self.config, self._kind, share, resource, gateway, os.environ, tell)
        self._bound = bound_of(self._sampling.share)
        gateway.resources[SESSION_TRACING] = self._tracer.sessions

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        tracer, self._bound = self._tracer, _NEVER
        if tracer is not None:
            await asyncio.to_thread(tracer.exporting.stop)

    def _tell(self, gateway: GatewayView, problem: str | None) -> None:
        if problem is None:
            gateway.event("collector", f"{self.name}: spans reach the collector again")
        else:
            gateway.event("collector", f"{self.name}: {problem}; spans are lost until it works again", problem=problem)

    # -- exchanges ----------------------------------------------------------------------------------

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        headers = exchange.request.headers
        if TRACEPARENT in headers or TRACESTATE in headers or BAGGAGE in headers:
            self._continue(exchange, headers)
        else:
            self._begin(exchange, headers)

    def _continue(self, exchange: Exchange, headers: "Headers") -> None:
        """Another's context came with the request: its trace goes on here, or its sender is not believed."""
        values = headers.getall(TRACEPARENT, [])
        believed = self._from_anyone or (self._from_proxies and exchange.request.trusted)
        parent = parse(values) if believed else None
        if not believed:
            headers.popall(BAGGAGE, None)
        if parent is None:
            headers.popall(TRACESTATE, None)  # it belongs to a traceparent (W3C Trace Context section 3.3.1)
            self._begin(exchange, headers)
            return
        trace_id, _, flags = parent
        exchange[TRACE_ID] = trace_id
        wanted = flags & SAMPLED if self._sampling.parent else trace_id[16:] < self._bound
        if wanted and self._tracer is not None:
            state = state_of(headers.getall(TRACESTATE, []))
            self._record(exchange, headers, Recording(trace_id, self._hex(16), flags | SAMPLED, parent, None, state))
        elif flags & SAMPLED and not wanted:
            # Recorded before us and not here: what comes after must not take it for recorded.
            headers[TRACEPARENT] = written(trace_id, self._hex(16), flags & ~SAMPLED)
        elif not values[0].startswith("00-"):
            headers[TRACEPARENT] = written(*parent)  # of a later version we hand on what we know

    def _begin(self, exchange: Exchange, headers: "Headers") -> None:
        digits = self._hex(48)
        trace_id = digits[:32]
        exchange[TRACE_ID] = trace_id
        if digits[16:32] < self._bound:
            linked = parse(headers.getall(TRACEPARENT, []))
            self._record(exchange, headers, Recording(trace_id, digits[32:], SAMPLED, None, linked, ""))
        else:
            headers[TRACEPARENT] = f"00-{trace_id}-{digits[32:]}-00"

    def _record(self, exchange: Exchange, headers: "Headers", recording: Recording) -> None:
        exchange[RECORDING] = recording
        headers[TRACEPARENT] = written(recording.trace_id, recording.span_id, recording.flags)

    @hookimpl
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None:
        recording = exchange.get(RECORDING)
        if recording is not None:
            span_id = recording.attempts[attempt.number] = self._hex(16)
            exchange.request.headers[TRACEPARENT] = written(recording.trace_id, span_id, recording.flags)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        recording = exchange.get(RECORDING)
        if recording is None or recording.over or exchange.outcome is None:
            return
        recording.over = True
        tracer = self._tracer
        if tracer is not None:
            for span in tracer.spans.of(exchange, recording):
                tracer.exporting.on_end(span)

    # -- operators ----------------------------------------------------------------------------------

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        told: dict[str, Any] = {
            "exporter": self._kind,
            "sample": self._sampling.share,
            "parent_based": self._sampling.parent,
            "trust": self.config.trust,
        }
        if self._tracer is not None:
            exporting = self._tracer.exporting
            counting = exporting.counting
            told["spans"] = {
                "exported": counting.exported,
                "lost": counting.lost,
                "dropped": exporting.dropped,
                "waiting": exporting.waiting,
            }
            told["problem"] = counting.problem
        return told

    @hookimpl
    def collect(self, gateway: GatewayView) -> Iterator[Metric]:
        if self._tracer is None:
            return
        exporting = self._tracer.exporting
        ended: dict[tuple[str, ...], float] = {
            (self.name, "exported"): exporting.counting.exported,
            (self.name, "lost"): exporting.counting.lost,
            (self.name, "dropped"): exporting.dropped,
        }
        yield Metric(
            "tracing_spans",
            "counter",
            "Spans by what became of them: the collector has them, did not take them, or there was no room to wait.",
            ("instance", "result"),
            ended,
        )
        yield Metric(
            "tracing_spans_waiting",
            "gauge",
            "Spans that wait to be sent.",
            ("instance",),
            {(self.name,): exporting.waiting},
        )


def _exporter_of_environment(warn: Any) -> str:
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return "none"
    kind = os.environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() or "otlp"
    if kind not in ("otlp", "console", "none"):
        warn("OTEL_TRACES_EXPORTER=%s is not known here; otlp is used", kind)
        return "otlp"
    return kind
