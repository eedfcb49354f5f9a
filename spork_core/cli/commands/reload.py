"""``spork reload``: makes a running gateway take its config file again, and reports how that went."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from spork_core.cli import admin as admin_listener
from spork_core.cli import files
from spork_core.cli.console import Failure

_EVERY = 0.05


@click.command()
@files.file_argument
@click.option("--admin", metavar="URL", help="The admin listener; default: that of the config file.")
@click.option("--pidfile", type=click.Path(path_type=Path), help="Send SIGHUP to the process in this file instead.")
@click.option("--timeout", default=30.0, show_default=True, type=click.FloatRange(min=0), help="Seconds to wait.")
def reload(file: Path | None, admin: str | None, pidfile: Path | None, timeout: float) -> None:
    """Make a running gateway take its config file again.

    The gateway builds the new config beside the old one and changes over when it is sound; requests that run end as they
    began. A config that fails leaves the old one serving.

    \b
    Examples:
      spork reload
      spork reload --admin http://127.0.0.1:8081
      spork reload --pidfile /run/spork.pid

    Exit code: 0 when the new config serves, 1 when the old one still does.
    """
    if pidfile is not None:
        pid = _pid(pidfile)
        try:
            listener = admin_listener.find(admin, file)
            before = listener.status()
        except Failure as failure:
            _signal(pid, pidfile)
            click.echo(f"asked process {pid} to reload; its log says how it went ({failure.message})")
            return
        ask: Callable[[], None] = lambda: _signal(pid, pidfile)  # noqa: E731  two ways to ask, one to wait
    else:
        listener = admin_listener.find(admin, file)
        before = listener.status()
        ask = lambda: _post(listener)  # noqa: E731
    ask()
    _report(listener, before, timeout)


def _pid(pidfile: Path) -> int:
    try:
        pid = int(pidfile.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError) as error:
        reason = getattr(error, "strerror", None) or "it holds no number"
        raise Failure(f"{pidfile} cannot be read: {reason}", 'start the gateway with "spork run --pidfile"') from error
    if pid <= 1:
        raise Failure(f"{pidfile} holds {pid}, which is no gateway's process", "delete it and start the gateway again")
    return pid


def _signal(pid: int, pidfile: Path) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise Failure(f"process {pid} of {pidfile} cannot be signalled: {error.strerror}", "is it running?") from error


def _post(listener: admin_listener.Admin) -> None:
    reply = listener.ask("POST", "/reload")
    if reply.status != 202:
        raise Failure(f"{listener} refuses to reload: {reply.text.strip()}", "restart the gateway instead")


def _report(listener: admin_listener.Admin, before: dict[str, Any], timeout: float) -> None:
    """Waits until the gateway says how it went, and says so."""
    due = time.monotonic() + timeout
    while True:
        now = listener.status()
        if now.get("reloads") != before.get("reloads"):
            click.echo(
                f"{click.style('reloaded', fg='green', bold=True)}: "
                f"{now.get('routes')} routes, {len(now.get('instances', ()))} instances"
            )
            return
        if _failures(now) != _failures(before):
            why = now.get("last_reload_error")
            raise Failure(
                "the gateway could not use the new config and goes on with the old one" + (f":\n{why}" if why else ""),
                '"spork check" says what is wrong with the file; the log of the gateway says the rest',
            )
        if time.monotonic() >= due:
            raise Failure(f"the gateway has not said within {timeout:g} s how it went", "look into its log")
        time.sleep(_EVERY)


def _failures(status: dict[str, Any]) -> object:
    return status.get("reload_failures", status.get("last_reload_failed"))
