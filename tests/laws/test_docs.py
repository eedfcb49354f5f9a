"""Docs and code say the same: hooks with their arguments, generated pages, READMEs, and the command that CI runs."""

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Final

import pluggy
import pytest

from spork_core import hookspecs
from spork_core.config import describe
from spork_core.plugin import ENTRY_POINTS, Plugin
from tests.laws.tree import PLUGINS, ROOT, name_of

REFERENCE: Final = ROOT / "docs" / "reference"
ROOMS: Final = ("tutorial", "how-to", "reference", "explanation")
HEADINGS: Final = ("What it does", "Config", "Example", "Limits")

plugins = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)


def specified_hooks() -> dict[str, tuple[str, ...]]:
    """Every hook with its argument names, as pluggy understands the hookspecs."""
    manager = pluggy.PluginManager("spork")
    manager.add_hookspecs(hookspecs.ExchangeHooks)
    manager.add_hookspecs(hookspecs.GatewayHooks)
    callers = {name: getattr(manager.hook, name) for name in vars(manager.hook) if not name.startswith("_")}
    return {name: caller.spec.argnames for name, caller in callers.items()}


HOOKS: Final = specified_hooks()


@pytest.mark.parametrize("hook", HOOKS)
def test_a_hook_has_a_heading_and_its_signature(hook: str) -> None:
    text = (REFERENCE / "hooks.md").read_text(encoding="utf-8")

    section = re.search(rf"^### {hook}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)

    assert section, f"docs/reference/hooks.md has no heading for {hook}"
    signature = re.search(rf"def {hook}\(self, (.*)\)", section[1])
    assert signature, f"docs/reference/hooks.md shows no signature of {hook}"
    assert tuple(re.findall(r"(\w+):", signature[1])) == tuple(arg for arg in HOOKS[hook] if arg != "self")


def test_the_generated_pages_are_fresh() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_lists_all_its_pages(room: str) -> None:
    index = (ROOT / "docs" / room / "index.md").read_text(encoding="utf-8")

    pages = {page.stem for page in (ROOT / "docs" / room).glob("*.md")} - {"index"}

    assert sorted(page for page in pages if not re.search(rf"^{re.escape(page)}$", index, re.MULTILINE)) == []


@plugins
def test_a_plugin_has_a_whole_readme(plugin: Path) -> None:
    text = (plugin / "README.md").read_text(encoding="utf-8")

    found = re.findall(r"^## (.+?)\s*$", text, re.MULTILINE)

    assert [heading for heading in HEADINGS if heading not in found] == [], name_of(plugin / "README.md")


@plugins
def test_a_plugin_explains_each_setting(plugin: Path) -> None:
    cls = offered_class(plugin)
    text = (plugin / "README.md").read_text(encoding="utf-8")

    keys = [field.name for field in describe(cls.Config)]

    assert [key for key in keys if f"`{key}`" not in text] == []


def offered_class(plugin: Path) -> type[Plugin[Any]]:
    """The class behind the plugin's entry point; the plugin must be installed."""
    points = entry_points(group=ENTRY_POINTS, name=plugin.name)
    assert points, f"spork-{plugin.name} is not installed: python tools/develop.py"
    cls: type[Plugin[Any]] = next(iter(points)).load()
    return cls


def test_ci_runs_what_the_readme_says() -> None:
    command = re.search(r"^command='(.+)'$", (ROOT / ".ci" / "run").read_text(encoding="utf-8"), re.MULTILINE)

    assert command
    assert command[1] in (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
