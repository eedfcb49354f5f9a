"""Values that try a setting."""

import math
from collections.abc import Iterator
from typing import Any, Final

from spork_core.config.shapes import shape

_TEXTS: Final = ("", " ", "\n", "a\r\nB: c", "\0", "\ud800", "é", *"*([\\", "{x", "%s", "../..", "x" * 10_000)
_NUMBERS: Final = (-1, 0, 1, 10**30, -(10**30), 0.5, -1.5, 1e308, math.nan, math.inf, True, False)
_LISTS: Final[tuple[object, ...]] = ([], [[]], [None], [{}], [["x", "x"]])
_MAPPINGS: Final[tuple[object, ...]] = ({}, {"": None}, {"x": {"y": []}}, {1: 2})
HOSTILE: Final[tuple[object, ...]] = (None, *_TEXTS, *_NUMBERS, *_LISTS, *_MAPPINGS)
"""Values that a typo, a template engine or somebody with bad intentions puts into a config."""


def hostile_values(hint: Any) -> Iterator[object]:
    """Values for a setting of this type: all of any type, and those of the right form with something wrong inside."""
    yield from HOSTILE
    yield from _inside(hint)


def _inside(hint: Any) -> Iterator[object]:
    found = shape(hint)
    match found.kind:
        case "list":
            for value in (*HOSTILE, *_inside(found.items[0])):
                yield [value]
        case "mapping":
            for value in (*HOSTILE, *_inside(found.items[1])):
                yield {"x": value}
            for text in _TEXTS:
                yield {text[:1000]: "x"}  # the longest key of YAML has 1024 characters
        case "union":
            for member in found.items:
                yield from _inside(member)
