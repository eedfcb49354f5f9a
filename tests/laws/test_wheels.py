"""Every distribution builds, holds only its own package, and works when it is installed alone."""

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.laws.tree import PLUGINS, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PIP: Final = (sys.executable, "-m", "pip", "--quiet")

FOUND: Final = """
import json
from importlib.metadata import entry_points
print(json.dumps({point.name: point.load().__name__ for point in entry_points(group="spork.plugins")}))
"""

plugins = pytest.mark.parametrize("plugin", PLUGINS, ids=lambda path: path.name)


def package_of(plugin: Path) -> str:
    return f"spork_{plugin.name.replace('-', '_')}"


def run(*command: object) -> str:
    # Nothing of the checkout or of the user's own packages may help the environment under test.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**clean, "PYTHONNOUSERSITE": "1"},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a wheel of every distribution here and of all that they require."""
    clean = tmp_path_factory.mktemp("checkout") / "spork"  # without what earlier builds left behind
    leftovers = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__", "_build")
    shutil.copytree(ROOT, clean, ignore=leftovers)
    folder = tmp_path_factory.mktemp("wheels")
    run(*PIP, "wheel", "--wheel-dir", folder, clean, *(clean / "plugins" / plugin.name for plugin in PLUGINS))
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Iterator[Path]:
    """The Python of an environment with nothing in it, not even pip."""
    venv.create(tmp_path / "venv", with_pip=False)
    yield tmp_path / "venv" / "bin" / "python"
    shutil.rmtree(tmp_path / "venv")


def install(python: Path, wheels: Path, *names: str) -> None:
    run(*PIP, "--python", python, "install", "--no-index", "--find-links", wheels, "--no-compile", *names)
    run(*PIP, "--python", python, "check")


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
