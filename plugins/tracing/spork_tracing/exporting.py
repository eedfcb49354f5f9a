"""Where finished spans go: a queue, and OpenTelemetry's batch processor, whose thread sends what stands there.

Rules of this file
1. The loop never waits: a span is put in the queue, or dropped and counted when the queue is full.
2. A collector that is down is told of once, and once more when it is back. What the SDK would log each time is left out
   while an instance runs; ``describe`` says it.
3. Nothing global is set: no tracer provider, no propagator, nothing that runs at exit.
"""

import logging
import sys
import threading
from collections.abc import Mapping
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SpanExporter

from spork_tracing.collector import Counting, Session, Tell

LAST: Final = 4.0
"""Seconds that the gateway's shutdown waits for the collector."""
_LOGGER: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"


class Exporting(SpanProcessor):
    """Takes finished spans and sends them from a thread of its own, which runs from when this is made until ``stop``.

    ``kind``: ``otlp`` or ``console``. ``endpoint``: where to; None: as the environment says. ``queue``: spans that may
    wait; ``batch``: that are sent at once. ``interval``: seconds between batches. ``timeout``: seconds for one batch;
    None: as the environment says. ``tell``: called when the collector stops or begins to work.
    """

    def __init__(
        self,
        kind: str,
        *,
        endpoint: str | None,
        headers: Mapping[str, str],
        queue: int,
        batch: int,
        interval: float,
        timeout: float | None,
        tell: Tell,
    ) -> None:
        self._session: Session | None = None
        if kind == "console":
            self._exporter: SpanExporter = ConsoleSpanExporter(out=sys.stdout, formatter=_line)
        else:
            self._session = Session()
            self._exporter = OTLPSpanExporter(
                endpoint=endpoint, headers=dict(headers), timeout=timeout, session=self._session
            )
        self.counting = Counting(self._exporter, self._session, tell)
        self._queue = queue
        self._put = 0
        self.dropped = 0
        """Spans for which there was no room."""
        self._quiet = _Quiet()
        logging.getLogger(_LOGGER).addFilter(self._quiet)
        self._batches = BatchSpanProcessor(
            self.counting,
            max_queue_size=queue,
            schedule_delay_millis=interval * 1000,
            max_export_batch_size=min(batch, queue),
        )

    @property
    def waiting(self) -> int:
        """Spans in the queue."""
        return self._put - self.counting.taken

    def on_end(self, span: ReadableSpan) -> None:
        """Puts a sampled span in the queue, or drops it when that is full."""
        if span.context is None or not span.context.trace_flags.sampled:
            return
        if self._put - self.counting.taken >= self._queue:
            self.dropped += 1
            return
        self._put += 1
        self._batches.on_end(span)

    def stop(self) -> None:
        """Sends what waits, as far as the collector takes it within ``LAST`` seconds, and ends the thread. Blocks as
        long; may be called again. With a collector that stalls, the thread ends when its request has timed out."""
        if self._session is not None:
            self._session.parting = True
            if self._session.failing:
                self._exporter.shutdown()  # ends the wait for another try, which may be seconds
        # The SDK would wait for 30 s, and its thread cannot be broken off in the middle of a request.
        waiting = threading.Thread(target=self._batches.shutdown, name="tracing-shutdown", daemon=True)
        waiting.start()
        waiting.join(LAST)
        logging.getLogger(_LOGGER).removeFilter(self._quiet)


class _Quiet(logging.Filter):
    """Lets nothing through."""

    def filter(self, record: logging.LogRecord) -> bool:
        return False


def _line(span: ReadableSpan) -> str:
    return f"{span.to_json(indent=None)}\n"
