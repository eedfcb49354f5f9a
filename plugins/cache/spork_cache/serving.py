"""The way in: whether the cache answers, waits for another request, or lets this one ask the upstream.

Rules of this file
1. Each step is synchronous and says what comes next: an answer, None (ask the upstream), a Flight to wait for, or LOOK
   (ask the store). ``wait`` alone awaits, and goes round until there is an answer or None.
2. Whoever waits has begun with one limit of time, whatever it meets on the way.
"""

import asyncio
from collections.abc import Coroutine
from enum import Enum
from typing import Any, Final

from multidict import istr

from spork_cache import rules
from spork_cache.answers import from_entry, from_stream
from spork_cache.asking import Ask, NotCached
from spork_cache.core import Core
from spork_cache.entry import Entry
from spork_cache.flights import Flight, State
from spork_cache.memory import Slot
from spork_cache.refreshing import Refreshing
from spork_cache.rules import Action
from spork_core.api import CACHE_STATUS, EMPTY, Exchange, Headers, Request, Response

_HOST: Final = istr("Host")
_RANGE: Final = istr("Range")
_AUTHORIZATION: Final = istr("Authorization")
_MOST_ORIGINS: Final = 256
"""Hosts that are remembered: a client may name any."""
_SHARED_FWD: Final = frozenset(("uri-miss", "vary-miss", "miss", "stale"))
"""Why the upstream is asked where one can ask for all."""


def _elsewhere(request: Request) -> bool:
    """True when a trusted proxy names another host than ``Host`` does, which goes to the upstream."""
    return request.trusted and request.headers.get(_HOST) != request.host


class Next(Enum):
    """What else a step may say."""

    LOOK = "look"
    """Ask the store."""


Step = Response | Flight | Next | None


