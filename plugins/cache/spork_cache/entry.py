"""An answer that is kept whole, and what a client is sent of it.

Rules of this file
1. A hit is the fastest answer of the gateway: what does not change within a second is made once a second, and the rest
   is one copy of a header map in C (``answer`` takes 0.9 µs).
"""

from typing import Final

from multidict import istr

from spork_cache import rules
from spork_cache.rules import Stored
from spork_core.api import BytesBody, Prepared, Response

AGE: Final = istr("Age")
STATUS: Final = istr("Cache-Status")

_OVERHEAD: Final = 1500
"""Bytes that the objects of one entry take besides what they hold, by measurement."""
_FIELD: Final = 130
"""Bytes that one header field takes besides its text."""


class Entry:
    """One stored answer in memory.

    ``key``: the primary key it lies under. ``mark``: what the Store said of purges when it was asked for, see ``log``.
    """

    __slots__ = (
        "_age",
        "_prepared",
        "body",
        "content",
        "ends",
        "key",
        "mark",
        "name",
        "size",
        "stored",
        "uri",
        "visited",
    )

    def __init__(self, stored: Stored, content: bytes, key: str, uri: str, name: str, mark: str = "") -> None:
        self.stored = stored
        self.content = content
        self.body = BytesBody(content)
        self.key = key
        self.uri = uri
        self.name = name
        """How the cache calls itself in ``Cache-Status``; "" when it sends none."""
        self.mark = mark
        self.ends = 0.0
        """The moment from which it is of no use, as the memory reckons; 0.0 outside of it."""
        self.visited = False
        """True when it was used since eviction last came by."""
        headers = stored.headers
        fields = sum(map(len, headers)) + sum(map(len, headers.values())) + len(headers) * _FIELD
        self.size = len(content) + fields + len(key) + len(stored.vary_key) + _OVERHEAD
        """Bytes of memory that it takes, about."""
        self._age = -1
        self._prepared: Prepared | None = None

    def answer(self, now: float) -> Response:
        """The whole of it as a hit."""
        stored = self.stored
        age = int(now - stored.born)
        prepared = self._prepared
        if prepared is None or age != self._age:
            self._age = age
            head = stored.headers.copy()
            head[AGE] = str(stored.age(now))
            if self.name:
                rules.append(head, rules.hit(self.name, stored.ttl(now)))
            prepared = self._prepared = Prepared(stored.status, stored.reason, head, self.body, via=True)
        return prepared.response()

    def soften(self, now: float) -> None:
        """After a soft purge: stale from now on, and still good for revalidation."""
        self.stored = rules.soft_purged(self.stored, now)
        self._age = -1

    def useful_until(self, keep: float) -> float:
        """The moment from which it is of no use any more. ``keep``: seconds that something with a validator is kept for
        revalidation."""
        stored = self.stored
        until = max(stored.fresh_until, stored.stale_while_revalidate_until, stored.stale_if_error_until)
        if stored.etag is not None or stored.last_modified is not None:
            until = max(until, stored.fresh_until + keep)
        return until

    def __repr__(self) -> str:
        return f"<Entry {self.uri} {self.stored.status} {len(self.content)} bytes>"
