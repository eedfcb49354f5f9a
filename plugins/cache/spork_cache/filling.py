"""The way back: what the upstream's answer means for what is stored, for those who wait, and for this client.

Rules of this file
1. The client's answer is never held up: what is kept is kept as it goes by.
2. Whatever happens to the answer, the flight that waits for it ends.
"""

from typing import Final

from spork_cache import rules
from spork_cache.answers import from_entry, joined
from spork_cache.asking import Ask, NotCached
from spork_cache.core import Core
from spork_cache.entry import Entry
from spork_cache.flights import Flight
from spork_cache.rules import Stored
from spork_cache.stream import Outcome, Stream
from spork_core.api import BytesBody, Exchange, Problem, Response, Source, UpstreamMalformed

_UNCOUNTED: Final = frozenset(("", "method", "bypass"))
"""``fwd`` of what is no miss, or was counted on the way in."""
_ERROR: Final = 500
_NO_ANSWER: Final[frozenset[Source]] = frozenset(("upstream", "gateway"))
"""Whose problems a stale answer may stand in for: what a plugin or the client does wrong stays visible."""


class Filling:
    """The way back of one instance."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def answered(self, exchange: Exchange, ask: Ask) -> Response | None:
        """The upstream has answered; what its answer is to be replaced by, None: nothing."""
        core, response = self._core, exchange.response
        assert response is not None
        ask.status = status = response.status
        now = core.now()
        if ask.method not in rules.SAFE:
            for uri in rules.invalidates(ask.method, status, ask.uri, response.headers):
                core.invalidate(uri)
            return None
        stale = ask.entry
        if status == 304 and ask.validating and stale is not None:
            return self._unchanged(ask, response, stale, now)
        if stale is not None and self._may_stand_in(ask, stale, now, status):
            response.body.discard()
            return self._stand_in(ask, stale, now)
        if ask.method == "HEAD":
            self._head(ask, response, now)
            return None
        if not ask.storing:
            core.numbers.bypass += 1
            return None
        return self._fresh(exchange, ask, response, now)

    # -- validation ---------------------------------------------------------------------------------

    def _unchanged(self, ask: Ask, response: Response, stale: Entry, now: float) -> Response:
        """A 304 to validators of ours: what is stored holds (RFC 9111 section 4.3.4)."""
        core = self._core
        response.body.discard()
        if rules.selected((stale.stored,), response.headers) is None:
            core.forget(stale)
            raise UpstreamMalformed(
                "The upstream's answer is malformed.", reason="a 304 to validators that are not those that were sent"
            )
        stored, reason = rules.freshen(
            stale.stored,
            ask.asked,
            response.headers,
            requested_at=ask.requested_at,
            received_at=now,
            policy=core.policy,
            authenticated=ask.authenticated,
        )
        renewed = Entry(stored, stale.content, ask.key, ask.uri, core.shown, ask.mark)
        renewed.visited = True
        core.numbers.revalidated += 1
        ask.detail = ask.detail or reason
        if reason:
            core.forget(stale)
            self._refuse(ask, now)
        else:
            ask.stored = core.keep(renewed, ask.purges)
            self._settle(ask, renewed, now)
        ask.ttl = stored.ttl(now)
        return self._sent(ask, renewed, now)

    def _head(self, ask: Ask, response: Response, now: float) -> None:
        """What an answer to HEAD says of what is stored for GET (RFC 9111 section 4.3.5)."""
        core, stale = self._core, ask.entry
        core.numbers.miss += 1
        if stale is None:
            return
        stored = rules.freshen_by_head(
            stale.stored,
            len(stale.content),
            ask.asked,
            response.status,
            response.headers,
            requested_at=ask.requested_at,
            received_at=now,
            policy=core.policy,
            authenticated=ask.authenticated,
        )
        if stored is None:
            core.forget(stale)
        elif stored is not stale.stored:
            core.keep(Entry(stored, stale.content, ask.key, ask.uri, core.shown, ask.mark or stale.mark), ask.purges)

    # -- errors -------------------------------------------------------------------------------------

    def failed(self, ask: Ask, problem: Problem) -> Response | None:
        """The exchange has no answer: a stale one where that is allowed (RFC 5861 section 4)."""
        now, stale = self._core.now(), ask.entry
        ours = problem.source in _NO_ANSWER and problem.status >= _ERROR
        if ours and stale is not None and self._may_stand_in(ask, stale, now, None):
            return self._stand_in(ask, stale, now)
        if ask.status is None and ask.fwd not in _UNCOUNTED and problem.code != NotCached.code:
            self._core.numbers.miss += 1
        self._drop(ask)
        return None

    def _may_stand_in(self, ask: Ask, stale: Entry, now: float, status: int | None) -> bool:
        policy = self._core.policy
        return rules.stale_if_error(stale.stored, ask.asked, now, status, policy, authenticated=ask.authenticated)

    def _stand_in(self, ask: Ask, stale: Entry, now: float) -> Response:
        core = self._core
        core.numbers.stale += 1
        ask.detail = "stale-if-error"
        ask.ttl = stale.stored.ttl(now)
        flight, ask.flight = ask.flight, None
        if flight is not None:
            flight.settle(stale)
        return self._sent(ask, stale, now)

    # -- new answers --------------------------------------------------------------------------------

    def _fresh(self, exchange: Exchange, ask: Ask, response: Response, now: float) -> Response | None:
        core = self._core
        core.numbers.miss += 1
        stored = rules.store_rule(
            "GET",
            ask.asked,
            response.status,
            response.reason,
            response.headers,
            requested_at=ask.requested_at,
            received_at=now,
            policy=core.policy,
            authenticated=ask.authenticated,
        )
        body = response.body
        if not isinstance(stored, str) and body.length is not None and body.length > core.config.largest:
            stored = "too-large"
        if isinstance(stored, str):
            ask.detail = ask.detail or stored
            # Another answer has taken its place; but not where it would not have answered this request anyway.
            replaced = ask.validating or ask.fwd == "stale"
            if ask.entry is not None and replaced and response.status < _ERROR:
                core.forget(ask.entry)
            self._refuse(ask, now, remember=response.status < _ERROR)
            return None
        core.flights.together(ask.key)
        ask.ttl = stored.ttl(now)
        if isinstance(body, BytesBody):
            entry = Entry(stored, body.data, ask.key, ask.uri, core.shown, ask.mark)
            ask.stored = core.keep(entry, ask.purges)
            self._settle(ask, entry, now)
            if rules.plain(ask.asked):
                return None
            return self._if_modified(ask, entry, now)
        return self._stream(exchange, ask, response, stored, now)

    def _if_modified(self, ask: Ask, entry: Entry, now: float) -> Response | None:
        """A 304 where the client's own condition says so: the upstream has not seen it."""
        shape = rules.shape(ask.method, ask.asked, entry.stored, None)
        return None if shape.whole else self._sent(ask, entry, now)

    def _stream(self, exchange: Exchange, ask: Ask, response: Response, stored: Stored, now: float) -> Response | None:
        """Keeps an answer that comes in bit by bit, and lets others read it meanwhile."""
        core = self._core
        flight, ask.flight = ask.flight, None
        since, key, uri, mark = ask.purges, ask.key, ask.uri, ask.mark

        def ended(outcome: Outcome) -> None:
            core.streams.discard(stream)
            if isinstance(outcome, bytes) and stream.length in (None, len(outcome)):
                core.keep(Entry(stored, outcome, key, uri, core.shown, mark), since)
            if flight is not None:
                flight.over()

        stream = Stream(response.body, core.config.largest, core.config.wait or 1.0, core.spawn, core.budget, ended)
        core.streams.add(stream)
        ask.stored = True
        if flight is not None:
            self._open(ask, flight, stored, stream, now)
        shape = rules.shape(ask.method, ask.asked, stored, None)
        if shape.whole:
            response.body = ask.reader = joined(exchange, stream.reader())
            return None
        if exchange.attempts:
            exchange.attempts[-1].release()
        stream.fill()
        return Response(304, b"", shape.headers)

    def _open(self, ask: Ask, flight: Flight, stored: Stored, stream: Stream, now: float) -> None:
        if now < stored.fresh_until:
            flight.streams(stored, stream)
        else:
            flight.refuse()
            self._remember(ask, now)

    # -- flights ------------------------------------------------------------------------------------

    def _settle(self, ask: Ask, entry: Entry, now: float) -> None:
        flight, ask.flight = ask.flight, None
        if flight is None:
            return
        if now < entry.stored.fresh_until:
            flight.settle(entry)
        else:  # each use of it has to be validated, and they need not queue for that
            flight.refuse()
            self._remember(ask, now)

    def _refuse(self, ask: Ask, now: float, *, remember: bool = True) -> None:
        flight, ask.flight = ask.flight, None
        if flight is not None:
            flight.refuse()
            if remember:
                self._remember(ask, now)

    def _remember(self, ask: Ask, now: float) -> None:
        seconds = self._core.config.uncacheable
        if seconds:
            self._core.flights.leave_alone(ask.key, now + seconds)

    def _drop(self, ask: Ask) -> None:
        flight, ask.flight = ask.flight, None
        if flight is not None:
            flight.drop()

    def _sent(self, ask: Ask, entry: Entry, now: float) -> Response:
        answer = from_entry(ask, entry, now, "")
        answer.source = "upstream" if ask.status is not None and ask.status < _ERROR else None
        return answer

    # -- the end ------------------------------------------------------------------------------------

    def left(self, ask: Ask) -> None:
        """The exchange is over, however it ended."""
        self._drop(ask)
        reader, ask.reader = ask.reader, None
        if reader is not None:
            reader.discard()

    def item(self, ask: Ask) -> str:
        """The ``Cache-Status`` of an answer that went past the cache."""
        return rules.forward(
            self._core.label,
            ask.fwd,
            status=ask.status,
            stored=ask.stored,
            collapsed=ask.collapsed,
            ttl=ask.ttl,
            detail=ask.detail,
        )
