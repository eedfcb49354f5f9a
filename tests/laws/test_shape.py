"""One idea a file: no Python file is longer than 400 lines unless it says why here."""

import ast
from typing import Final

from tests.laws.tree import ROOT, name_of, own_files

MOST_LINES: Final = 400

LONGER_FOR_A_REASON: Final[dict[str, str]] = {}
"""Path from the root → why splitting the file would make it worse."""


def lines(path: str) -> int:
    return len((ROOT / path).read_text(encoding="utf-8").splitlines())


def test_no_python_file_is_too_long() -> None:
    names = [name_of(path) for path in own_files(".py")]

    too_long = {name: lines(name) for name in names if lines(name) > MOST_LINES}

    assert {name: size for name, size in too_long.items() if name not in LONGER_FOR_A_REASON} == {}


def test_every_exception_is_still_needed() -> None:
    assert [name for name in LONGER_FOR_A_REASON if lines(name) <= MOST_LINES] == []


def test_every_module_says_what_it_is_for() -> None:
    trees = {name_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in own_files(".py")}

    assert [name for name, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []
