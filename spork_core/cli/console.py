"""What commands print: tables, problems with their remedies, and failures that say what to do next."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import IO, Any, Final

import click

from spork_core.errors import ConfigError, ConfigProblem

EXIT_CONFIG: Final = 78
"""The exit code of a config that cannot be used (EX_CONFIG of sysexits.h)."""

_WIDE: Final = 10_000
"""Columns where no terminal wraps: a line of a table stays a line for grep."""


class Failure(click.ClickException):
    """What went wrong, in a sentence, and what to do about it. Ends with exit code 1."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy

    def show(self, file: IO[Any] | None = None) -> None:
        click.echo(click.style("Error: ", fg="red", bold=True) + self.message, file=file, err=True)
        if self.remedy:
            click.echo(f"Next: {self.remedy}", file=file, err=True)


class Misconfigured(Failure):
    """A config that is not there, or of which nothing can be made."""

    exit_code = EXIT_CONFIG


def problems(error: ConfigError) -> None:
    """Every fault of a config, on standard error."""
    for problem in error.problems:
        click.echo(problem_line(problem), err=True)
    click.echo(click.style(many(len(error.problems), "problem"), fg="red", bold=True), err=True)


def problem_line(problem: ConfigProblem) -> str:
    """``spork.yaml:14:5 $.plugins.limit.limt: unknown key; did you mean "limit"?``, in colours."""
    where = f"{problem.file}:{problem.line}:{problem.column} " if problem.line else f"{problem.file}: "
    return (
        click.style(where if problem.file else "", bold=True)
        + click.style(f"{problem.path}: ", fg="cyan")
        + problem.message
        + (click.style(f"; {problem.remedy}", fg="green") if problem.remedy else "")
    )


def problem_json(problem: ConfigProblem) -> dict[str, object]:
    """A fault as members of an object."""
    return {name: getattr(problem, name) for name in ("file", "line", "column", "path", "message", "remedy")}


def print_json(data: object) -> None:
    """``data`` as indented JSON on standard output."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def many(count: int, thing: str) -> str:
    """``1 route``, ``2 routes``."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def heading(text: str) -> None:
    """The title of a section."""
    click.echo(click.style(text, bold=True))


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table; on a terminal it is folded to the width of that, elsewhere a row is one line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _WIDE, highlight=False, no_color=_colourless())
    grid = Table(
        box=None, pad_edge=False, header_style="bold" if terminal else "", expand=False, show_header=any(columns)
    )
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(cell) for cell in row))
    with console.capture() as capture:
        console.print(grid)
    for line in capture.get().splitlines():
        click.echo(line.rstrip())


def _colourless() -> bool | None:
    context = click.get_current_context(silent=True)
    return True if context is not None and context.color is False else None
