"""The config class, and what it refuses."""

from collections.abc import Mapping
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from attrs import Attribute, frozen

from spork_core.api import FIELD_VALUE, TOKEN, Seconds, Secret, setting

_RESERVED: Final = {"service.name": "service_name"}
PATH: Final = "/v1/traces"
"""Where OTLP over HTTP takes traces (OTLP specification, OTLP/HTTP request)."""


def _endpoint(_: object, _field: "Attribute[Any]", text: str | None) -> None:
    if text is None:
        return
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        usable, parts = False, urlsplit("")
    if not usable or not text.isprintable() or " " in text:
        raise ValueError(f'"{text}" is not the URL of a collector; write one like "http://127.0.0.1:4318"')
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials in the URL would be shown; write them in headers, such as authorization")
    if parts.query or parts.fragment:
        raise ValueError(f'a collector is asked without a query; write "{text.partition("?")[0].partition("#")[0]}"')


def _headers(_: object, _field: "Attribute[Any]", headers: Mapping[str, Secret]) -> None:
    for name, value in headers.items():
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')
        if not value or not FIELD_VALUE.fullmatch(value.reveal()) or not value.reveal().isascii():
            raise ValueError(f'the value of "{name}" is empty or no field value; write ASCII on one line')


def _share(_: object, _field: "Attribute[Any]", share: float | None) -> None:
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"{share:g} is not a share; write a number from 0 (never) to 1 (always)")


def _name(_: object, _field: "Attribute[Any]", name: str | None) -> None:
    if name is not None and not name.strip():
        raise ValueError('an empty name names nothing; write one like "spork", or leave it out')


def _resource(_: object, _field: "Attribute[Any]", attributes: Mapping[str, str]) -> None:
    for name in attributes:
        if not name.strip():
            raise ValueError('an empty name names nothing; write one like "deployment.environment.name"')
        if name in _RESERVED:
            raise ValueError(f'"{name}" has a setting of its own; write {_RESERVED[name]}')


def _queue(_: object, _field: "Attribute[Any]", size: int | None) -> None:
    if size is not None and not 1 <= size <= 1_000_000:
        raise ValueError("so many spans cannot wait; write a number from 1 to 1000000")


def _positive(_: object, _field: "Attribute[Any]", seconds: float | None) -> None:
    if seconds is not None and not 0 < seconds <= 3600:
        raise ValueError("must be more than 0s and at most 1h; write one like 5s")


@frozen
class TracingConfig:
    """What is traced, and where traces go. What is null stands in the ``OTEL_…`` environment, or is the default that
    the OpenTelemetry specification names."""

    exporter: Literal["otlp", "console", "none"] | None = setting(
        "Where spans go: to a collector by OTLP over HTTP, to standard output as lines of JSON, or nowhere: then trace "
        "contexts are passed on all the same. null: OTEL_TRACES_EXPORTER, else otlp.",
        default=None,
    )
    endpoint: str | None = setting(
        "The collector's URL; without a path, /v1/traces is added. null: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or "
        "OTEL_EXPORTER_OTLP_ENDPOINT, else http://localhost:4318.",
        default=None,
        validator=_endpoint,
    )
    headers: dict[str, Secret] = setting(
        "Header fields for the collector, such as an API key.", factory=dict, validator=_headers
    )
    sample: float | None = setting(
        "Share of the traces that begin here to record, from 0 (never) to 1 (always). null: OTEL_TRACES_SAMPLER, else "
        "0.01.",
        default=None,
        validator=_share,
    )
    trust: Literal["never", "trusted-proxies", "always"] = setting(
        "Whose traces to continue, with their decision whether to record: nobody's, those of peers in trusted_proxies, "
        "or any client's. For others a trace begins here.",
        default="trusted-proxies",
    )
    plugin_spans: bool = setting("Record a span for each call of a plugin's hook, too.", default=False)
    query: Literal["names", "all", "none"] = setting(
        "Of query strings: the names with their values hidden, everything, or nothing.", default="names"
    )
    service_name: str | None = setting(
        "What traces call this gateway. null: OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES, else spork.",
        default=None,
        validator=_name,
    )
    resource: dict[str, str] = setting(
        "More attributes of this gateway, such as deployment.environment.name.", factory=dict, validator=_resource
    )
    queue: int | None = setting(
        "Spans that may wait for the collector; more are dropped and counted. null: OTEL_BSP_MAX_QUEUE_SIZE, else "
        "2048.",
        default=None,
        validator=_queue,
    )
    export_interval: Seconds | None = setting(
        "How long spans wait at most before they are sent. null: OTEL_BSP_SCHEDULE_DELAY, else 5s.",
        default=None,
        validator=_positive,
    )
    export_timeout: Seconds | None = setting(
        "How long sending a batch may take, repeats included. null: OTEL_EXPORTER_OTLP_TIMEOUT, else 10s.",
        default=None,
        validator=_positive,
    )
