"""A plugin outside the tree, from the command that writes it to a gateway that it is switched on and off in.

Everything happens in an environment that begins empty, with wheels, as on the machine of somebody else.
"""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.cli.test_processes import Process, get
from tests.laws.environments import build, checkout, environment, install, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CONFIG: Final = """\
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
plugins:
  greeter: {answers_at: /hello, greeting: good morning}
chain: [greeter]
routes:
  all: {match: {}}
"""
"""Nothing is behind the gateway: what is answered, the plugin answers."""

ON: Final = (200, "good morning", "greeter")
OFF: Final = (404, None, None)


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with wheels of the kernel, of the kit's requirements, and of what builds plugins."""
    folder = tmp_path_factory.mktemp("wheels")
    build(folder, f"{checkout(tmp_path_factory.mktemp('checkout'))}[testing]", "setuptools>=77")
    return folder


@pytest.fixture(scope="module")
def python(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The Python of an environment that has the kernel, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    python = environment(folder)
    install(python, wheels, "spork-core")
    yield python
    shutil.rmtree(folder)


def written(python: Path, folder: Path, name: str, *hooks: str) -> Path:
    """Where the installed command has put a plugin."""
    asked = [part for hook in hooks for part in ("--hook", hook)]
    run(python.with_name("spork"), "new-plugin", name, *asked, "--into", folder)
    return folder / f"spork-{name}"


@pytest.fixture(scope="module")
def greeter(python: Path, wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a plugin that is installed from its wheel, with what its tests need."""
    project = written(python, tmp_path_factory.mktemp("greeter"), "greeter", "serve", "on_response")
    build(wheels, project)
    install(python, wheels, "spork-greeter[test]")
    return project


def test_its_own_tests_hold_for_the_wheel(python: Path, greeter: Path, tmp_path: Path) -> None:
    shutil.copy(greeter / "pyproject.toml", tmp_path)
    shutil.copytree(greeter / "tests", tmp_path / "tests")  # away from the package: only the installed one is there

    assert " passed" in run(python.with_name("pytest"), folder=tmp_path)


def test_another_is_green_where_it_was_written(python: Path, wheels: Path, tmp_path: Path) -> None:
    project = written(python, tmp_path, "guard", "authenticate", "startup", "on_complete", "shutdown")

    install(python, wheels, "--editable", f"{project}[test]")

    assert " passed" in run(python.with_name("pytest"), folder=project)


@pytest.fixture
def running(python: Path, greeter: Path, tmp_path: Path) -> Iterator[tuple[Process, Path]]:
    """A gateway with the plugin on, and its config file."""
    file = tmp_path / "spork.yaml"
    file.write_text(CONFIG)
    process = Process("run", file, program=(python.with_name("spork"),))
    yield process, file
    process.close()


def test_it_is_switched_on_and_off_in_a_running_gateway(python: Path, running: tuple[Process, Path]) -> None:
    gateway, file = running
    address = gateway.until(r"listening on http://(\S+)")
    admin = gateway.until(r"admin on http://(\S+)")
    gateway.until("stop: Ctrl-C")

    def answer(config: str) -> tuple[int, str | None, str | None]:
        """Status, greeting and who has answered, once the gateway has taken ``config``."""
        if config != file.read_text():
            file.write_text(config)
            assert "reloaded: " in run(python.with_name("spork"), "reload", file, "--admin", admin)
        status, headers, body = get(address, "/hello")
        return status, headers.get("X-Greeter"), json.loads(body).get("plugin")

    assert answer(CONFIG) == ON
    assert answer(CONFIG.replace("answers_at: /hello", "enabled: false")) == OFF
    assert answer(CONFIG) == ON
    assert answer(CONFIG.replace("good morning", "good night")) == (200, "good night", "greeter")
    assert gateway.stop(signal.SIGTERM) == 0
