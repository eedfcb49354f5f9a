"""The checkout as the laws see it: its root, its plugins, and the files in it that people wrote."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PLUGINS: Final = sorted(project.parent for project in ROOT.glob("plugins/*/pyproject.toml"))

_SKIPPED: Final = frozenset({"__pycache__", "_build", "build", "dist", "node_modules", "results"})


def own_files(*suffixes: str) -> Iterator[Path]:
    """The text files people wrote, with one of ``suffixes`` (with the dot); all of them when none is given."""
    for folder, folders, names in os.walk(ROOT):
        here = Path(folder)
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name == ".ci")
            and not (here / name / "pyvenv.cfg").exists()
        )
        for name in sorted(names):
            if not suffixes or Path(name).suffix in suffixes:
                yield here / name


def name_of(path: Path) -> str:
    """The path from the root, as a test id or in a message."""
    return path.relative_to(ROOT).as_posix()