class Serving:
    """The way in of one instance."""

    def __init__(self, core: Core, refreshing: Refreshing) -> None:
        self._core = core
        self._refreshing = refreshing
        config = core.config
        self._credentials = tuple(istr(name) for name in config.identified_by)
        self._per_identity = config.key.per_identity
        key = config.key
        self._plain_key = not (key.ignore_query or key.only_query is not None or key.sort_query)
        self._ignore = frozenset(key.ignore_query)
        self._only = None if key.only_query is None else frozenset(key.only_query)
        self._quick = self._plain_key and not key.per_identity
        """True when nothing but route, scheme, host, path and query makes a key."""
        self._spaces: dict[str, str] = {}
        self._origins: dict[tuple[str, str], str] = {}

    def key(self, exchange: Exchange) -> str:
        """The primary key of the request (0.4 µs; by way of ``_place`` 1.3)."""
        request, route = exchange.request, exchange.route
        if self._quick and route is not None and exchange.upstream_target is None and not _elsewhere(request):
            space = self._spaces.get(route.name)
            origin = self._origins.get((request.scheme, request.host))
            if space is not None and origin is not None:
                query = request.query
                return space + origin + (request.path if query is None else f"{request.path}?{query}")
        return self._place(exchange)[1]

    def _place(self, exchange: Exchange) -> tuple[str, str]:
        """The URI and the primary key of the request."""
        request, route = exchange.request, exchange.route
        target = request.target
        if not self._plain_key:
            target = rules.target_for_key(
                target, ignore=self._ignore, only=self._only, sort=self._core.config.key.sort_query
            )
        uri = rules.uri(request.scheme, request.host, target)
        identity = exchange.identity
        who = ""
        if self._per_identity and identity is not None:
            parts = (identity.scheme, identity.subject, *sorted(identity.scopes), "", *sorted(identity.roles))
            who = "".join(f"{len(part)}:{part}" for part in parts)
        # What else decides what the upstream is asked: routes match on more than the URI and have services of their
        # own, hooks may set another target, and a trusted proxy may name another host than the Host that is passed on.
        space = "" if route is None else route.name
        if exchange.upstream_target is not None:
            space = f"{space} {exchange.upstream_target}"
        if _elsewhere(request):
            space = f"{space}  {request.headers.get(_HOST)}"
        if route is not None and space is route.name and target.startswith("/"):
            self._learn(space, request.scheme, request.host)
        return uri, rules.primary_key(uri, space=space, identity=who)

    def _learn(self, space: str, scheme: str, host: str) -> None:
        """Remembers the parts of keys that many requests have in common."""
        if space in self._spaces and (scheme, host) in self._origins:
            return
        if len(self._origins) >= _MOST_ORIGINS:
            self._origins.clear()
        self._origins[scheme, host] = rules.uri(scheme, host, "/")[:-1]
        self._spaces[space] = rules.primary_key("", space=space)

    def consider(
        self, exchange: Exchange, key: str, slot: Slot | None
    ) -> Response | Coroutine[Any, Any, Response | None] | None:
        """What becomes of a request that is no plain hit."""
        core, request = self._core, exchange.request
        route = exchange.route
        if request.upgrade is not None or route is None or route.service is None:
            return None
        method, headers = request.method, request.headers
        known = False
        if not (self._per_identity and exchange.identity is not None):
            known = exchange.identity is not None or any(name in headers for name in self._credentials)
            if slot is not None and method == "GET" and request.body is EMPTY:
                hit = self._whole(exchange, slot, known=known)
                if hit is not None:
                    return hit
        uri = self._place(exchange)[0] if slot is None else slot.uri
        ask = Ask(method, uri, key, headers.copy(), core.now(), core.purges.last)
        exchange[core.ask] = ask
        if method not in ("GET", "HEAD"):
            ask.fwd = "method"
            core.numbers.bypass += 1
            return None
        if request.body is not EMPTY:  # it may decide the answer, and stands in no key
            ask.fwd, ask.detail = "bypass", "content"
            core.numbers.bypass += 1
            return None
        if self._per_identity and exchange.identity is not None:
            for name in (*self._credentials, _AUTHORIZATION):
                ask.asked.popall(name, None)
        ask.authenticated = known
        entry = None if slot is None else slot.find(ask.asked)
        step = self._decide(exchange, ask, entry, "uri-miss" if slot is None else "vary-miss")
        if step is None or isinstance(step, Response):
            return step
        return self._wait(exchange, ask, step)

    def _whole(self, exchange: Exchange, slot: Slot, *, known: bool) -> Response | None:
        """A fresh answer for one who wants it as it is, such as a known caller; None when it takes a closer look."""
        headers = exchange.request.headers
        entry = slot.find(headers)
        if entry is None or any(name in headers for name in rules.CLIENT_CONDITIONS):
            return None
        core = self._core
        now = core.now()
        if not now < entry.stored.fresh_until:
            return None
        if rules.reuse(entry.stored, headers, now, core.policy, authenticated=known).action is not Action.HIT:
            return None
        entry.visited = True
        core.numbers.hit += 1
        exchange[CACHE_STATUS] = "hit"
        return entry.answer(now)

    # -- steps --------------------------------------------------------------------------------------

    def _again(self, exchange: Exchange, ask: Ask) -> Step:
        """Looks into the memory anew."""
        slot = self._core.memory.get(ask.key)
        entry = None if slot is None else slot.find(ask.asked)
        return self._decide(exchange, ask, entry, "uri-miss" if slot is None else "vary-miss")

    def _decide(self, exchange: Exchange, ask: Ask, entry: Entry | None, miss: rules.Miss) -> Step:
        core = self._core
        now = core.now()
        stored = None if entry is None else entry.stored
        decision = rules.reuse(stored, ask.asked, now, core.policy, authenticated=ask.authenticated, miss=miss)
        action = decision.action
        if entry is not None and action in (Action.HIT, Action.STALE, Action.REFRESH):
            entry.visited = True
            if action is Action.REFRESH:
                self._refreshing.refresh(exchange, ask, entry)
            return self._answer(ask, entry, now, decision.detail)
        if entry is None and core.shared is not None and not ask.looked:
            ask.fwd = miss
            return self._look(ask)
        if action is Action.UNSATISFIABLE:
            ask.detail = "only-if-cached"
            core.numbers.refused += 1
            raise NotCached("Nothing that is cached answers this request.")
        ask.fwd = decision.fwd
        ask.detail = ask.detail or decision.detail
        ask.entry = entry
        return self._forward(exchange, ask, validate=action is Action.VALIDATE)

    def _look(self, ask: Ask) -> Step:
        """The store is to be asked: by one request for each key."""
        core = self._core
        if core.config.coalesce and ask.method == "GET" and not core.flights.alone(ask.key, ask.requested_at):
            flight = core.flights.get(ask.key)
            if flight is not None and not self._late(ask):
                return flight
            if flight is None:
                ask.flight = core.flights.lead(ask.key, ask.uri)
        ask.looked = True
        return Next.LOOK

    def _forward(self, exchange: Exchange, ask: Ask, *, validate: bool) -> Step:
        """Asks the upstream, or waits for somebody who does already."""
        core, asked = self._core, ask.asked
        plain = rules.plain(asked)
        if ask.method != "GET" or not (plain or self._keepable(asked)):
            self._release(ask)
            return None
        ranged = not plain and _RANGE in asked
        alone = core.flights.alone(ask.key, core.now())
        if ranged or alone or ask.fwd not in _SHARED_FWD:
            self._release(ask)
        elif core.config.coalesce and ask.flight is None:
            key = ask.key if ask.fwd != "vary-miss" else self._variant(ask)
            flight = core.flights.get(key)
            if flight is not None and not self._late(ask):
                return flight
            if flight is None:
                ask.flight = core.flights.lead(key, ask.uri)
        self._prepare(exchange, ask, validate=validate, whole=not plain and not alone and not ranged)
        return None

    @staticmethod
    def _keepable(asked: Headers) -> bool:
        """True when an answer may be kept, and given to others."""
        return not (rules.request_no_store(asked) or rules.origin_conditions(asked))

    def _variant(self, ask: Ask) -> str:
        slot = self._core.memory.get(ask.key)
        return ask.key if slot is None else f"{ask.key}\n{rules.vary_key(ask.asked, slot.vary)}"

    def _late(self, ask: Ask) -> bool:
        return ask.until is not None and asyncio.get_running_loop().time() >= ask.until

    def _release(self, ask: Ask) -> None:
        """It will not answer for the others."""
        flight, ask.flight = ask.flight, None
        if flight is not None:
            flight.drop()

    def _prepare(self, exchange: Exchange, ask: Ask, *, validate: bool, whole: bool) -> None:
        """Makes the request what the upstream is to get. ``whole``: an answer that can be kept is wanted, also where
        the client asked for less."""
        core, headers = self._core, exchange.request.headers
        ask.storing = True
        ask.requested_at = core.now()
        ask.purges = core.purges.last
        if core.shared is not None and not ask.mark:
            ask.mark = core.shared.mark
        if not (validate or whole):
            return
        for name in rules.CLIENT_CONDITIONS:
            headers.popall(name, None)
        if validate:
            fields = () if ask.entry is None else rules.validators((ask.entry.stored,))
            headers.update(fields)
            ask.validating = bool(fields)

    def _answer(self, ask: Ask, entry: Entry, now: float, detail: str = "") -> Response:
        """``entry`` as this client wants it."""
        core = self._core
        numbers = core.numbers
        if ask.collapsed:
            numbers.collapsed += 1
            item = rules.forward(core.label, ask.fwd, collapsed=True, ttl=entry.stored.ttl(now), detail=ask.detail)
        else:
            ask.fwd = ""
            if now < entry.stored.fresh_until:
                numbers.hit += 1
            else:
                numbers.stale += 1
            item = rules.hit(core.label, entry.stored.ttl(now)) + (f"; detail={detail}" if detail else "")
        self._settle(ask, entry)
        ask.answered = True
        return from_entry(ask, entry, now, item if core.config.status else "")

    def _settle(self, ask: Ask, entry: Entry) -> None:
        flight, ask.flight = ask.flight, None
        if flight is not None:
            flight.settle(entry)

    # -- waiting ------------------------------------------------------------------------------------

    async def _wait(self, exchange: Exchange, ask: Ask, step: Step) -> Response | None:
        """Goes from step to step."""
        core = self._core
        while True:
            if isinstance(step, Flight):
                if ask.until is None:
                    ask.until = asyncio.get_running_loop().time() + core.config.wait
                step = await self._follow(exchange, ask, step)
            elif step is Next.LOOK:
                step = await self._ask_store(exchange, ask)
            else:
                return step

    async def _follow(self, exchange: Exchange, ask: Ask, flight: Flight) -> Step:
        assert ask.until is not None
        core = self._core
        if not await flight.wait(ask.until):
            core.numbers.waited += 1
            ask.detail = "collapse-timeout"
            self._prepare(exchange, ask, validate=False, whole=False)
            return None
        if flight.state is State.REFUSED:
            self._prepare(exchange, ask, validate=False, whole=False)
            return None
        now = core.now()
        if flight.state is State.SETTLED and flight.entry is not None and self._fits(ask, flight.entry.stored, now):
            ask.collapsed = True
            return self._answer(ask, flight.entry, now)
        if flight.state is State.STREAMS and flight.stored is not None and self._fits(ask, flight.stored, now):
            answer = from_stream(core, exchange, ask, flight, now)
            if answer is not None:
                return answer
        # It is for another variant, or there is none: what is in memory by now, or a flight of its own.
        return self._again(exchange, ask)

    def _fits(self, ask: Ask, stored: rules.Stored, now: float) -> bool:
        """Whether what another request has just been answered with answers this one."""
        if stored.vary and stored.vary_key != rules.vary_key(ask.asked, stored.vary):
            return False
        policy, known = self._core.policy, ask.authenticated
        action = rules.reuse(stored, ask.asked, now, policy, authenticated=known).action
        if action in (Action.HIT, Action.STALE, Action.REFRESH):
            return True
        return rules.stale_if_error(stored, ask.asked, now, None, policy, authenticated=known)

    async def _ask_store(self, exchange: Exchange, ask: Ask) -> Step:
        core = self._core
        shared = core.shared
        if shared is None:
            return self._again(exchange, ask)
        since = core.purges.last
        found = await shared.find(ask.key, ask.uri, ask.asked)
        ask.mark, ask.detail = found.mark, found.detail
        entry = found.entry
        if entry is not None:
            if found.soft:
                entry.soften(core.now())
            if core.purges.last == since and core.memory.wants(entry):  # else it may be among what was purged meanwhile
                core.memory.put(entry)
            now = core.now()
            if (
                now < entry.stored.fresh_until
                and ask.method == "GET"
                and rules.as_it_is(entry.stored, ask.asked, authenticated=ask.authenticated)
            ):  # nearly all: what ``_decide`` would come to, by the way of a hit in memory
                self._settle(ask, entry)
                core.numbers.hit += 1
                ask.fwd, ask.answered = "", True
                return entry.answer(now)
        return self._decide(exchange, ask, entry, found.miss)
