"""The exchange: one client request and all that happens to it."""

import json as _json
from asyncio import TimerHandle
from collections.abc import AsyncIterable, Mapping, Sequence
from ssl import SSLObject
from typing import Any, Final, Generic, TypeVar, overload

from spork_core.body import EMPTY, Body, BytesBody, IteratorBody
from spork_core.clock import SYSTEM_CHANCE, SYSTEM_CLOCK, Chance, Clock
from spork_core.errors import Problem, Source, phrase
from spork_core.facts import Endpoint, Identity, Outcome, RouteInfo, Timing
from spork_core.headers import Headers

__all__ = [
    "NO_CAPTURES",
    "Attempt",
    "Endpoint",
    "Exchange",
    "Identity",
    "Outcome",
    "Request",
    "Response",
    "RouteInfo",
    "StateKey",
    "Timing",
]

T = TypeVar("T")
D = TypeVar("D")
NO_CAPTURES: Final[Mapping[str, str]] = {}


class StateKey(Generic[T]):
    """The typed name of a value that lives as long as one exchange: ``exchange[KEY] = value``. Equal only to itself."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"StateKey({self.name!r})"


NO_STATE: Final[Mapping[StateKey[Any], Any]] = {}


class Request:
    """The client's request. What a hook changes here is what the upstream gets."""

    __slots__ = (
        "body",
        "client",
        "headers",
        "host",
        "method",
        "path",
        "peer",
        "query",
        "raw",
        "raw_method",
        "raw_target",
        "scheme",
        "tls",
        "trusted",
        "unchanged",
        "upgrade",
        "version",
    )

    def __init__(
        self,
        method: str = "GET",
        path: str = "/",
        query: str | None = None,
        *,
        headers: Headers | None = None,
        body: Body = EMPTY,
        scheme: str = "http",
        host: str = "",
        client: str = "",
        peer: str = "",
        version: int = 11,
        tls: SSLObject | None = None,
        trusted: bool = False,
    ) -> None:
        self.method = method
        self.path = path
        """Path as sent, still percent-encoded; dot segments resolved when there were any."""
        self.query = query
        """What follows the first ``?``, as sent; None when there is no ``?``."""
        self.headers: Headers = Headers() if headers is None else headers
        """Fields as sent, without hop-by-hop ones and without forwarded ones from peers that are not trusted."""
        self.body = body
        self.scheme = scheme
        self.host = host
        """Host and port as the client named them."""
        self.client = client
        """IP address of the client, behind trusted proxies."""
        self.peer = peer
        """IP address of the other end of the connection; "" for a unix socket."""
        self.version = version
        """10 or 11."""
        self.tls = tls
        """The TLS session (``getpeercert()``, ``selected_alpn_protocol()``), or None."""
        self.upgrade: str | None = None
        """The protocol that the client asks to switch to (``websocket``); None for an ordinary request."""
        self.unchanged = -1
        """The kernel's own: the version of ``headers`` that the parser checked; -1 when none did."""
        self.raw_target = self.raw_method = ""
        """The kernel's own: the target and the method as they came."""
        self.raw = b""
        """The kernel's own: the head as it came, when nothing has to be taken out of it; else b""."""
        self.trusted = trusted
        """True when ``peer`` lies in ``trusted_proxies``: its word about the client is believed."""

    @property
    def target(self) -> str:
        """Path and query, as on the request line."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path}>"


class Response:
    """An answer to the client, from the upstream or made here."""

    __slots__ = ("body", "headers", "raw", "raw_of", "reason", "source", "status", "unchanged", "version")

    def __init__(
        self,
        status: int = 200,
        body: bytes | str | Body | AsyncIterable[bytes] = b"",
        headers: Mapping[str, str] | Sequence[tuple[str, str]] | Headers | None = None,
        *,
        reason: str | None = None,
        content_type: str | None = None,
    ) -> None:
        """``body``: str is sent as UTF-8; an async iterable is streamed. ``content_type``: sets that field; a str body
        without one is ``text/plain; charset=utf-8``. ``reason``: None means the standard phrase."""
        self.status = status
        self.reason: str = phrase(status) if reason is None else reason
        self.headers: Headers = Headers(headers or ())
        self.source: Source | None = None
        """Who made it: ``upstream``, ``plugin``, ``gateway``, ``client`` (a refusal). Set by the kernel."""
        self.version: int | None = None
        """HTTP version of the upstream's answer, 10 or 11; None when it was made here."""
        self.unchanged = -1
        """The kernel's own: the version of ``headers`` that the parser checked; -1 when none did."""
        self.raw = b""
        """The kernel's own: the head as it came, when it frames the body as it will be sent; else b""."""
        self.raw_of: tuple[int, str, Body] | None = None
        """The kernel's own: the status, reason and body that ``raw`` is for; None: nobody can have changed them."""
        if isinstance(body, str):
            body = body.encode()
            content_type = content_type or "text/plain; charset=utf-8"
        self.body: Body
        if isinstance(body, bytes):
            self.body = BytesBody(body) if body else EMPTY
        elif isinstance(body, Body):
            self.body = body
        else:
            self.body = IteratorBody(body)
        if content_type is not None and "Content-Type" not in self.headers:
            self.headers["Content-Type"] = content_type

    @classmethod
    def json(cls, data: object, status: int = 200, headers: Mapping[str, str] | None = None) -> "Response":
        """An ``application/json`` answer."""
        try:
            text = _json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()
        except UnicodeEncodeError:  # text from a request may hold bytes that are not UTF-8, as surrogates
            text = _json.dumps(data, separators=(",", ":")).encode()
        return cls(status, text, headers, content_type="application/json")

    def __repr__(self) -> str:
        return f"<Response {self.status} {self.source or ''}>"


