"""One exchange → one line of pure ASCII, JSON or key=value, from a template made when the config is loaded.

Rules
1. Whatever a client sends is escaped by JSON's rules, and everything outside printable ASCII with it: no value starts a
   line, a field or a terminal sequence of its own.
2. Every line has the same keys in the same order; what is not known is ``null`` (``-`` in text).
3. All values are taken in one flat function and put into one ``%`` template: twice as fast as structlog and orjson,
   and so near to a dict with orjson that the plugin needs neither (the README has the numbers).
"""

import re
import time
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii as json_text
from operator import itemgetter
from typing import Any, Final

from spork_access_log.redact import HIDDEN
from spork_core.api import Exchange, Headers

FIELDS: Final[dict[str, str]] = {
    "ts": "when the exchange ended, RFC 3339, UTC, milliseconds",
    "request_id": "the exchange's id",
    "trace_id": "from a valid traceparent",
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
    "user_agent": "as sent",
    "referer": "as sent, values of its query hidden",
}
"""What a line may say, in its order, and what each means."""

_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
"""W3C Trace Context section 3.2.2; a later version may have more after the flags."""

_BARE: Final = re.compile(r"[!#-<>-\[\]-~]+")
"""What needs no quotes in key=value: printable ASCII without the blank, the quote, = and the backslash."""

_FORMATS: Final = dict.fromkeys(("total_ms", "upstream_ms", "gateway_ms"), "%.3f")

Quote = Callable[[str], str]


def logfmt_text(value: str) -> str:
    """The value as it stands after ``key=``: bare where that is unmistakable, else quoted as in JSON."""
    return value if _BARE.fullmatch(value) and value != "-" else json_text(value)


def readable(value: str) -> str:
    r"""Bytes that are not UTF-8, which stand as surrogates, as ``\xff``: strict JSON readers refuse lone surrogates."""
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that stands for no byte: no client can send one, but code can set it
        return value.encode("utf-8", "backslashreplace").decode()


class Timestamps:
    """RFC 3339 in UTC with milliseconds; nothing is formatted twice. ``clock``: seconds since the epoch."""

    __slots__ = ("_clock", "_millisecond", "_prefix", "_second", "_text")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._millisecond = -1
        self._second = -1
        self._prefix = ""
        self._text = ""

    def __call__(self) -> str:
        millisecond = int(self._clock() * 1000)
        if millisecond != self._millisecond:
            self._millisecond = millisecond
            second, rest = divmod(millisecond, 1000)
            if second != self._second:
                self._second = second
                self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
            self._text = f"{self._prefix}{rest:03d}Z"
        return self._text


