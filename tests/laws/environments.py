"""Wheels of this checkout, empty environments to install them into, and programs that run as in anybody's shell."""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import Final

from tests.laws.tree import ROOT

PIP: Final = (sys.executable, "-m", "pip", "--quiet")


def clean() -> dict[str, str]:
    """An environment in which nothing of the checkout or of the user's own packages helps what runs."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SPORK_"))}
    return {**ours, "PYTHONNOUSERSITE": "1"}


def run(*command: object, folder: str | Path = "/") -> str:
    """What ``command`` prints when it runs in ``folder``; it must succeed."""
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=folder, env=clean()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def checkout(folder: Path) -> Path:
    """A copy of the checkout without what earlier builds left behind."""
    leftovers = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "_build")
    return Path(shutil.copytree(ROOT, folder / "spork", ignore=leftovers))


def build(wheels: Path, *sources: object) -> None:
    """Puts wheels of ``sources``, and of all that they require, into a folder."""
    run(*PIP, "wheel", "--wheel-dir", wheels, "--find-links", wheels, *sources)


def environment(folder: Path) -> Path:
    """The Python of a new environment with nothing in it, not even pip."""
    venv.create(folder, with_pip=False)
    return folder / "bin" / "python"


def install(python: Path, wheels: Path, *names: object) -> None:
    """Installs from a folder of wheels and from nowhere else; what is installed must then fit together."""
    run(*PIP, "--python", python, "install", "--no-index", "--find-links", wheels, "--no-compile", *names)
    run(*PIP, "--python", python, "check")
