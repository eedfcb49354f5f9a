"""``spork health``: the readiness of a running gateway as an exit code."""

from pathlib import Path

import click

from spork_core.cli import admin as admin_listener
from spork_core.cli import files


@click.command()
@files.file_argument
@click.option("--admin", metavar="URL", help="The admin listener; default: that of the config file.")
@click.option("--live", is_flag=True, help="Ask only whether it lives (/livez), not whether it is ready (/readyz).")
@click.option("--timeout", default=2.0, show_default=True, type=click.FloatRange(min=0.01), help="Seconds to wait.")
@click.pass_context
def health(ctx: click.Context, file: Path | None, admin: str | None, live: bool, timeout: float) -> None:
    """Ask a running gateway whether it is ready.

    \b
    Examples:
      spork health
      spork health --admin http://127.0.0.1:8081 --live
      HEALTHCHECK CMD ["python", "-m", "spork_core", "health"]

    Exit code: 0 when it is, 1 when it is not or does not answer.
    """
    listener = admin_listener.find(admin, file)
    reply = listener.ask("GET", "/livez" if live else "/readyz", timeout)
    click.echo(reply.text.rstrip("\n") or f"answered {reply.status}", err=reply.status != 200)
    if reply.status != 200:
        ctx.exit(1)
