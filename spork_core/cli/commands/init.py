"""``spork init``: a commented config file to begin with."""

from importlib.metadata import entry_points
from pathlib import Path
from typing import Final

import click

from spork_core.cli import files
from spork_core.cli.console import Failure
from spork_core.errors import ConfigError
from spork_core.plugin import ENTRY_POINTS

_PLUGINS: Final = {
    "request-id": ("{}", "an id for every exchange, in X-Request-Id both ways"),
    "access-log": ("{}", "one JSON line for every exchange, on standard output"),
    "security-headers": ("{}", "on every answer, the gateway's own refusals included"),
}

_TEMPLATE: Final = """\
# A gateway's config. Every setting: docs/reference/config.md, or "spork schema" for an editor.
#   spork check              is it sound?
#   spork run                run it
#   spork explain GET /      what becomes of a request, and why

# Where clients connect. A list makes several listeners; one with TLS is
#   {{address: 0.0.0.0:8443, tls: {{certificate: server.pem, key: server.key}}}}
listen: 127.0.0.1:8080

# For operators and probes only: /livez, /readyz, /status, POST /reload.
admin: {{listen: 127.0.0.1:8081}}

# Networks of the proxies in front of this one, whose X-Forwarded-For is believed.
trusted_proxies: []

# Where requests can go. Several endpoints take turns.
services:
  backend:
    endpoints: [{upstream}]
    timeouts: {{connect: 5s, response: 15s, idle: 5m}}

# Plugin instances: a name, and the plugin's settings. Each must be installed with pip.
# Secrets come from outside: "${{env:NAME}}" or "${{file:/run/secrets/name}}".
{plugins}

# Which request goes where. Exact paths come before prefixes, prefixes before templates.
routes:
  everything:
    match: {{path: /*}}                   # also host, methods, headers, query
    service: backend
    # rewrite: {{strip_prefix: /api}}     # what the service sees
    # chain: []                         # instances of this route only, after the outer chain
    # without: []                       # instances of the outer chain that this route leaves out
"""


@click.command()
@click.argument("file", default=files.NAME, type=click.Path(path_type=Path), metavar="[FILE]")
@click.option(
    "--upstream", default="http://127.0.0.1:9001", show_default=True, metavar="URL", help="Where requests go."
)
def init(file: Path, upstream: str) -> None:
    """Write a commented config file to begin with; spork.yaml unless FILE is named.

    A file that is there is never overwritten. Plugins that are installed are on.

    \b
    Examples:
      spork init
      spork init gateway.yaml --upstream http://127.0.0.1:3000
    """
    from spork_core.config import loads
    from spork_core.registry import Registry

    installed = {point.name for point in entry_points(group=ENTRY_POINTS)}
    text = starter(upstream, installed)
    try:
        loads(text, plugins=Registry(), file=str(file))
    except ConfigError as error:
        problem = error.problems[0]  # all but the URL is known to be sound
        raise click.BadParameter(f"{problem.message}; {problem.remedy}", param_hint="--upstream") from None
    try:
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        raise Failure(
            f"{file} is there already", f"name another file, or look at it with: spork check {file}"
        ) from None
    except OSError as error:
        raise Failure(f"{file} cannot be written: {error.strerror}", "name a file in a folder of yours") from None
    click.echo(f"wrote {click.style(str(file), bold=True)}: everything on 127.0.0.1:8080 goes to {upstream}")
    where = "" if file == Path(files.NAME) else f" {file}"
    click.echo(f"Next: spork check{where} && spork run{where}")


def starter(upstream: str, installed: set[str]) -> str:
    """The text of the file. ``installed``: names of plugins; the others stand in a comment."""
    from spork_core.config.dumper import inline

    lines = ["plugins:"] if installed & _PLUGINS.keys() else ["plugins: {}"]
    for name, (settings, does) in _PLUGINS.items():
        line = f"{name}: {settings}"
        lines.append(f"  {line:<36}# {does}" if name in installed else f"  # {line:<34}# not installed: {does}")
    on = ", ".join(name for name in _PLUGINS if name in installed)
    lines += [
        "",
        "# The instances of every route, in order; answers go back through them in reverse.",
        f"chain: [{on}]",
    ]
    return _TEMPLATE.format(upstream=inline(upstream), plugins="\n".join(lines))
