"""Prints what a run of all faults has found."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from spork_core.cli.console import heading, many

if TYPE_CHECKING:
    from spork_core.testing.faults.report import OfDependency, Report, Result

_COLUMNS: Final = ("fault", "status", "waited", "answer", "reached", "afterwards")


def show(path: Path, report: "Report") -> None:
    """The tables, route by route and dependency by dependency, then what to change."""
    for each in report.routes:
        sample = each.sample
        to = "" if each.forwards else "   no service: only what its plugins depend on can fail"
        heading(f"{sample.route}: {sample}   Host: {sample.host}{to}")
        _table(_COLUMNS, [_row(result) for result in each.results])
        click.echo()
    for dependency in report.dependencies:
        _show_dependency(dependency)
    for route, why in report.skipped.items():
        click.echo(f"{click.style(route, bold=True)}: not asked: {why}; name a request with --request")
    serious = [finding for finding in report.findings if finding.serious]
    if report.findings:
        heading("What to change")
    for finding in sorted(report.findings, key=lambda finding: not finding.serious):
        mark = click.style("✗", fg="red", bold=True) if finding.serious else click.style("•", fg="yellow")
        where = ", ".join(filter(None, (finding.route, finding.fault)))
        remedy = click.style(finding.remedy, fg="green")
        click.echo(f"{mark} {click.style(where, bold=True)}: {finding.sentence}; {remedy}")
    verdict = click.style(many(len(serious), "fault"), fg="red", bold=True) + " that clients must not meet"
    if not serious:
        verdict = click.style("fine", fg="green", bold=True) + ": every answer was well-formed, and the gateway lives"
    click.echo(f"{click.style(str(path), bold=True)}: {verdict}")


def _show_dependency(each: "OfDependency") -> None:
    where = f"{each.dependency.shown}   {each.dependency.where}"
    if each.why_not:
        click.echo(f"{click.style(where, bold=True)}: not tried: {each.why_not}")
    else:
        heading(where)
        _table(("route", *_COLUMNS), [[_plain(result.sample.route), *_row(result)] for result in each.results])
    click.echo()


Cell = tuple[str, str | None]
"""A text, and its colour."""


def _plain(text: str) -> Cell:
    return text, None


def _row(result: "Result") -> list[Cell]:
    seen = result.seen
    status = "none" if seen.status is None else f"{seen.status} {seen.code}".rstrip()
    answer = "malformed" if seen.malformed else "hangs" if seen.hung else "whole" if seen.whole else "cut"
    colour = "green" if seen.status is not None and seen.status < 400 else "yellow"
    reached = str(seen.reached) if seen.asked == 1 else f"{seen.reached} of {seen.asked}"
    return [
        _plain(result.fault.name),
        (status, colour if seen.fine else "red"),
        _plain(_time(seen.waited)),
        (answer, None if seen.fine else "red"),
        _plain(reached),
        _afterwards(result.recovered),
    ]


def _afterwards(recovered: float | None) -> Cell:
    if recovered is None:
        return "not as before", "red"
    return ("as before", None) if recovered == 0 else (f"as before in {recovered:g} s", "yellow")


def _time(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.0f} s"


def _table(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """As ``console.table``, with a colour for each cell."""
    grid = [[(column, "bright_black") for column in columns], *rows]
    widths = [*(max(len(row[at][0]) for row in grid) for at in range(len(columns) - 1)), 0]
    for row in grid:
        padded = ((text.ljust(width), colour) for (text, colour), width in zip(row, widths, strict=True))
        click.echo("  " + "  ".join(click.style(text, fg=colour) if colour else text for text, colour in padded))
