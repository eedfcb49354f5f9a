"""The import lines of a written file: found from the names it uses, in the order that ruff keeps them."""

import ast
import sys
from collections.abc import Mapping
from typing import Final

from spork_core import api

DOOR: Final = {
    **dict.fromkeys(api.__all__, "spork_core.api"),
    "ClassVar": "typing",
    "Final": "typing",
    "Literal": "typing",
    "compare_digest": "hmac",
    "crc32": "zlib",
    "frozen": "attrs",
    "ge": "attrs.validators",
}
"""Where the names come from that the code of a plugin uses."""

KIT: Final = {
    "Any": "typing",
    **dict.fromkeys(("contract_suite", "gateway", "scripts", "upstream"), "spork_core.testing"),
}
"""Where those of its tests come from."""

_MODULES: Final = frozenset(("logging", "pytest", "re"))
_FOREIGN: Final = frozenset(("attrs", "pytest", "spork_core"))
_WIDTH: Final = 120


def imports(code: str, homes: Mapping[str, str]) -> str:
    """The lines that ``code`` needs. ``homes``: name → module."""
    used = names_in(code)
    wanted: dict[str, list[str]] = {module: [] for module in _MODULES & used}
    for name in used & homes.keys():
        wanted.setdefault(homes[name], []).append(name)
    parts: list[list[str]] = [[], [], []]
    for module in sorted(wanted, key=lambda module: (bool(wanted[module]), module)):
        top = module.partition(".")[0]
        part = parts[0 if top in sys.stdlib_module_names else 1 if top in _FOREIGN else 2]
        part.append(_line(module, sorted(wanted[module], key=_rank)))
    return "\n\n".join("\n".join(part) for part in parts if part)


def names_in(code: str) -> set[str]:
    """The names that ``code`` uses, those in texts and after dots left out."""
    return {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}


def _line(module: str, names: list[str]) -> str:
    if not names:
        return f"import {module}"
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join((f"from {module} import (", *(f"    {name}," for name in names), ")"))


def _rank(name: str) -> tuple[int, str]:
    """Constants, classes, functions."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
