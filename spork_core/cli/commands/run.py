"""``spork run``: serves by a config file until it is told to stop."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from spork_core.cli import files
from spork_core.cli.console import Failure, many, problem_line
from spork_core.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from spork_core.config import GatewayConfig
    from spork_core.registry import Registry

LEVELS: Final = ("debug", "info", "warning", "error", "critical")

_REMEDIES: Final = {
    errno.EADDRINUSE: "stop what listens there, or choose another address with --listen",
    errno.EACCES: "ports below 1024 are for root; choose a higher one with --listen",
    errno.EADDRNOTAVAIL: "this machine does not have that address; choose one of its own",
}


@click.command()
@files.file_argument
@click.option("--listen", multiple=True, metavar="ADDRESS", help="Listen here instead; repeatable.")
@click.option("--workers", metavar="N|auto", help="Processes that serve; auto: one for each usable CPU.")
@click.option("--log-level", type=click.Choice(LEVELS), default="info", show_default=True, help="What goes to stderr.")
@click.option("--pidfile", type=click.Path(path_type=Path), help="Write the process id here while it serves.")
@click.pass_context
def run(
    ctx: click.Context,
    file: Path | None,
    listen: tuple[str, ...],
    workers: str | None,
    log_level: str,
    pidfile: Path | None,
) -> None:
    """Run the gateway in the foreground.

    SIGTERM or Ctrl-C stops it with grace: not ready any more, no new connections, what runs ends within timeouts.drain;
    a second one cuts that short. SIGHUP or "spork reload" takes the config file again.

    \b
    Examples:
      spork run
      spork run spork.yaml --listen 0.0.0.0:8080 --workers auto
      spork run --log-level warning --pidfile /run/spork.pid

    Exit code: 0 stopped, 1 could not start or failed, 2 wrong usage, 78 the config cannot be used.
    """
    from spork_core.workers import set_up_logging

    set_up_logging(log_level.upper())
    path = files.find(file)
    given = {"SPORK_LISTEN": ",".join(listen), "SPORK_WORKERS": workers or ""}
    environ = {**os.environ, **{name: value for name, value in given.items() if value}}
    try:
        gateway = files.build(path, environ)
    except ConfigError as error:
        raise _as_typed(error, given) from error
    config, registry = gateway.config, gateway.registry
    del gateway  # it was built to see that it can be; the process that serves makes its own
    click.echo(f"{path}: {many(len(config.routes), 'route')}, {many(len(config.plugins), 'instance')}", err=True)
    first = [config]
    ctx.exit(serve(lambda: first.pop() if first else files.load(path, environ)[0], registry, _announce, pidfile))


def serve(
    source: "Callable[[], GatewayConfig]",
    registry: "Registry",
    announce: Callable[[str], None],
    pidfile: Path | None = None,
) -> int:
    """Serves until stopped, by a first config that is known to build. Raises Failure when that cannot be."""
    from spork_core import workers

    try:
        return workers.run(source, registry, announce=announce, pidfile=pidfile)
    except ConfigError as error:  # the config can be used: it is an instance that could not start
        lines = "\n".join(problem_line(problem) for problem in error.problems)
        raise Failure(f"the gateway could not start:\n{lines}", "see to what it needs, and start it again") from error
    except OSError as error:
        reason = f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)
        remedy = _REMEDIES.get(error.errno or 0, "see to it, and start the gateway again")
        raise Failure(f"the gateway could not start: {reason}", remedy) from error


def _announce(line: str) -> None:
    # Not standard output: that belongs to the access log.
    click.echo(line, err=True)
    if line.startswith("ready"):
        click.echo('stop: Ctrl-C or SIGTERM   reload: "spork reload" or SIGHUP', err=True)


def _as_typed(error: ConfigError, given: dict[str, str]) -> ConfigError:
    """The same problems, with what stood on the command line called so."""
    options = {"SPORK_LISTEN": "--listen", "SPORK_WORKERS": "--workers"}
    renamed = []
    for problem in error.problems:
        if given.get(problem.file):
            problem = ConfigProblem(
                problem.message, path=problem.path, remedy=problem.remedy, file=options[problem.file]
            )
        renamed.append(problem)
    return ConfigError(renamed)
