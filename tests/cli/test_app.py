"""The group: help that teaches and costs nothing, commands of plugins, errors that say what to do."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import click
import pytest

from spork_core.cli import app
from tests.cli.conftest import Spork

COMMANDS = "run check explain routes plugins schema config reload health init demo".split()


def offer(monkeypatch: pytest.MonkeyPatch, **commands: str) -> None:
    points = [EntryPoint(name, value, app.ENTRY_POINTS) for name, value in commands.items()]
    monkeypatch.setattr(app, "entry_points", lambda group: points)


@click.command()
def greet() -> None:
    """A command of a plugin."""
    click.echo("hello from a plugin")


def test_help_imports_neither_commands_nor_plugins() -> None:
    code = (
        "import atexit, sys; from spork_core.cli import main; sys.argv[1:] = ['--help']; "
        "atexit.register(lambda: print(sorted(sys.modules), file=sys.stderr)); main()"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "Usage: spork" in done.stdout
    for heavy in ("aiohttp", "rich", "ruamel", "cattrs", "pluggy", "asyncio", "spork_core.cli.commands"):
        assert f"'{heavy}" not in done.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_teaches_by_example(run: Spork, command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert f"  spork {command}" in result.output


def test_help_lists_every_command(run: Spork) -> None:
    listed = [line.split()[0] for line in run("--help").output.splitlines() if line.startswith("  ") and line.split()]

    assert set(COMMANDS) <= set(listed)


def test_a_misspelt_command_is_guessed(run: Spork) -> None:
    result = run("chekc")

    assert result.exit_code == 2
    assert 'There is no command "chekc". Did you mean "spork check"?' in result.output


def test_a_command_of_a_plugin_is_listed_and_run(run: Spork, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, greet=f"{__name__}:greet")
    monkeypatch.setitem(sys.modules, __name__, sys.modules[greet.callback.__module__])

    assert "greet" in run("--help").output
    assert run("greet").output == "hello from a plugin\n"


def test_a_broken_command_breaks_nothing_else(run: Spork, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, broken="no_such_module:command", plain="os:getcwd")

    assert run("--help").exit_code == 0
    assert 'the command "broken" of no_such_module:command cannot be imported' in run("broken").output
    assert run("plain").exit_code == 1
    assert "is not a click command" in run("plain").output


def test_a_plugin_cannot_replace_a_command_of_the_kernel(run: Spork, monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, schema="no_such_module:command")

    assert run("schema").exit_code == 0


def test_without_a_config_the_places_are_named(run: Spork) -> None:
    result = run("check")

    assert result.exit_code == 78
    assert "none is at spork.yaml" in result.output
    assert 'Next: name one, or write one with "spork init"' in result.output
