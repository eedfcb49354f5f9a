"""The tier in this process's memory: bounded by bytes, with the variants of a URI together.

Rules of this file
1. What has ended goes first, then what was not used since eviction last came by (the second-chance clock): a hit sets a
   flag and moves nothing, which takes 0.02 µs where an LRU's move takes 0.1.
2. Every index is emptied with the entry that stands in it: nothing here grows but with entries.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from spork_cache import rules
from spork_cache.entry import Entry
from spork_core.api import Headers

_LOOKED_AT: Final = 64
"""So many of the oldest entries are looked at for one that has ended, when room is needed."""


_LEAST_SEEN: Final = 16
"""Keys that were refused a place of which a memory of few entries knows."""


class Slot:
    """What is stored under one primary key: one answer, or several variants (RFC 9111 section 4.1)."""

    __slots__ = ("key", "only", "uri", "variants", "vary")

    def __init__(self, key: str, uri: str) -> None:
        self.key = key
        self.uri = uri
        self.vary: tuple[str, ...] = ()
        """The names in ``Vary`` of the answer that came last."""
        self.only: Entry | None = None
        """The answer where there is one for everybody."""
        self.variants: dict[str, Entry] = {}
        """By the values of the fields in ``vary``; the oldest first."""

    def find(self, headers: Headers) -> Entry | None:
        """The answer for a request with ``headers``; None when no variant is for it."""
        if self.only is not None:
            return self.only
        return self.variants.get(rules.vary_key(headers, self.vary)) if self.variants else None

    def entries(self) -> tuple[Entry, ...]:
        """All of them."""
        return tuple(self.variants.values()) if self.only is None else (self.only,)

    def __repr__(self) -> str:
        return f"<Slot {self.uri} {len(self.entries())} entries>"


class Memory:
    """Entries by primary key, and the ways to find them for a purge.

    ``size``: bytes that they may take. ``variants``: of one key. ``keep``: seconds that something stale is kept for its
    validator.
    """

    def __init__(self, size: int, variants: int, keep: float, now: Callable[[], float]) -> None:
        self._most = size
        self._variants = variants
        self._keep = keep
        self._now = now
        self._slots: dict[str, Slot] = {}
        self.get: Final = self._slots.get
        """The Slot of a key, or None."""
        self._order: dict[Entry, None] = {}
        """All entries; the one that came first, or was passed over longest ago, stands first."""
        self._uris: dict[str, tuple[str, ...]] = {}
        """URI → the keys of it: one for each route and identity."""
        self._tags: dict[str, set[Entry]] = {}
        self._seen: dict[str, None] = {}
        """Keys that were refused a place, the oldest first; no more than there are entries, or ``_LEAST_SEEN``."""
        self.size = 0
        """Bytes that the entries take."""
        self.evicted = 0
        """Entries that had to go before their time."""

    def __len__(self) -> int:
        return len(self._order)

    def __repr__(self) -> str:
        return f"<Memory {len(self._order)} entries, {self.size} of {self._most} bytes>"

    def __iter__(self) -> Iterator[Entry]:
        return iter(tuple(self._order))

    def put(self, entry: Entry) -> bool:
        """Keeps ``entry`` in place of what was there for the same request; False when it is larger than the whole."""
        if entry.size > self._most:
            return False
        slot = self._slots.get(entry.key)
        if slot is None:
            slot = self._slots[entry.key] = Slot(entry.key, entry.uri)
            self._uris[entry.uri] = (*self._uris.get(entry.uri, ()), entry.key)
        stored = entry.stored
        if stored.vary != slot.vary:  # another set of names selects: what was stored by the old one is not found again
            for old in slot.entries():
                self._forget(old)
            slot.only, slot.vary = None, stored.vary
            slot.variants.clear()
        if stored.vary:
            replaced = slot.variants.pop(stored.vary_key, None)
            if replaced is None and len(slot.variants) >= self._variants:
                replaced = slot.variants.pop(next(iter(slot.variants)))
                self.evicted += 1
            slot.variants[stored.vary_key] = entry
        else:
            replaced, slot.only = slot.only, entry
        if replaced is not None:
            self._forget(replaced)
        entry.ends = entry.useful_until(self._keep)
        self._order[entry] = None
        self.size += entry.size
        for tag in stored.tags:
            self._tags.setdefault(tag, set()).add(entry)
        if self.size > self._most:
            self._make_room(entry)
        return True

    def wants(self, entry: Entry) -> bool:
        """Whether what can be had again from the store is worth a place: there is room, or it was asked for a short
        time ago. Else answers that come in turn, more of them than fit, would put each other out before their use."""
        if self.size + entry.size <= self._most:
            return True
        seen, key = self._seen, entry.key
        if key in seen:
            del seen[key]
            return True
        seen[key] = None
        if len(seen) > max(len(self._order), _LEAST_SEEN):
            del seen[next(iter(seen))]
        return False

    def drop(self, entry: Entry) -> bool:
        """Keeps ``entry`` no longer; False when it was not there."""
        if entry not in self._order:
            return False
        self._forget(entry)
        slot = self._slots[entry.key]
        if slot.only is entry:
            slot.only = None
        elif slot.variants.get(entry.stored.vary_key) is entry:
            del slot.variants[entry.stored.vary_key]
        if slot.only is None and not slot.variants:
            del self._slots[entry.key]
            keys = tuple(key for key in self._uris[entry.uri] if key != entry.key)
            if keys:
                self._uris[entry.uri] = keys
            else:
                del self._uris[entry.uri]
        return True

    def clear(self) -> int:
        """Keeps nothing; how many there were."""
        count = len(self._order)
        for index in (self._slots, self._order, self._uris, self._tags, self._seen):
            index.clear()
        self.size = 0
        return count

    # -- finding ------------------------------------------------------------------------------------

    def at(self, uri: str) -> list[Entry]:
        """What is stored for ``uri``: of every route, identity and variant."""
        return [entry for key in self._uris.get(uri, ()) for entry in self._slots[key].entries()]

    def below(self, prefix: str) -> list[Entry]:
        """What is stored for URIs that begin with ``prefix``."""
        return [entry for uri in self._uris if uri.startswith(prefix) for entry in self.at(uri)]

    def tagged(self, tag: str) -> list[Entry]:
        """What carries ``tag``."""
        return list(self._tags.get(tag, ()))

    # -- making room --------------------------------------------------------------------------------

    def _forget(self, entry: Entry) -> None:
        """Out of the order, the sum and the tags; the slot is the caller's."""
        if entry in self._order:
            del self._order[entry]
            self.size -= entry.size
            for tag in entry.stored.tags:
                tagged = self._tags.get(tag)
                if tagged is not None:
                    tagged.discard(entry)
                    if not tagged:
                        del self._tags[tag]

    def _make_room(self, newest: Entry) -> None:
        now = self._now()
        for old in tuple(islice(self._order, _LOOKED_AT)):
            if old.ends <= now:
                self.drop(old)
        while self.size > self._most:
            old = next(iter(self._order))
            if old is newest or (old.visited and old.ends > now):
                old.visited = False
                del self._order[old]
                self._order[old] = None
                continue
            self.drop(old)
            self.evicted += 1
