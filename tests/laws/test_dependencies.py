"""A distribution declares what it imports, and only takes from the registry what somebody imports."""

import configparser
import sys
from importlib.metadata import files, packages_distributions
from pathlib import Path
from typing import Final

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.laws.test_floors import imports, package_of
from tests.laws.tree import PLUGINS, ROOT

DISTRIBUTIONS: Final = packages_distributions()

projects = pytest.mark.parametrize(
    ("project", "package"),
    [pytest.param(ROOT, "spork_core", id="spork-core")]
    + [pytest.param(plugin, package_of(plugin), id=plugin.name) for plugin in PLUGINS],
)

FOR_PEOPLE: Final = {"dev", "docs", "test"}
"""Extras that the package's own code does not import."""


def names(lines: str) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines.strip().splitlines()}


def declared(project: Path) -> tuple[set[str], set[str]]:
    """The distributions a project always requires, and those it can use."""
    metadata = configparser.ConfigParser()
    metadata.read(project / "setup.cfg", encoding="utf-8")
    extras = metadata["options.extras_require"] if metadata.has_section("options.extras_require") else {}
    optional = [names(lines) for extra, lines in extras.items() if extra not in FOR_PEOPLE]
    return names(metadata["options"]["install_requires"]), set().union(*optional)


def imported(project: Path, package: str) -> set[str]:
    """The distributions whose modules the package imports, itself and the standard library left out."""
    modules = {module for path in (project / package).rglob("*.py") for module in imports(path)}
    foreign = {module for module in modules if top(module) not in {package, *sys.stdlib_module_names}}
    assert {top(module) for module in foreign if top(module) not in DISTRIBUTIONS} <= {"orjson", "uvloop"}, (
        "not installed"
    )
    return {canonicalize_name(name) for module in foreign for name in owners(module)}


def top(module: str) -> str:
    return module.partition(".")[0]


def owners(module: str) -> set[str]:
    """The distributions that a module is of; where several share a namespace package, those that have the module."""
    found = set(DISTRIBUTIONS.get(top(module), ()))
    if len(found) < 2:
        return found
    inside = module.replace(".", "/")
    return {
        name
        for name in found
        if any(str(file).startswith((f"{inside}/", f"{inside}.py")) for file in files(name) or ())
    }


@projects
def test_what_is_imported_is_declared(project: Path, package: str) -> None:
    always, optional = declared(project)

    assert imported(project, package) - always - optional == set()


@projects
def test_what_is_required_is_imported(project: Path, package: str) -> None:
    always, _ = declared(project)

    assert always - imported(project, package) == set()
