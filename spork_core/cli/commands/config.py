"""``spork config`` and ``spork schema``: the config in effect, and the form of every config."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spork_core.cli import files
from spork_core.cli.console import print_json

if TYPE_CHECKING:
    from spork_core.config import GatewayConfig


_BLOCKS: Final = 2


@click.command()
@files.file_argument
@click.option("--dump", "everything", is_flag=True, help="Fill in the defaults too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of YAML.")
def config(file: Path | None, everything: bool, as_json: bool) -> None:
    """Show the config in effect: what differs from the defaults, as YAML.

    Variables such as SPORK_LISTEN are applied. References such as ${env:NAME} stand as they were written, and secrets
    are never shown.

    \b
    Examples:
      spork config
      spork config --dump | grep -A5 timeouts
    """
    from spork_core import config as configs

    loaded, _ = files.load(files.find(file))
    plain = configs.to_plain(loaded)
    if not everything:
        plain = _differing(plain, configs.to_plain(_bare(loaded)))
    if as_json:
        print_json(plain)
    else:
        for line in _lines(plain, 0):
            click.echo(line)


@click.command()
def schema() -> None:
    """Print the JSON Schema of the config file, the settings of every installed plugin included.

    \b
    Example:
      spork schema > spork.schema.json

    and in the first line of spork.yaml, for editors with the YAML language server:
      # yaml-language-server: $schema=spork.schema.json
    """
    from spork_core.config import json_schema
    from spork_core.registry import Registry

    print_json(json_schema(Registry()))


def _lines(plain: dict[str, Any], depth: int) -> Iterator[str]:
    """YAML, with what belongs to one service, instance or route a line for each key."""
    from spork_core.config.dumper import inline

    for key, item in plain.items():
        if isinstance(item, dict) and item and depth < _BLOCKS:
            yield f"{'  ' * depth}{inline(key)}:"
            yield from _lines(item, depth + 1)
        else:
            yield f"{'  ' * depth}{inline(key)}: {inline(item)}"


def _bare(config: "GatewayConfig") -> "GatewayConfig":
    """The same services, instances and routes with nothing set that need not be."""
    from spork_core.config import GatewayConfig, InstanceConfig, MatchConfig, RouteConfig, ServiceConfig

    instances = {}
    for name, instance in config.plugins.items():
        try:
            settings = None if instance.settings is None else type(instance.settings)()
        except (TypeError, ValueError):  # it has settings without a default: all of them are shown
            settings = instance.settings
        instances[name] = InstanceConfig(name=name, use=name, settings=settings)
    return GatewayConfig(
        services=dict.fromkeys(config.services, ServiceConfig(endpoints=())),
        plugins=instances,
        routes=dict.fromkeys(config.routes, RouteConfig(match=MatchConfig())),
    )


def _differing(value: dict[str, Any], default: dict[str, Any]) -> dict[str, Any]:
    """What of ``value`` is not in ``default``. A name that somebody gave stays, whatever is below it."""
    found: dict[str, Any] = {}
    for key, item in value.items():
        usual = default.get(key)
        if key in ("services", "plugins", "routes") and isinstance(item, dict) and isinstance(usual, dict):
            named = {name: _differing(inner, usual[name]) for name, inner in item.items() if isinstance(inner, dict)}
            if key == "routes":  # a match is required, if only an empty one
                named = {name: {"match": {}, **row} for name, row in named.items()}
            if named:
                found[key] = named
        elif isinstance(item, dict) and isinstance(usual, dict):
            below = _differing(item, usual)
            if below:
                found[key] = below
        elif key not in default or item != usual:
            found[key] = item
    return found
