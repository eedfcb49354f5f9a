"""An exchange that has ended → its spans: a SERVER span, a CLIENT span for each attempt, one for each hook by choice.

Rules of this file
1. Spans are made here all at once, from what the exchange has kept anyway: while it runs it pays for ids alone.
2. Names and attributes are those of the stable HTTP conventions of OpenTelemetry; what is Spork's own is ``spork.…``.
3. Times are the gateway clock's: the exchange's monotonic ones, moved to where the epoch is at its end.
"""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Final

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from spork_core.api import BREAKER, CACHE_STATUS, LIMIT, Attempt, Chance, Clock, Exchange, Problem
from spork_tracing.attributes import Attributes, Peers, address_of, clean, method_of, redacted
from spork_tracing.context import Parent
from spork_tracing.recording import Recording
from spork_tracing.timeline import placed

SCOPE: Final = InstrumentationScope(
    "spork_tracing", version("spork-tracing"), "https://opentelemetry.io/schemas/1.40.0"
)
_VERSIONS: Final = {10: "1.0", 11: "1.1"}
_TOLD: Final = ((CACHE_STATUS, "spork.cache"), (LIMIT, "spork.limit"), (BREAKER, "spork.breaker"))
_QUERIES: Final[Mapping[str, Callable[[str], str] | None]] = {"none": None, "names": redacted, "all": str}
_UNSET: Final = Status(StatusCode.UNSET)
_CODES: Final = {status: str(status) for status in range(100, 600)}


