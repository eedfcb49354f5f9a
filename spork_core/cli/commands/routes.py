"""``spork routes``: the routes of a config file as a table."""

from pathlib import Path

import click

from spork_core.cli import files
from spork_core.cli.console import print_json, table


@click.command()
@files.file_argument
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def routes(file: Path | None, as_json: bool) -> None:
    """List the routes of a config file, in its order.

    The chain is whole: the outer one without what the route leaves out, the route's own, the service's.

    \b
    Examples:
      spork routes
      spork routes spork.yaml --json | jq -r '.[].path'

    Which of them takes a request: spork explain METHOD URL
    """
    from spork_core.build import chain_of

    config, _ = files.load(files.find(file))
    found = [
        {
            "route": name,
            "host": list(route.match.host),
            "path": route.match.path,
            "methods": list(route.match.methods),
            "headers": route.match.headers,
            "query": route.match.query,
            "priority": route.priority,
            "service": route.service,
            "chain": [instance for instance in chain_of(config, route) if config.plugins[instance].enabled],
        }
        for name, route in config.routes.items()
    ]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("there is no route: every request is answered 404")
        return
    columns = ("route", "host", "path", "methods", "service", "chain")
    table(columns, ([_cell(column, row[column]) for column in columns] for row in found))


def _cell(column: str, value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value) or {"host": "any", "methods": "any"}.get(column, "none")
    return "plugins" if value is None else str(value)
