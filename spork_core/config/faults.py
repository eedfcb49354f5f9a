"""Faults found in a config: where, what, the remedy; and the nearest valid name."""

import difflib
import re
from collections.abc import Iterable
from typing import Final

import attrs

Path = tuple[str | int, ...]
"""Keys and indices from the root of the config to a value."""

_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_LONGEST_SHOWN: Final = 60


@attrs.frozen
class Resolved:
    """Text of the config that came from the environment or a file, and the reference that stands in its place."""

    text: str = attrs.field(repr=False)
    reference: str


@attrs.frozen
class Fault:
    """One fault at ``path``; ``at_key`` says that the key is to blame, not its value."""

    path: Path
    message: str
    remedy: str = ""
    at_key: bool = False

    def under(self, *prefix: str | int) -> "Fault":
        """The same fault, seen from further up."""
        return attrs.evolve(self, path=(*prefix, *self.path))


class Faults(Exception):
    """All faults of one value. ``partial`` is what could be built without the faulty parts, or None."""

    def __init__(self, faults: Iterable[Fault], partial: object = None) -> None:
        super().__init__()
        self.faults = tuple(faults)
        self.partial = partial


def render_path(path: Path) -> str:
    """The path as operators see it: ``$.routes.users.chain[0]``."""
    steps = []
    for step in path:
        if isinstance(step, int):
            steps.append(f"[{step}]")
        else:
            text = str(step)
            steps.append(f".{text}" if _PLAIN_KEY.fullmatch(text) else f"[{quote(text)}]")
    return "$" + "".join(steps)


def quote(text: str) -> str:
    """The text in double quotes, on one line, cut when it is long."""
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)
    return f'"{shown}"'


def show(value: object) -> str:
    """What was found, for a message: never a resolved value, never a whole collection."""
    match value:
        case None:
            return "nothing"
        case Resolved():
            return value.reference
        case bool():
            return str(value).lower()
        case str():
            return quote(value)
        case int() | float():
            return quote(str(value)).strip('"')
        case dict():
            return "a mapping"
        case list():
            return "a list"
    return f"a value of type {type(value).__name__}"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The name that was probably meant, or None."""
    folded = {known.lower(): known for known in names}
    found = difflib.get_close_matches(name.lower(), folded, n=1, cutoff=0.6)
    return folded[found[0]] if found else None


def suggest(name: object, names: Iterable[str], what: str) -> str:
    """The remedy for an unknown name: the nearest one, or what there is. ``what`` is a plural such as "keys"."""
    known = sorted(names)
    near = nearest(str(name), known)
    if near is not None:
        return f'did you mean "{near}"?'
    if not known:
        return f"there are no {what}"
    more = f" and {len(known) - 12} more" if len(known) > 12 else ""
    return f"the {what} are {', '.join(known[:12])}{more}"
