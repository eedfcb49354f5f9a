"""Runs the contract of a plugin on the terminal: each law as its sentence, a broken one with why, what and remedy."""

import textwrap
from collections.abc import Mapping
from typing import Any, Final

import click

from spork_core.cli.console import heading, many, print_json
from spork_core.testing.contract import laws_of
from spork_core.testing.law import Broken, Law
from spork_core.testing.laws.beginning import tried
from spork_core.testing.subject import Subject

_WIDTH: Final = 100


def keep(plugin: str, settings: Mapping[str, Any], *, as_json: bool) -> bool:
    """Checks every law that applies to ``plugin`` with ``settings``, and prints how it went. True when all hold."""
    subject = Subject(plugin, settings)
    verdicts: list[tuple[Law, Broken | None]] = []
    if not as_json:
        version = (
            "" if subject.distribution is None else f" ({subject.distribution.name} {subject.distribution.version})"
        )
        heading(f"The contract of {plugin}{version}")
    for law in laws_of(subject):
        verdicts.append((law, broken := _checked(law, subject)))
        if not as_json:
            _show(law, broken)
    failed = [law for law, broken in verdicts if broken is not None]
    if as_json:
        print_json({"plugin": plugin, "ok": not failed, "laws": [_plain(law, broken) for law, broken in verdicts]})
    elif failed:
        click.echo(click.style(f"{many(len(failed), 'law')} of {len(verdicts)} broken", fg="red", bold=True))
    else:
        click.echo(click.style(f"All {many(len(verdicts), 'law')} hold", fg="green", bold=True))
    return not failed


def _checked(law: Law, subject: Subject) -> Broken | None:
    try:
        if not tried(law, subject):
            return Broken("it was not tried", "let the plugin start first")
    except Broken as broken:
        return broken
    except Exception as error:  # of the plugin's, in a law that did not expect one there
        return Broken(f"{type(error).__name__}: {error}", "run the contract with pytest, which shows where")
    return None


def _show(law: Law, broken: Broken | None) -> None:
    mark = click.style("✓", fg="green") if broken is None else click.style("✗", fg="red", bold=True)
    click.echo(f"{mark} {_wrapped(law.sentence)}")
    if broken is not None:
        click.echo(click.style(f"  Found:  {_indented(broken.found)}", fg="red"))
        click.echo(click.style(f"  Remedy: {_indented(broken.remedy)}", fg="green"))
        click.echo(f"  {_wrapped(law.why)}")


def _wrapped(text: str) -> str:
    return textwrap.fill(text, _WIDTH, subsequent_indent="  ")


def _indented(text: str) -> str:
    return text.replace("\n", "\n          ")


def _plain(law: Law, broken: Broken | None) -> dict[str, Any]:
    return {
        "law": law.name,
        "sentence": law.sentence,
        "holds": broken is None,
        "found": "" if broken is None else broken.found,
        "remedy": "" if broken is None else broken.remedy,
    }
