"""Facts of an exchange: who is calling, where it goes, and what came of it."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field, frozen

from spork_core.errors import Source


@frozen
class Identity:
    """Who is calling, as an ``authenticate`` hook found out.

    ``subject``: stable id of the caller. ``scheme``: what proved it (``jwt``, ``api-key``). ``claims``: what else is
    known. ``scopes`` and ``roles``: what it may do.
    """

    subject: str
    scheme: str = ""
    scopes: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(factory=dict, repr=False)


@frozen(eq=False)
class Endpoint:
    """One address of a service. ``url``: its origin, without a path. ``service``: the service's name."""

    service: str
    url: str
    weight: int = 1

    def __str__(self) -> str:
        return self.url


@frozen
class RouteInfo:
    """What a plugin may know of the matched route. ``service``: the service's name; None when plugins answer
    themselves. ``path``: the pattern of its match, a label with few values (``/users/{id}``)."""

    name: str
    path: str
    service: str | None


@define(eq=False)  # not frozen: 0.15 µs instead of 0.4 µs for each exchange
class Outcome:
    """How an exchange ended; ready when ``on_complete`` fires.

    ``status``: as sent; 499 when the client left before its head was written. ``source``: whose answer it was.
    ``complete``: the whole answer was handed to the client's connection. ``bytes_received``, ``bytes_sent``: content,
    without heads and chunk framing. ``duration_ns``: from the request head to the last byte or the abort.
    """

    status: int
    source: Source
    complete: bool
    bytes_received: int
    bytes_sent: int
    duration_ns: int

    @property
    def seconds(self) -> float:
        """``duration_ns`` in seconds."""
        return self.duration_ns / 1e9


@frozen
class Timing:
    """What one call of a hook took, in seconds: ``own`` while its code ran, ``waiting`` while it awaited something.

    ``instance``: the plugin instance's name. ``hook``: the hook's.
    """

    instance: str
    hook: str
    own: float
    waiting: float = 0.0
