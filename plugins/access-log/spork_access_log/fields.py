"""What a line may say: the fields, and where each comes from."""

from typing import Final

from spork_core.api import Attempt, Endpoint

FIELDS: Final[dict[str, str]] = {
    "ts": "when the exchange ended, RFC 3339, UTC, milliseconds",
    "request_id": "the exchange's id",
    "trace_id": "of the trace it belongs to",
    "client_ip": "behind trusted proxies",
    "method": "of the request",
    "scheme": "http or https",
    "host": "as the client named it",
    "path_template": "the pattern of the matched route",
    "path": "as sent, percent-encoded",
    "query": "as sent, values hidden as `query` says",
    "http": "version the client spoke",
    "status": "as sent; 499 when the client left before",
    "source": "whose answer it was: upstream, plugin, gateway, client",
    "complete": "whether the whole answer was handed over",
    "route": "name of the matched route",
    "service": "name of its service",
    "endpoint": "origin of the last attempt",
    "identity": "subject of the caller",
    "bytes_in": "content of the request, in bytes",
    "bytes_out": "content of the response, in bytes",
    "total_ms": "from the request head to the last byte",
    "upstream_ms": "all attempts, each to its response head",
    "gateway_ms": "the rest: plugins, the gateway, and passing bodies on",
    "attempts": "how many there were",
    "error": "code of the problem",
    "cache": "what a cache made of it: hit, or why not",
    "limit": "what a rate limit decided, where it refused",
    "breaker": "what a circuit breaker did, where it did something",
    "user_agent": "as sent",
    "referer": "as sent, values of its query hidden",
}
"""What a line may say, in its order, and what each means."""

MOVING: Final[dict[str, str]] = {
    "ts": "timestamp(time)",
    "request_id": "quote(request_id)",
    "trace_id": "null if traceparent is None and not state else trace(state, traceparent, quote)",
    "path": "quote(path)",
    "query": "null if query is None else hide(query, quote)",
    "status": "outcome.status",
    "source": "sources[outcome.source]",
    "complete": '"true" if outcome.complete else "false"',
    "endpoint": "null if attempts[0] is None else endpoints.get(attempts[0]) or origin(attempts[0])",
    "identity": "null if identity is None else quote(identity.subject)",
    "bytes_in": "outcome.bytes_received",
    "bytes_out": "outcome.bytes_sent",
    "total_ms": "outcome.duration_ns / 1e6",
    "upstream_ms": "attempts[1] / 1e6",
    "gateway_ms": "(outcome.duration_ns - attempts[1]) / 1e6",
    "attempts": "attempts[2]",
    "error": "null if error is None else quote(error.code)",
    "cache": "null if not state else told(state, CACHE_STATUS, quote)",
    "limit": "null if not state else told(state, LIMIT, quote)",
    "breaker": "null if not state else told(state, BREAKER, quote)",
}
"""The fields that differ from one exchange to the next → Python that gives what stands in the line. The others only say
how the client asked, and are the same whenever it asks the same."""

FORMATS: Final = dict.fromkeys(("total_ms", "upstream_ms", "gateway_ms"), "%.3f")
"""Field → its conversion; all others are ``%s``."""

TAKEN: Final[dict[str, str]] = {
    "time": "clock()",
    "request_id": "exchange.id",
    "path": "request.path",
    "query": "request.query",
    "outcome": "exchange.outcome",
    "attempts": "seen(exchange.attempts)",
    "identity": "exchange.identity",
    "error": "exchange.error",
    "state": "exchange.state",
    "traceparent": "header(TRACE)",
}
"""What ``MOVING`` speaks of → Python that takes it from an exchange, its request and its route."""

ASKED: Final[dict[str, tuple[str, ...]]] = {
    "request.client": ("client_ip",),
    "request.method": ("method",),
    "request.scheme": ("scheme",),
    "request.host": ("host",),
    "request.version": ("http",),
    "header(AGENT)": ("user_agent",),
    "header(REFERER)": ("referer",),
    "id(route)": ("path_template", "route", "service"),
}
"""What tells one way to ask from another → the fields that say so."""


def seen(attempts: list[Attempt]) -> tuple[Endpoint | None, int, int]:
    """Where the last attempt went, the nanoseconds that all took, and their number: an attempt itself holds its
    connection."""
    endpoint = None
    took = 0
    for attempt in attempts:
        endpoint = attempt.endpoint
        took += attempt.took_ns
    return endpoint, took, len(attempts)
