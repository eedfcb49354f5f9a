"""``spork check``: all faults of a config file at once, or a summary of what it makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spork_core.cli import files
from spork_core.cli.console import EXIT_CONFIG, many, print_json, problem_json
from spork_core.errors import ConfigError
from spork_core.hookspecs import KINDS

if TYPE_CHECKING:
    from spork_core.gateway import Gateway


@click.command()
@files.file_argument
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object: file, ok, problems, warnings, counts.")
@click.pass_context
def check(ctx: click.Context, file: Path | None, as_json: bool) -> None:
    """Say whether a config file is sound.

    Reads the file, the settings of its plugins, the files it refers to, routes and chains, as a start would, and
    touches no network. Every fault is reported with file, line, column, path and remedy.

    \b
    Examples:
      spork check
      spork check spork.yaml --json | jq '.problems[]'

    Exit code: 0 when it is sound (warnings do not count), 78 when it is not.
    """
    path = files.find(file)
    try:
        gateway = files.build(path)
    except ConfigError as error:
        if not as_json:
            raise
        faults = [problem_json(problem) for problem in error.problems]
        print_json({"file": str(path), "ok": False, "problems": faults, "warnings": []})
        ctx.exit(EXIT_CONFIG)
    found = list(warnings(gateway))
    counted = counts(gateway)
    if as_json:
        print_json({"file": str(path), "ok": True, "problems": [], "warnings": found, "counts": counted})
        return
    for warning in found:
        click.echo(f"{path}: {click.style('warning', fg='yellow', bold=True)}: {warning}", err=True)
    words = ", ".join(many(count, name.removesuffix("s")) for name, count in counted.items())
    click.echo(f"{click.style(str(path), bold=True)}: {click.style('fine', fg='green', bold=True)} ({words})")


def counts(gateway: "Gateway") -> dict[str, int]:
    """How many there are of what a config makes."""
    config = gateway.config
    return {"routes": len(config.routes), "services": len(config.services), "instances": len(config.plugins)}


def warnings(gateway: "Gateway") -> Iterator[str]:
    """What is allowed and yet hardly meant."""
    snapshot, config = gateway.snapshot, gateway.config
    yield from snapshot.router.warnings
    used = {name for plan in snapshot.plans.values() for name in (i.name for i in plan.pipeline.chain)}
    used.update(config.chain)
    for name, instance in snapshot.instances.items():
        # One without exchange hooks works by being there: it connects to something the others share.
        if name not in used and KINDS.keys() & instance.impls.keys():
            yield f'plugin instance "{name}" is in no chain, so it does nothing'
    if not config.routes:
        yield "there is no route: every request is answered 404"
    served = {route.service for route in config.routes.values()}
    for name in config.services:
        if name not in served:
            yield f'no route forwards to service "{name}"'
