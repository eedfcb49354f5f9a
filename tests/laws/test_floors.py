"""Who may import whom: the kernel's floors (import-linter), and what plugins may reach."""

import ast
import configparser
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.laws.tree import PLUGINS, ROOT, name_of, own_files

plugins = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)


def package_of(plugin: Path) -> str:
    return f"spork_{plugin.name.replace('-', '_')}"


def imports(path: Path) -> Iterator[str]:
    """Every module that the file imports, in full, wherever the statement stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            # `from spork_core import api` names a module as much as `import spork_core.api`.
            one = node.module == "spork_core"
            yield from (f"{node.module}.{alias.name}" for alias in node.names) if one else (node.module,)


def reaches_past(path: Path, *allowed: str) -> list[str]:
    """Imports of the Spork family that are not one of ``allowed`` or below one."""
    return [
        f"{name_of(path)} imports {module}"
        for module in imports(path)
        if module.startswith("spork") and not any(f"{module}.".startswith(f"{door}.") for door in allowed)
    ]


def test_the_kernel_keeps_its_floors() -> None:
    run = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-logo"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


@plugins
def test_a_plugin_imports_only_the_authors_door(plugin: Path) -> None:
    sources = (plugin / package_of(plugin)).rglob("*.py")

    assert [fault for path in sources for fault in reaches_past(path, package_of(plugin), "spork_core.api")] == []


@plugins
def test_a_plugins_tests_import_only_itself_and_the_kit(plugin: Path) -> None:
    doors = (package_of(plugin), "spork_core.api", "spork_core.testing")

    assert [fault for path in plugin.glob("tests/**/*.py") for fault in reaches_past(path, *doors)] == []


def test_the_kernel_imports_no_plugin() -> None:
    sources = (path for path in own_files(".py") if name_of(path).startswith("spork_core/"))

    assert [fault for path in sources for fault in reaches_past(path, "spork_core")] == []


def test_the_kernel_names_no_plugin() -> None:
    names = [name for plugin in PLUGINS for name in (package_of(plugin), f"spork-{plugin.name}")]
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, names))})\b")

    told = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in own_files(".py")
        if name_of(path).startswith("spork_core/")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line)
    ]

    assert told == []


@plugins
def test_names_agree(plugin: Path) -> None:
    metadata = configparser.ConfigParser()
    metadata.read(plugin / "setup.cfg", encoding="utf-8")

    offered = metadata["options.entry_points"]["spork.plugins"].split()

    assert metadata["metadata"]["name"] == f"spork-{plugin.name}"
    assert offered[0] == plugin.name
    assert offered[2].startswith(f"{package_of(plugin)}:")
    assert (plugin / package_of(plugin) / "py.typed").exists()
    assert (plugin / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
