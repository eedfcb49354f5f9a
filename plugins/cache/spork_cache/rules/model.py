"""What the rules speak of: the operator's policy, a stored response and the decision about one request.

All moments are seconds since the epoch (float) as the caller's clock tells them; the rules have no clock of their own.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Final

from attrs import define, field, frozen

from spork_core.api import Headers

DELTA_MAX: Final = 1 << 31
"""What a delta-seconds value that is too large to be represented stands for (RFC 9111 section 1.2.2)."""


@frozen
class Policy:
    """The choices the RFCs leave to whoever runs a cache; made once, at load."""

    name: str = "spork"
    """How this cache calls itself in ``Cache-Status``."""
    targeted: tuple[str, ...] = ("Spork-Cache-Control", "CDN-Cache-Control")
    """Targeted fields that speak to this cache, the most specific first (RFC 9213 section 2.2)."""
    heuristic: float = 0.0
    """Fraction of the time since ``Last-Modified`` that an answer without explicit lifetime stays fresh; 0: none
    (RFC 9111 section 4.2.2 suggests a tenth)."""
    heuristic_cap: float = 86_400.0
    """The longest lifetime, in seconds, that ``heuristic`` may give."""
    defaults: Mapping[int, float] = field(factory=dict)
    """Lifetime in seconds by status, where neither the upstream nor ``heuristic`` says one; heuristically cacheable
    statuses only."""
    stale_while_revalidate: float = 0.0
    """Seconds (RFC 5861 section 3) where the upstream names none."""
    stale_if_error: float = 0.0
    """Seconds (RFC 5861 section 4) where the upstream names none."""
    stale_beside_s_maxage: bool = False
    """True: a stale window that a response names counts also beside its s-maxage, as many CDNs and frameworks have it;
    False: s-maxage forbids stale answers (RFC 9111 section 5.2.2.10)."""
    honour_client: bool = True
    """Whether a request's no-cache, max-age, min-fresh, max-stale and stale-if-error count. Its no-store and
    only-if-cached always do."""
    strip_cookies: bool = False
    """True: an answer with ``Set-Cookie`` is stored without that field; False: it is not stored."""
    max_vary: int = 8
    """The most names in ``Vary``; an answer with more of them is not stored."""
    max_tags: int = 128
    """The most tags of one answer; one with more of them is not stored, since a purge could miss it."""


@define(eq=False)
class Stored:
    """A stored response without its body: what is sent again, and all moments and flags computed when it was stored."""

    status: int
    reason: str
    headers: Headers
    """What may be sent again: with ``Date``, without ``Age``, ``Content-Length`` and what may not be stored."""
    received_at: float
    """When the head came."""
    born: float
    """The moment at which its age was 0: ``now - born`` is the current age (RFC 9111 section 4.2.3)."""
    fresh_until: float
    """Fresh while ``now`` is less; not after ``born`` when every use needs validation."""
    stale_while_revalidate_until: float
    """May be served while it is revalidated until then; not after ``fresh_until`` when it may not."""
    stale_if_error_until: float
    """May be served in place of an error until then; not after ``fresh_until`` when it may not."""
    must_revalidate: bool
    """True when it may never be served stale: must-revalidate, proxy-revalidate, s-maxage (RFC 9111 section 5.2.2)."""
    no_cache: bool
    """True when no use is right without validation (RFC 9111 section 5.2.2.4)."""
    shareable: bool
    """True when the upstream allows it for authenticated requests (RFC 9111 section 3.5)."""
    etag: str | None
    """The entity tag as sent; None when there is none, or none with the right syntax."""
    last_modified: float | None
    """None when there is no ``Last-Modified``, or no valid one."""
    vary: tuple[str, ...]
    """Lower-case names that select this response, sorted, each once; () when none do."""
    vary_key: str
    """``vary_key`` of the request that it answered."""
    tags: tuple[str, ...]
    """What a purge by tag finds it by."""

    @property
    def validatable(self) -> bool:
        """True when the upstream can be asked whether it still holds."""
        return self.etag is not None or self.last_modified is not None

    def age(self, now: float) -> int:
        """Whole seconds for the ``Age`` field; never negative, also when the clock was set back."""
        return min(max(int(now - self.born), 0), DELTA_MAX)

    def ttl(self, now: float) -> int:
        """Whole seconds that it stays fresh; negative when it is stale (RFC 9211 section 2.4)."""
        return int(self.fresh_until - now)

    def __repr__(self) -> str:
        return f"<Stored {self.status} fresh for {self.fresh_until - self.born:g} s>"


class Action(Enum):
    """What to do with a request."""

    HIT = "hit"
    """Answer from the store: it is fresh."""
    STALE = "stale"
    """Answer from the store: it is stale, and the client said that it takes it so."""
    REFRESH = "refresh"
    """Answer from the store: it is stale, and is to be revalidated beside (stale-while-revalidate)."""
    VALIDATE = "validate"
    """Ask the upstream whether the stored response still holds, with ``validators``."""
    FORWARD = "forward"
    """Ask the upstream as if nothing were stored."""
    UNSATISFIABLE = "unsatisfiable"
    """Answer 504: the client wants only what is cached."""


@frozen
class Decision:
    """What ``reuse`` found: an action, and for ``Cache-Status`` why there is no hit.

    ``fwd``: the value of RFC 9211 section 2.2, "" on a hit. ``detail``: a token that says more, or "".
    """

    action: Action
    fwd: str = ""
    detail: str = ""
