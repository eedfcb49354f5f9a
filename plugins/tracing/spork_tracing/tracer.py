"""What an instance traces with once it has started: made in one go, from its config and the ``OTEL_…`` environment."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from opentelemetry.instrumentation._semconv import _StabilityMode
from opentelemetry.instrumentation.aiohttp_client import create_trace_config
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

from spork_core.api import GatewayView
from spork_tracing.collector import Tell
from spork_tracing.config import PATH, TracingConfig
from spork_tracing.exporting import Exporting
from spork_tracing.spans import Spans

Environment = Mapping[str, str]


class Tracer:
    """The exporter, what makes spans for it, and the configs for sessions of the control plane.

    ``kind``: ``otlp`` or ``console``. ``share``: of the control plane's own traces to record. ``resource``: what
    ``identity`` found. A thread runs from when this is made until ``exporting.stop``.
    """

    def __init__(
        self,
        config: TracingConfig,
        kind: str,
        share: float,
        resource: Resource,
        gateway: GatewayView,
        environ: Environment,
        tell: Tell,
    ) -> None:
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(share)), resource=resource, shutdown_on_exit=False
        )
        self.sessions: list[Any] = [
            create_trace_config(
                url_filter=_without_query, tracer_provider=provider, sem_conv_opt_in_mode=_StabilityMode.HTTP
            )
        ]
        """Configs for the sessions of other plugins."""
        self.spans = Spans(resource, gateway.clock, gateway.chance, query=config.query, hooks=config.plugin_spans)
        number = _numbers(environ, gateway.log.warning)
        self.exporting = Exporting(  # last: from here on there is a thread
            kind,
            endpoint=endpoint_of(config.endpoint),
            headers={name: secret.reveal() for name, secret in config.headers.items()},
            queue=config.queue or int(number("OTEL_BSP_MAX_QUEUE_SIZE", 2048)),
            batch=int(number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512)),
            interval=config.export_interval or number("OTEL_BSP_SCHEDULE_DELAY", 5000) / 1000,
            timeout=config.export_timeout,
            tell=tell,
        )
        provider.add_span_processor(self.exporting)


def endpoint_of(text: str | None) -> str | None:
    """The URL that traces are sent to."""
    if text is None or urlsplit(text).path.strip("/"):
        return text
    return text.rstrip("/") + PATH


def _without_query(url: Any) -> str:
    return str(url.with_query(None))


def identity(config: TracingConfig, gateway: GatewayView, environ: Environment) -> Resource:
    """What traces call this gateway. Reads files."""
    digits = gateway.chance.hex(32)
    attributes: dict[str, str | bool | int | float] = {
        "service.version": version("spork-core"),
        "service.instance.id": f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}",
    }
    if gateway.slot is not None:
        attributes["spork.worker"] = gateway.slot
    elsewhere = environ.get("OTEL_SERVICE_NAME") or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    if config.service_name is not None or not elsewhere:
        attributes["service.name"] = config.service_name or "spork"
    return Resource.create({**attributes, **config.resource})


def _numbers(environ: Environment, warn: Callable[..., object]) -> Callable[[str, float], float]:
    """Reads positive numbers; what is none is told of and ignored, as OpenTelemetry wants it."""

    def number(name: str, default: float) -> float:
        text = environ.get(name, "").strip()
        try:
            value = float(text) if text else default
        except ValueError:
            value = 0.0
        if 1 <= value <= 1_000_000_000:
            return value
        warn("%s=%s is not a number that is possible here; %g is used", name, text, default)
        return default

    return number
