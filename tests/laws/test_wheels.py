"""Every distribution builds, holds only its own package, and works when it is installed alone."""

import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.laws.environments import build, checkout, environment, install, run
from tests.laws.tree import PLUGINS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FOUND: Final = """
import json
from importlib.metadata import entry_points
print(json.dumps({point.name: point.load().__name__ for point in entry_points(group="spork.plugins")}))
"""

plugins = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)


def package_of(plugin: Path) -> str:
    return f"spork_{plugin.name.replace('-', '_')}"


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every distribution here and of all that they require."""
    clean = checkout(tmp_path_factory.mktemp("checkout"))
    folder = tmp_path_factory.mktemp("wheels")
    build(folder, clean, *(clean / "plugins" / plugin.name for plugin in PLUGINS))
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    """The Python of an environment with nothing in it, not even pip."""
    yield environment(tmp_path / "venv")
    shutil.rmtree(tmp_path / "venv")


def files(wheels: Path, package: str) -> list[str]:
    """What the wheel of a distribution holds."""
    (wheel,) = wheels.glob(f"{package}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.mark.parametrize("package", ["spork_core", *map(package_of, PLUGINS)])
def test_a_wheel_holds_its_package_and_nothing_else(wheels: Path, package: str) -> None:
    inside = files(wheels, package)

    tops = {name.partition("/")[0] for name in inside}

    assert {top for top in tops if not top.endswith(".dist-info")} == {package}
    assert f"{package}/py.typed" in inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in inside)


def test_the_kernel_alone_has_no_plugin(wheels: Path, python: Path) -> None:
    install(python, wheels, "spork-core")

    assert json.loads(run(python, "-c", FOUND)) == {}
    for command in ("spork", "spork-gw"):
        assert "Usage" in run(python.with_name(command), "--help")
    assert "Usage" in run(python, "-m", "spork_core", "--help")
    run(python.with_name("spork"), "plugins")


@plugins
def test_a_plugin_alone_is_found_by_the_kernel(wheels: Path, python: Path, plugin: Path) -> None:
    install(python, wheels, f"spork-{plugin.name}")

    assert list(json.loads(run(python, "-c", FOUND))) == [plugin.name]
    assert plugin.name in run(python.with_name("spork"), "plugins")
