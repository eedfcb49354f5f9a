"""The recipes of the cookbook: as plugins that are installed, and as the page shows them."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML

from spork_core.plugin import Plugin
from tests.docs.blocks import Block, blocks
from tests.laws.tree import ROOT

FOLDER: Final = ROOT / "examples" / "cookbook"
PAGE: Final = ROOT / "docs" / "how-to" / "cookbook.md"
RECIPES: Final = tuple(sorted(path.stem.replace("_", "-") for path in FOLDER.glob("*.py")))
"""Their names as plugins: ``stale-if-error`` of ``stale_if_error.py``."""
_METADATA: Final = """\
Metadata-Version: 2.4
Name: spork-cookbook
Version: 1.0
Requires-Dist: spork-core
"""


def module_of(recipe: str) -> str:
    """``stale_if_error``."""
    return recipe.replace("-", "_")


def plugin_class(recipe: str) -> type[Plugin[Any]]:
    """The plugin that a recipe's module defines. The folder must be on the path."""
    module = importlib.import_module(module_of(recipe))
    (found,) = (each for each in vars(module).values() if isinstance(each, type) and Plugin in each.__bases__)
    return found


@contextmanager
def installed(site: Path) -> Iterator[None]:
    """While the block runs, each recipe is a plugin of the distribution spork-cookbook. ``site``: an empty folder."""
    path = list(sys.path)
    sys.path[:0] = [str(FOLDER), str(site)]
    info = site / "spork_cookbook-1.0.dist-info"
    info.mkdir(parents=True)
    points = [f"{each} = {module_of(each)}:{plugin_class(each).__name__}" for each in RECIPES]
    (info / "METADATA").write_text(_METADATA, encoding="utf-8")
    (info / "entry_points.txt").write_text("\n".join(["[spork.plugins]", *points]), encoding="utf-8")
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        for recipe in RECIPES:
            sys.modules.pop(module_of(recipe), None)


def shown(recipe: str, language: str) -> list[Block]:
    """The blocks of a language that the page has about a recipe."""
    text = PAGE.read_text(encoding="utf-8")
    first = text.index(f"examples/cookbook/{module_of(recipe)}.py")
    heading = text.find("\n## ", first)
    lines = text.count("\n", 0, first), text.count("\n", 0, None if heading < 0 else heading)
    return [each for each in blocks(PAGE) if each.language == language and lines[0] < each.line <= lines[1]]


def settings(recipe: str) -> dict[str, Any]:
    """The settings of the instance in the config that the page has about a recipe."""
    (block,) = shown(recipe, "yaml")
    found: dict[str, Any] = YAML(typ="safe").load(block.text)["plugins"][recipe]
    return found