class Spans:
    """Makes the spans of one instance.

    ``resource``: the gateway as traces call it. ``query``: what to say of query strings. ``hooks``: make a span for
    each call of a hook.
    """

    def __init__(self, resource: Resource, clock: Clock, chance: Chance, *, query: str, hooks: bool) -> None:
        self._resource = resource
        self._clock = clock
        self._hex = chance.hex
        self._query = _QUERIES[query]
        self._hooks = hooks
        self._peers = Peers()

    def of(self, exchange: Exchange, recording: Recording) -> Iterator[ReadableSpan]:
        """The spans of an exchange whose outcome is set; the SERVER span last, as if each ended in its turn."""
        outcome = exchange.outcome
        assert outcome is not None
        offset = int(self._clock.time() * 1e9) - self._clock.monotonic_ns()
        started = exchange.started_ns
        ended = started + outcome.duration_ns
        trace_id = int(recording.trace_id, 16)
        flags = TraceFlags(recording.flags)
        state = TraceState.from_header([recording.state]) if recording.state else None
        context = SpanContext(trace_id, int(recording.span_id, 16), False, flags, state)
        for attempt in exchange.attempts:
            if attempt.sent is None and attempt.error is None:
                continue  # a hook answered in its place
            span_id = recording.attempts.get(attempt.number) or self._hex(16)
            own = SpanContext(trace_id, int(span_id, 16), False, flags, state)
            yield self._attempt(exchange, attempt, own, context, offset, ended)
        if self._hooks:
            for timing, begin, end in placed(exchange.timings, started, ended, exchange.attempts):
                yield ReadableSpan(
                    f"{timing.instance}.{timing.hook}",
                    SpanContext(trace_id, int(self._hex(16), 16), False, flags, state),
                    context,
                    self._resource,
                    {
                        "spork.instance": timing.instance,
                        "spork.hook": timing.hook,
                        "spork.own_seconds": timing.own,
                        "spork.waiting_seconds": timing.waiting,
                    },
                    kind=SpanKind.INTERNAL,
                    start_time=begin + offset,
                    end_time=end + offset,
                    instrumentation_scope=SCOPE,
                )
        yield self._server(exchange, recording, context, started + offset, ended + offset)

    def _server(
        self, exchange: Exchange, recording: Recording, context: SpanContext, started: int, ended: int
    ) -> ReadableSpan:
        request, route, outcome = exchange.request, exchange.route, exchange.outcome
        assert outcome is not None
        attributes: Attributes = {"url.scheme": request.scheme, "url.path": clean(request.path)}
        name = method_of(request, attributes)
        if route is not None:
            name = f"{name} {route.path}"
            attributes["http.route"] = route.path
            attributes["spork.route"] = route.name
            if route.service is not None:
                attributes["spork.service"] = route.service
        if request.query is not None and self._query is not None:
            attributes["url.query"] = clean(self._query(request.query))
        if request.host:
            host, port = address_of(request.host, request.scheme)
            attributes["server.address"] = host
            if port is not None:
                attributes["server.port"] = port
        if request.client:
            attributes["client.address"] = request.client
        if request.peer:
            attributes["network.peer.address"] = request.peer
        version = _VERSIONS.get(request.version)
        if version is not None:
            attributes["network.protocol.version"] = version
        agent = request.headers.get("User-Agent")
        if agent is not None:
            attributes["user_agent.original"] = clean(agent)
        attributes["http.request.body.size"] = outcome.bytes_received
        attributes["http.response.body.size"] = outcome.bytes_sent
        attributes["spork.request_id"] = clean(exchange.id)
        attributes["spork.source"] = outcome.source
        for key, attribute in _TOLD:
            value = exchange.get(key)
            if value is not None:
                attributes[attribute] = value
        return ReadableSpan(
            name,
            context,
            None if recording.parent is None else _remote(recording.parent, recording.state),
            self._resource,
            attributes,
            links=() if recording.linked is None else (Link(_remote(recording.linked, "")),),
            kind=SpanKind.SERVER,
            status=_outcome(exchange, attributes),
            start_time=started,
            end_time=ended,
            instrumentation_scope=SCOPE,
        )

    def _attempt(
        self, exchange: Exchange, attempt: Attempt, context: SpanContext, parent: SpanContext, offset: int, ended: int
    ) -> ReadableSpan:
        attributes: Attributes = {"network.protocol.version": "1.1"}
        name = method_of(exchange.request, attributes)
        endpoint = attempt.endpoint
        if endpoint is not None:
            attributes.update(self._peers[endpoint.url])
            if endpoint.url.startswith("http"):
                attributes["url.full"] = endpoint.url + self._target(attempt.target)
            attributes["spork.service"] = endpoint.service
        if attempt.number > 1:
            attributes["http.request.resend_count"] = attempt.number - 1
        attributes["spork.connection.reused"] = attempt.reused
        status, error, took = _UNSET, attempt.error, attempt.took_ns
        if attempt.status is not None:
            attributes["http.response.status_code"] = attempt.status
            if attempt.status >= 400:
                attributes["error.type"] = _CODES.get(attempt.status, str(attempt.status))
                status = Status(StatusCode.ERROR)
        if error is not None:
            status = _failed(error, attributes)
        elif attempt.status is None:  # the exchange ended while the answer was awaited
            attributes["error.type"] = "cancelled" if exchange.error is None else exchange.error.code
            status = Status(StatusCode.ERROR)
            took = max(0, ended - attempt.started_ns)
        return ReadableSpan(
            name,
            context,
            parent,
            self._resource,
            attributes,
            kind=SpanKind.CLIENT,
            status=status,
            start_time=attempt.started_ns + offset,
            end_time=attempt.started_ns + took + offset,
            instrumentation_scope=SCOPE,
        )

    def _target(self, target: str) -> str:
        path, mark, query = target.partition("?")
        if not mark or self._query is None:
            return clean(path)
        return clean(f"{path}?{self._query(query)}")


def _outcome(exchange: Exchange, attributes: Attributes) -> Status:
    """The status of a SERVER span: 5xx and an answer that broke off are errors, what clients do is none."""
    outcome, error = exchange.outcome, exchange.error
    assert outcome is not None
    if outcome.status != 499:  # that one was never sent
        attributes["http.response.status_code"] = outcome.status
    if outcome.status >= 500 or (not outcome.complete and error is not None and error.source != "client"):
        if error is not None:
            return _failed(error, attributes)
        attributes["error.type"] = _CODES.get(outcome.status, str(outcome.status))
        return Status(StatusCode.ERROR)
    if not outcome.complete:
        attributes["error.type"] = "client-disconnected" if error is None else error.code
    return _UNSET


def _failed(error: Problem, attributes: Attributes) -> Status:
    attributes["error.type"] = error.code
    return Status(StatusCode.ERROR, clean(error.reason or error.detail or error.title))


def _remote(parent: Parent, state: str) -> SpanContext:
    return SpanContext(
        int(parent.trace_id, 16),
        int(parent.span_id, 16),
        True,
        TraceFlags(parent.flags),
        TraceState.from_header([state]) if state else None,
    )
