"""Which tier an identity is of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spork_core.api import Identity

Tiering = Callable[[Identity], str | None]
"""Gives the tier of an identity; None: it has none."""


def tiering(by: str, tiers: Sequence[str]) -> Tiering:
    """The function for ``by``. Of several tiers the one that stands first in ``tiers`` counts."""
    if by == "roles":
        return lambda identity: _first(tiers, identity.roles)
    if by == "scopes":
        return lambda identity: _first(tiers, identity.scopes)
    path = by.split(".")[1:]

    def claimed(identity: Identity) -> str | None:
        value: Any = identity.claims
        for name in path:
            if not isinstance(value, Mapping):
                return None
            value = value.get(name)
        if isinstance(value, (list, tuple, set, frozenset)):
            return _first(tiers, [each for each in value if isinstance(each, str)])
        return value if isinstance(value, str) and value in tiers else None

    return claimed


def _first(tiers: Sequence[str], has: Iterable[str]) -> str | None:
    mine = frozenset(has)
    return next((tier for tier in tiers if tier in mine), None)
