"""Revalidation beside the exchange (RFC 5861 section 3): the client has its stale answer, the next one gets a fresh.

It is an upstream request of its own (``gateway.repeat``), with the route's rewrite, attempts, breaker and retries; its
answer comes to ``on_upstream_response`` as that of a client would.
"""

from multidict import istr

from spork_cache import rules
from spork_cache.asking import Ask, Refetch, refetch
from spork_cache.core import Core
from spork_cache.entry import Entry
from spork_core.api import Exchange, Problem

_NOT_SENT = tuple(map(istr, ("Cache-Control", "Pragma", "If-Match", "If-Unmodified-Since")))
"""Fields of the client's that are about its own answer."""


class Refreshing:
    """What renews entries beside exchanges."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def refresh(self, exchange: Exchange, ask: Ask, entry: Entry) -> None:
        """Begins to revalidate ``entry``, unless somebody does already or too many are under way."""
        core = self._core
        gateway, flights = core.gateway, core.flights
        if gateway is None or ask.flight is not None or flights.get(ask.key) is not None:
            return
        if core.refreshing >= core.config.background:
            return
        headers = exchange.request.headers.copy()
        for name in (*rules.CLIENT_CONDITIONS, *_NOT_SENT):
            headers.popall(name, None)
        asked = ask.asked.copy()
        for name in (*rules.CLIENT_CONDITIONS, *_NOT_SENT):
            asked.popall(name, None)
        mine = Ask("GET", ask.uri, ask.key, asked, core.now(), core.purges.last)
        mine.authenticated, mine.entry, mine.fwd, mine.storing = ask.authenticated, entry, "stale", True
        mine.mark = "" if core.shared is None else core.shared.mark
        fields = rules.validators((entry.stored,))
        headers.update(fields)
        mine.validating = bool(fields)
        mine.flight = flights.lead(ask.key, ask.uri)
        core.refreshing += 1
        core.numbers.refreshes += 1
        core.spawn(self._run(exchange, refetch(exchange.request, headers, mine, core.ask)))

    async def _run(self, exchange: Exchange, request: Refetch) -> None:
        core, ask = self._core, request.ask
        try:
            assert core.gateway is not None
            response = await core.gateway.repeat(exchange, request)
            try:
                if response.status >= 500:
                    core.numbers.refresh_failures += 1
                async for _ in response.body:  # into the cache, which keeps it as it goes by
                    pass
            finally:
                response.body.discard()
        except Problem as problem:
            core.numbers.refresh_failures += 1
            core.log.debug("revalidating %s failed: %s", ask.uri, problem.reason or problem)
        finally:
            core.refreshing -= 1
            if ask.flight is not None:
                ask.flight.drop()
                ask.flight = None