class Lines:
    """Makes the lines of one instance.

    ``fields``: names of FIELDS, in order. ``names``: field → its key. ``request_headers``, ``response_headers``: what
    to log besides; those in ``hidden`` (lower case) show only that they were there. ``query``: what to make of a query.
    ``timings``: say what each instance took.
    """

    def __init__(
        self,
        *,
        json: bool,
        fields: Sequence[str],
        names: dict[str, str],
        request_headers: Sequence[str],
        response_headers: Sequence[str],
        hidden: frozenset[str],
        query: Callable[[str], str | None],
        timings: bool = False,
    ) -> None:
        self._quote: Quote = json_text if json else logfmt_text
        self._null = "null" if json else "-"
        self._http_11, self._http_10 = self._quote("1.1"), self._quote("1.0")
        self._now = Timestamps(time.time)
        self._query = query
        self._pick: Callable[[tuple[Any, ...]], tuple[Any, ...]] | None = None
        if tuple(fields) != tuple(FIELDS):
            everything = tuple(FIELDS)
            # Twice the first: itemgetter of one index would give the value itself; the template skips the copy.
            self._pick = itemgetter(*(everything.index(name) for name in (fields[0], *fields)))
        self._request_headers = tuple((name, name.lower() in hidden) for name in request_headers)
        self._response_headers = tuple((name, name.lower() in hidden) for name in response_headers)
        column = '"{}":{}' if json else "{}={}"
        columns = [column.format(names.get(name, name), _FORMATS.get(name, "%s")) for name in fields]
        self._timings = (_json_timings if json else _text_timings) if timings else None
        if timings:
            columns.append(column.format("timings", "%s"))
        template = (_json_template if json else _text_template)(columns, request_headers, response_headers)
        self._template = f"%.0s{template}" if self._pick else template

    def use(self, clock: Callable[[], float]) -> None:
        """Takes the time from ``clock``, in seconds since the epoch."""
        self._now = Timestamps(clock)

    def line(self, exchange: Exchange) -> str:
        """The line, with its newline. The exchange has its outcome."""
        line = self._line(exchange, self._quote)
        if "\\" in line and "\\udc" in line:  # most lines have no backslash: 15 ns, the longer search alone 270
            quote = self._quote
            line = self._line(exchange, lambda value: quote(readable(value)))
        return line

    def _line(self, exchange: Exchange, quote: Quote) -> str:
        request, outcome, route, error = exchange.request, exchange.outcome, exchange.route, exchange.error
        identity, attempts, null = exchange.identity, exchange.attempts, self._null
        assert outcome is not None
        header = request.headers.get
        trace = header("traceparent")
        agent = header("User-Agent")
        referer = header("Referer")
        query = request.query
        endpoint = None
        upstream_ns = 0
        for attempt in attempts:
            endpoint = attempt.endpoint
            upstream_ns += attempt.took_ns
        total_ns = outcome.duration_ns
        values: tuple[Any, ...] = (
            quote(self._now()),
            quote(exchange.id),
            null if trace is None else self._trace(trace, quote),
            quote(request.client),
            quote(request.method),
            quote(request.scheme),
            quote(request.host),
            null if route is None else quote(route.path),
            quote(request.path),
            null if query is None else self._hide(query, quote),
            self._http_11 if request.version == 11 else self._http_10,
            outcome.status,
            quote(outcome.source),
            "true" if outcome.complete else "false",
            null if route is None else quote(route.name),
            null if route is None or route.service is None else quote(route.service),
            null if endpoint is None else quote(endpoint.url),
            null if identity is None else quote(identity.subject),
            outcome.bytes_received,
            outcome.bytes_sent,
            total_ns / 1e6,
            upstream_ns / 1e6,
            (total_ns - upstream_ns) / 1e6,
            len(attempts),
            null if error is None else quote(error.code),
            null if agent is None else quote(agent),
            null if referer is None else self._referer(referer, quote),
        )
        if self._pick is not None:
            values = self._pick(values)
        if self._timings is not None:
            values += (self._timings(exchange),)
        if self._request_headers:
            values += self._headers(self._request_headers, request.headers, quote)
        if self._response_headers:
            response = exchange.response
            values += self._headers(self._response_headers, None if response is None else response.headers, quote)
        return self._template % values

    def _trace(self, traceparent: str, quote: Quote) -> str:
        found = _TRACEPARENT.fullmatch(traceparent)
        return self._null if found is None else quote(found[1])

    def _hide(self, query: str, quote: Quote) -> str:
        shown = self._query(query)
        return self._null if shown is None else quote(shown)

    def _referer(self, referer: str, quote: Quote) -> str:
        base, mark, query = referer.partition("?")
        if not mark:
            return quote(referer)
        shown = self._query(query)
        return quote(base if shown is None else f"{base}?{shown}")

    def _headers(self, wanted: tuple[tuple[str, bool], ...], headers: Headers | None, quote: Quote) -> tuple[str, ...]:
        if headers is None:
            return (self._null,) * len(wanted)
        values = []
        for name, hidden in wanted:
            found = headers.getall(name, None)
            values.append(self._null if found is None else quote(HIDDEN if hidden else ", ".join(found)))
        return tuple(values)


def _spent(exchange: Exchange) -> dict[str, tuple[float, float]]:
    """Own time and waiting of each instance, in milliseconds."""
    spent: dict[str, tuple[float, float]] = {}
    for timing in exchange.timings:
        own, waiting = spent.get(timing.instance, (0.0, 0.0))
        spent[timing.instance] = (own + timing.own * 1000, waiting + timing.waiting * 1000)
    return spent


def _json_timings(exchange: Exchange) -> str:
    members = (
        f'{json_text(name)}:{{"own_ms":{own:.3f},"waiting_ms":{waiting:.3f}}}'
        for name, (own, waiting) in _spent(exchange).items()
    )
    return f"{{{','.join(members)}}}"


def _text_timings(exchange: Exchange) -> str:
    return ",".join(f"{name}:{own:.3f}+{waiting:.3f}" for name, (own, waiting) in _spent(exchange).items()) or "-"


def _json_template(columns: Sequence[str], request: Sequence[str], response: Sequence[str]) -> str:
    groups = [*columns]
    for key, headers in (("request_headers", request), ("response_headers", response)):
        if headers:
            members = ",".join(f"{_literal(json_text(name.lower()))}:%s" for name in headers)
            groups.append(f'"{key}":{{{members}}}')
    return f"{{{','.join(groups)}}}\n"


def _text_template(columns: Sequence[str], request: Sequence[str], response: Sequence[str]) -> str:
    groups = [
        *columns,
        *(f"request_headers.{_literal(name.lower())}=%s" for name in request),
        *(f"response_headers.{_literal(name.lower())}=%s" for name in response),
    ]
    return f"{' '.join(groups)}\n"


def _literal(text: str) -> str:
    return text.replace("%", "%%")
