"""The group of all commands. ``spork --help`` imports no command and no plugin: a table has names and summaries."""

import os
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import click

from spork_core import __version__
from spork_core.cli.console import EXIT_CONFIG, Failure, problems
from spork_core.errors import ConfigError, SporkError

ENTRY_POINTS: Final = "spork.commands"
"""The entry-point group in which distributions register commands: ``name = package:command``."""

_SECTIONS: Final[dict[str, dict[str, str]]] = {
    "Start here": {
        "demo": "Start two backends and a gateway in front of them, to try things.",
        "init": "Write a commented spork.yaml to begin with.",
        "new-plugin": "Write a plugin to begin with, with its tests.",
    },
    "Run": {
        "run": "Run the gateway.",
        "reload": "Make a running gateway take its config file again.",
        "health": "Ask a running gateway whether it is ready, for probes.",
    },
    "Look": {
        "check": "Say whether a config file is sound.",
        "test": "Test a plugin, or what a client sees when services fail.",
        "explain": "Say what becomes of a request, and why.",
        "routes": "List the routes of a config file.",
        "plugins": "List the plugins: installed, configured, running.",
        "config": "Show the config in effect.",
        "schema": "Print the JSON Schema of the config file, for editors.",
    },
}
_MODULES: Final = {"schema": "config", "new-plugin": "new_plugin"}
_FROM_PLUGINS: Final = "From plugins"


def _offered() -> dict[str, EntryPoint]:
    """The commands of installed distributions by name; the kernel's own cannot be replaced."""
    own = {name for section in _SECTIONS.values() for name in section}
    points = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    return {point.name: point for point in points if point.name not in own}


class Commands(click.Group):
    """Finds a command when it is named, and turns expected errors into sentences and exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*(name for section in _SECTIONS.values() for name in section), *_offered()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if any(cmd_name in section for section in _SECTIONS.values()):
            module = import_module(f"spork_core.cli.commands.{_MODULES.get(cmd_name, cmd_name)}")
            command: click.Command = getattr(module, cmd_name.replace("-", "_"))
            return command
        point = _offered().get(cmd_name)
        return None if point is None else _load(point)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        known = self.list_commands(ctx)
        if args and not args[0].startswith("-") and args[0] not in known:
            near = get_close_matches(args[0], known, 1)
            hint = f'Did you mean "spork {near[0]}"?' if near else '"spork --help" lists the commands.'
            raise click.UsageError(f'There is no command "{args[0]}". {hint}', ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        offered = {name: f"From {_distribution(point)}." for name, point in _offered().items()}
        for title, rows in (*_SECTIONS.items(), (_FROM_PLUGINS, offered)):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(list(rows.items()))

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        if os.environ.get("NO_COLOR"):  # click itself looks only at whether there is a terminal
            extra.setdefault("color", False)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            problems(error)
            ctx.exit(EXIT_CONFIG)
        except SporkError as error:
            raise Failure(str(error)) from error


def _load(point: EntryPoint) -> click.Command:
    where = f'the command "{point.name}" of {_distribution(point)}'
    try:
        found = point.load()
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}"
        raise Failure(f"{where} cannot be imported ({reason})", "reinstall it, or uninstall it") from error
    if not isinstance(found, click.Command):
        raise Failure(f"{where} is not a click command ({point.value})", "tell its author")
    return found


def _distribution(point: EntryPoint) -> str:
    return point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='"spork COMMAND --help" tells more, with examples.',
)
@click.version_option(__version__, prog_name="spork")
def spork() -> None:
    """Spork, an API gateway whose plugins are Python.

    \b
    Try it:                  spork demo
    Begin a gateway:         spork init && spork check && spork run
    Ask about a request:     spork explain GET https://api.example.com/users/42

    Where a command takes FILE, it is the argument, else $SPORK_CONFIG, ./spork.yaml,
    $XDG_CONFIG_HOME/spork/spork.yaml or /etc/spork/spork.yaml, the first that there is.
    """
