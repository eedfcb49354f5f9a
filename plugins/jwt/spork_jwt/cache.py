"""The memory of verified tokens: bounded in number and in bytes, and quick to read.

Rules of this file
1. Only tokens that were good come in, so a flood of bad ones displaces nothing.
2. What was used since it was last looked at gets a second chance; what was not goes first.
3. A hit is one look-up and one comparison of times, by whoever holds ``entries``.
"""

from typing import Final

from spork_jwt.claims import Accepted

_OVERHEAD: Final = 2000
"""Bytes of an entry without its texts: the objects of an entry, an Identity and a dict of claims, measured."""
_CLAIMS: Final = 6
"""Bytes that claims take for each character of a token."""
_CHANCES: Final = 16
"""So many entries at most get a second chance in a row."""


class Entry:
    """A token that was good.

    ``until``: seconds since the epoch up to which it is answered for without another look. ``trusted``: up to which its
    signature and claims are; between the two only the store is asked again. ``vouched``: up to which what the
    store said last holds when it does not answer. ``names``: what revocations call it.
    """

    __slots__ = ("accepted", "fields", "identity", "names", "trusted", "until", "used", "vouched", "weight")

    def __init__(self, accepted: Accepted, trusted: float, names: tuple[str, ...], weight: int) -> None:
        self.accepted = accepted
        self.identity = accepted.identity
        self.fields = accepted.fields
        self.trusted = trusted
        self.until = trusted
        self.vouched = 0.0
        self.names = names
        self.used = False
        self.weight = weight


def weight_of(token: str) -> int:
    """About how many bytes the entry of a token takes."""
    return _OVERHEAD + _CLAIMS * len(token)


class TokenCache:
    """Entries by the Authorization field that carries the token.

    ``most``: entries; 0 keeps none. ``size``: bytes.
    """

    def __init__(self, most: int, size: int) -> None:
        self.entries: Final[dict[str, Entry]] = {}
        self.size = 0
        """Bytes that the entries take, about."""
        self.evicted = 0
        """Entries that had to go before their time."""
        self._most = most
        self._most_bytes = size
        self._named: dict[str, set[str]] = {}
        """What revocations name → the fields of the tokens that it is about."""

    def put(self, field: str, entry: Entry, now: float) -> None:
        """Keeps ``entry``; one that is larger than the whole cache is not kept."""
        self.drop(field)
        if not self._most or entry.weight > self._most_bytes:
            return
        self._make_room(entry.weight, now)
        self.entries[field] = entry
        self.size += entry.weight
        for name in entry.names:
            self._named.setdefault(name, set()).add(field)

    def drop(self, field: str) -> None:
        """Forgets one token, if it is known."""
        entry = self.entries.pop(field, None)
        if entry is None:
            return
        self.size -= entry.weight
        for name in entry.names:
            fields = self._named[name]
            fields.discard(field)
            if not fields:
                del self._named[name]

    def drop_named(self, name: str) -> None:
        """Forgets the tokens that a revocation is about."""
        for field in tuple(self._named.get(name, ())):
            self.drop(field)

    def doubt(self) -> None:
        """Has the store asked again about every token before it is used again.

        What it said before holds on where it does not answer: it may have been away itself, and is seldom back at once
        on every connection.
        """
        for entry in self.entries.values():
            entry.until = 0.0

    def clear(self) -> None:
        """Forgets everything."""
        self.entries.clear()
        self._named.clear()
        self.size = 0

    def _make_room(self, weight: int, now: float) -> None:
        chances = _CHANCES
        while self.entries and (len(self.entries) >= self._most or self.size + weight > self._most_bytes):
            field = next(iter(self.entries))
            entry = self.entries[field]
            if entry.used and chances and entry.trusted > now:
                chances -= 1
                entry.used = False
                self.entries[field] = self.entries.pop(field)  # to the end
                continue
            if entry.trusted > now:
                self.evicted += 1
            self.drop(field)

    def __repr__(self) -> str:
        return f"<TokenCache {len(self.entries)} tokens, {self.size} bytes>"