class Attempt:
    """One try against one endpoint. Times are ``Clock.monotonic_ns``; 0 means not reached."""

    __slots__ = (
        "choices",
        "endpoint",
        "error",
        "number",
        "reused",
        "sent",
        "started_ns",
        "status",
        "target",
        "timeout",
        "took_ns",
    )

    def __init__(self, number: int, started_ns: int) -> None:
        self.number = number
        """1 for the first."""
        self.choices: tuple[Endpoint, ...] = ()
        """The endpoints of the service, for ``select_upstream`` to give one of; () where no instance selects."""
        self.endpoint: Endpoint | None = None
        self.target = ""
        """Path and query that the endpoint is asked for, after the route's rewrite."""
        self.status: int | None = None
        """Status of the upstream's answer; None when there was none."""
        self.error: Problem | None = None
        self.sent: Any = None
        """The kernel's own: the request on its way; None before it is sent."""
        self.reused: bool = False
        """True when the request went over a pooled connection."""
        self.started_ns = started_ns
        self.timeout: float | None = None
        """Seconds that this attempt may take, from connecting to the response head, for ``before_attempt`` to set; the
        service's own limits hold besides. Past it the attempt fails with UpstreamTimeout. None: no limit of its own."""
        self.took_ns = 0
        """From ``started_ns`` to the response head, or to the failure."""

    def release(self) -> None:
        """Lets the answer outlive the exchange: its body ends when who holds it has read or discarded it, not when the
        client has left."""
        self.sent = None

    def __repr__(self) -> str:
        what = self.status if self.error is None else self.error.code
        return f"<Attempt {self.number} {self.endpoint} {what}>"


class Exchange:
    """One client request and all that happens to it; plugins keep their own values in it by StateKey."""

    __slots__ = (
        "_chance",
        "_clock",
        "_id",
        "_state",
        "attempts",
        "captures",
        "error",
        "identity",
        "marks",
        "outcome",
        "request",
        "response",
        "rest",
        "route",
        "started_ns",
        "timer",
        "upstream_target",
    )

    def __init__(self, request: Request, clock: Clock = SYSTEM_CLOCK, chance: Chance = SYSTEM_CHANCE) -> None:
        self.request = request
        """The client's; what a hook changes there is what goes upstream."""
        self._chance = chance
        self._clock = clock
        self._id: str | None = None
        self._state: dict[StateKey[Any], Any] | None = None
        self.started_ns = clock.monotonic_ns()
        """``Clock.monotonic_ns`` when the request head was complete."""
        self.route: RouteInfo | None = None
        """None until routed, and when no route matches."""
        self.captures: Mapping[str, str] = NO_CAPTURES
        """What the route's ``{name}`` parts matched, percent-decoded."""
        self.rest = ""
        """What the ``*`` at the end of the route's path matched, raw."""
        self.identity: Identity | None = None
        """Who is calling, as the first ``authenticate`` hook that knew has said; None: nobody knows."""
        self.upstream_target: str | None = None
        """Raw path and query to send upstream instead of the rewritten request's; None: the route's rewrite decides."""
        self.attempts: list[Attempt] = []
        """The attempts so far, the last one last; empty when no service was asked."""
        self.response: Response | None = None
        """The answer so far; None until there is one."""
        self.error: Problem | None = None
        """The problem the exchange ran into, also when a hook turned it into an answer."""
        self.timer: TimerHandle | None = None
        """The kernel's own: what ends the exchange when its total time is used up."""
        self.outcome: Outcome | None = None
        """Set just before ``on_complete``."""
        self.marks: list[Any] | None = None
        """The kernel's own: what ``timings`` is made of; None when nobody on the route reads them."""

    @property
    def id(self) -> str:
        """The request id: what ``request-id`` or another plugin set, else 32 random hex digits made on first use."""
        if self._id is None:
            self._id = self._chance.hex(32)
        return self._id

    @id.setter
    def id(self, value: str) -> None:
        self._id = value

    @property
    def timings(self) -> tuple[Timing, ...]:
        """What each call of a hook has taken so far, in order. Kept where a plugin of the route ``reads_timings``, or
        the route has ``server_timing``; elsewhere empty."""
        marks = self.marks
        if marks is None:
            return ()
        return tuple(
            Timing(stats.instance, stats.hook, own, waiting)
            for stats, own, waiting in zip(marks[::3], marks[1::3], marks[2::3], strict=True)
        )

    @property
    def elapsed_ns(self) -> int:
        """Nanoseconds since the request head was complete."""
        return self._clock.monotonic_ns() - self.started_ns

    # -- typed state --------------------------------------------------------------------------------

    @property
    def state(self) -> Mapping[StateKey[Any], Any]:
        """All that was set so far, to look at."""
        return NO_STATE if self._state is None else self._state

    def __getitem__(self, key: StateKey[T]) -> T:
        if self._state is None:
            raise KeyError(key)
        value: T = self._state[key]
        return value

    def __setitem__(self, key: StateKey[T], value: T) -> None:
        if self._state is None:
            self._state = {}
        self._state[key] = value

    def __delitem__(self, key: StateKey[Any]) -> None:
        if self._state is None:
            raise KeyError(key)
        del self._state[key]

    def __contains__(self, key: StateKey[Any]) -> bool:
        return self._state is not None and key in self._state

    @overload
    def get(self, key: StateKey[T]) -> T | None: ...
    @overload
    def get(self, key: StateKey[T], default: D) -> T | D: ...
    def get(self, key: StateKey[Any], default: Any = None) -> Any:
        """The value under ``key``, or ``default``."""
        return default if self._state is None else self._state.get(key, default)

    def __repr__(self) -> str:
        return f"<Exchange {self.request.method} {self.request.path} {self.response or self.error or 'running'}>"
