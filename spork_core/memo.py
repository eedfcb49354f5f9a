"""A memo of bytes that come again and again: bounded, and it stops where it does not pay."""

from typing import Final, Generic, TypeVar

T = TypeVar("T")

_WINDOW: Final = 4096
"""After so many misses it is decided whether it pays, …"""
_LEAST: Final = _WINDOW // 3
"""… which takes so many hits beside them: a look costs 0.1 µs, to keep something 0.3 µs, and a hit saves 2 to 3 µs."""
_REST: Final = 256 * 1024
"""So many looks it is off when it does not."""


class Memo(Generic[T]):
    """Bytes → what they mean. While ``on``: look into ``kept`` before working it out, count in ``hits`` what was there,
    and ``put`` here what was not; else call ``rest``. (A method to look would be a fifth of what a hit costs.)"""

    __slots__ = ("_longest", "_misses", "_most", "_rest", "hits", "kept", "on")

    def __init__(self, most: int, longest: int) -> None:
        """``most``: entries; when there are so many it begins anew. ``longest``: bytes of a key."""
        self.kept: dict[bytes, T] = {}
        self._most = most
        self._longest = longest
        self.hits = self._misses = self._rest = 0
        self.on = True

    def put(self, key: bytes, meaning: T) -> None:
        """Keeps what a look did not find."""
        self._misses += 1
        if self._misses >= _WINDOW:
            self.on = self.hits >= _LEAST
            self.hits = self._misses = 0
            if not self.on:
                self.kept.clear()
                self._rest = _REST
                return
        if len(key) <= self._longest:
            if len(self.kept) >= self._most:
                self.kept.clear()
            self.kept[key] = meaning

    def rest(self) -> None:
        """Another look that was not made."""
        self._rest -= 1
        if self._rest <= 0:
            self.on = True
