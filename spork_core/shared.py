"""What instances of different plugins tell each other: typed names that neither of them owns.

One that sets such a value imports nothing of those that read it, and none has to be there.
"""

from typing import Any, Final

from spork_core.exchange import StateKey
from spork_core.plugin import ResourceKey
from spork_core.store import Store

STORE: Final[ResourceKey[Store]] = ResourceKey("store")
"""The Store of the snapshot. There always is one: the kernel's own, in memory, unless an instance provides another."""

SESSION_TRACING: Final[ResourceKey[list[Any]]] = ResourceKey("session-tracing")
"""``aiohttp.TraceConfig`` objects for a plugin's own ClientSession, so that its requests are traced, too. Not there
when nobody traces."""

TRACE_ID: Final[StateKey[str]] = StateKey("trace-id")
"""32 lower-case hex digits (W3C Trace Context): the trace that the exchange belongs to. It stands in problems and in
log lines."""

CACHE_STATUS: Final[StateKey[str]] = StateKey("cache-status")
"""What a cache made of the exchange: ``hit``, or why not, as RFC 9211 names it (``uri-miss``, ``stale``, …)."""

LIMIT: Final[StateKey[str]] = StateKey("limit")
"""What a rate limit decided: ``allowed``, or ``limited`` by the policy behind the colon (``limited:60/minute``)."""

BREAKER: Final[StateKey[str]] = StateKey("breaker")
"""What a circuit breaker did where it did not let the exchange pass as usual: ``open``, ``probe``, ``fallback``."""
