"""Every gateway config that the repository shows is one that `spork check` accepts.

A file under examples/ or docker/, or a block ```yaml in a page, counts as a config when it has routes. Blocks that a
reader of the page writes to a file are checked there, with what the page has installed: tests/docs/test_pages.py.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.laws.tree import ROOT, name_of, own_files

BLOCK: Final = re.compile(r"(?<! -->\n)^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
ROUTES: Final = re.compile(r"^routes:", re.MULTILINE)
REFERENCE: Final = re.compile(r"\$\{env:(\w+)\}")


def configs() -> Iterator[object]:
    """The text of each config, with where it stands as its id."""
    for path in own_files(".md", ".yaml", ".yml"):
        if path.is_relative_to(ROOT / "tests"):  # of plugins that only tests install
            continue
        text = path.read_text(encoding="utf-8")
        blocks = BLOCK.finditer(text) if path.suffix == ".md" else re.finditer(r"(.*)", text, re.DOTALL)
        for block in blocks:
            if ROUTES.search(block[1]):
                line = text.count("\n", 0, block.start()) + 1
                yield pytest.param(path, block[1], id=f"{name_of(path)}:{line}")


@pytest.mark.parametrize(("path", "text"), list(configs()))
def test_a_config_that_is_shown_is_sound(path: Path, text: str, tmp_path: Path) -> None:
    # In its own folder, a file finds what it refers to by a relative path; a block is a file of its own.
    file = tmp_path / "spork.yaml" if path.suffix == ".md" else path
    if file != path:
        file.write_text(text, encoding="utf-8")
    values = dict.fromkeys(REFERENCE.findall(text), "a-value-of-32-characters-or-more!")

    run = subprocess.run(
        [sys.executable, "-m", "spork_core", "check", str(file)],
        env={**os.environ, **values},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
