"""``spork reload``: makes a running gateway take its config file again, and reports how that went."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

from spork_core.cli import admin as admin_listener
from spork_core.cli import files
from spork_core.cli.admin import Admin
from spork_core.cli.console import Failure, many, problems
from spork_core.errors import ConfigError

_EVERY: Final = 0.05
_LOOKS: Final = 16

Status = dict[str, Any]


@click.command()
@files.file_argument
@click.option("--admin", metavar="URL", help="The admin listener; default: that of the config file.")
@click.option("--pidfile", type=click.Path(path_type=Path), help="Send SIGHUP to the process in this file instead.")
@click.option("--timeout", default=30.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait.")
def reload(file: Path | None, admin: str | None, pidfile: Path | None, timeout: float) -> None:
    """Make a running gateway take its config file again.

    The gateway builds the new config beside the old one and changes over when it is sound; requests that run end as
    they began. A config that fails leaves the old one serving. FILE is only read to find the admin listener: the
    gateway takes the file that it was started with.

    \b
    Examples:
      spork reload
      spork reload --admin http://127.0.0.1:8081
      spork reload --pidfile /run/spork.pid

    Exit code: 0 when the new config serves, 1 when the old one still does.
    """
    try:
        listener = admin_listener.find(admin, file)
        before = _statuses(listener)
    except Failure as failure:
        if pidfile is None:
            raise
        _signal(pidfile)
        click.echo(f"asked the process of {pidfile} to reload; its log says how it went ({failure.message})")
        return
    if pidfile is None:
        _post(listener)
    else:
        _signal(pidfile)
    _report(listener, before, timeout, lambda: _explain(file))


def _signal(pidfile: Path) -> None:
    from spork_core.workers import signal_reload

    try:
        signal_reload(pidfile)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        remedy = 'is it running? "spork run --pidfile" writes the file'
        raise Failure(f"the process of {pidfile} cannot be asked: {reason}", remedy) from error


def _post(listener: Admin) -> None:
    reply = listener.ask("POST", "/reload")
    if reply.status != 202:
        raise Failure(f"{listener} refuses to reload: {reply.text.strip()}", "restart the gateway instead")


def _statuses(listener: Admin) -> dict[object, Status]:
    """What the gateway says, by process id: any one of several workers may answer, and counts its own reloads."""
    first = listener.status()
    found = {first.get("pid"): first}
    if first.get("worker") is not None:
        for _ in range(_LOOKS):
            another = listener.status()
            found[another.get("pid")] = another
    return found


def _report(listener: Admin, before: dict[object, Status], timeout: float, explain: Callable[[], None]) -> None:
    """Waits until the gateway says how it went, and says so."""
    due = time.monotonic() + timeout
    while True:
        now = listener.status()
        earlier = before.setdefault(now.get("pid"), now)
        if now.get("reloads") != earlier.get("reloads"):
            word = click.style("reloaded", fg="green", bold=True)
            click.echo(f"{word}: {many(now['routes'], 'route')}, {many(len(now['instances']), 'instance')}")
            return
        if now.get("reload_failures") != earlier.get("reload_failures"):
            explain()
            raise Failure(
                "the gateway could not use the new config and goes on with the old one",
                "its log says why; mend the file",
            )
        if time.monotonic() >= due:
            remedy = 'its log says why; "spork check" looks at the file'
            raise Failure(f"no new config serves after {timeout:g} s", remedy)
        time.sleep(_EVERY)


def _explain(file: Path | None) -> None:
    """What is wrong with the config file as it looks from here; nothing when there is none, or nothing is."""
    try:
        files.build(files.find(file))
    except ConfigError as error:
        problems(error)
    except Failure:
        return
