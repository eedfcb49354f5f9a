"""What was purged, in order: an answer that was asked for before a purge must not be kept after it.

A purge is noted under a number, and an answer carries the number that was the last when the upstream was asked. That
needs no clocks that agree, and no message that arrives: whoever looks at both knows.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final, Literal

from attrs import frozen

Kind = Literal["url", "prefix", "tag", "all"]
KINDS: Final[dict[str, Kind]] = {"u": "url", "p": "prefix", "t": "tag", "a": "all"}
LETTERS: Final[dict[Kind, str]] = {kind: letter for letter, kind in KINDS.items()}

MOST: Final = 256
"""Purges that are remembered; what is older than all of them is taken for purged."""


@frozen
class Purge:
    """What is to go. ``what``: a URL, a prefix of URLs, a tag; "" for all. ``soft``: it may stay, as stale."""

    kind: Kind
    what: str = ""
    soft: bool = False

    def takes(self, uri: str, tags: Iterable[str]) -> bool:
        """True when an answer for ``uri`` with ``tags`` is among it."""
        if self.kind == "url":
            return uri == self.what
        if self.kind == "prefix":
            return uri.startswith(self.what)
        return self.kind == "all" or self.what in tags


Verdict = Literal["good", "soft", "purged"]


def verdict(purges: Iterable[Purge], uri: str, tags: Iterable[str]) -> Verdict:
    """What ``purges`` have made of an answer that is older than all of them."""
    worst: Verdict = "good"
    for purge in purges:
        if purge.takes(uri, tags):
            if not purge.soft:
                return "purged"
            worst = "soft"
    return worst


class Recent:
    """The purges of this process, numbered; the last ``MOST`` of them."""

    def __init__(self) -> None:
        self.last = 0
        """The number of the last one."""
        self._purges: deque[Purge] = deque(maxlen=MOST)

    def note(self, purge: Purge) -> None:
        """``purge`` has happened."""
        self.last += 1
        self._purges.append(purge)

    def all_gone(self) -> None:
        """Purges may have been missed."""
        self.note(Purge("all"))

    def since(self, number: int) -> Iterator[Purge]:
        """Those after ``number``; one of everything where that is too long ago to know."""
        count = self.last - number
        if count > len(self._purges):
            yield Purge("all")
            return
        for at in range(len(self._purges) - count, len(self._purges)):
            yield self._purges[at]
