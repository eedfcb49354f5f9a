"""Which config file a command means, and what it builds."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

import click

from spork_core.cli.console import Misconfigured
from spork_core.errors import ConfigError

if TYPE_CHECKING:
    from spork_core.config import GatewayConfig
    from spork_core.gateway import Gateway
    from spork_core.registry import Registry

P = ParamSpec("P")
R = TypeVar("R")

NAME: Final = "spork.yaml"
VARIABLE: Final = "SPORK_CONFIG"


def file_argument(command: Callable[P, R]) -> Callable[P, R]:
    """FILE, which may be left out."""
    return click.argument("file", required=False, type=click.Path(path_type=Path), metavar="[FILE]")(command)


def places() -> list[Path]:
    """Where a config file is looked for when none is named, in order."""
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    return [Path(NAME), Path(home).expanduser() / "spork" / NAME, Path("/etc/spork") / NAME]


def find(file: Path | None) -> Path:
    """The config file: ``file``, else SPORK_CONFIG's, else the first of ``places`` that is there.

    Raises Misconfigured.
    """
    if file is not None:
        return file
    if named := os.environ.get(VARIABLE):
        return Path(named)
    for place in places():
        if place.is_file():
            return place
    looked = ", ".join(map(str, places()))
    raise Misconfigured(
        f"there is no config file: {VARIABLE} is not set, and none is at {looked}",
        'name one, or write one with "spork init"',
    )


def load(path: Path, environ: Mapping[str, str] | None = None) -> "tuple[GatewayConfig, Registry]":
    """The checked config and the plugins it may use. Raises ConfigError."""
    from spork_core import config
    from spork_core.registry import Registry

    registry = Registry()
    return config.load(path, plugins=registry, environ=os.environ if environ is None else environ), registry


def build(path: Path, environ: Mapping[str, str] | None = None) -> "Gateway":
    """Everything the config makes, built and not started: no network, no instance's ``startup``. Raises ConfigError."""
    from spork_core.config import locate
    from spork_core.gateway import Gateway

    config, registry = load(path, environ)
    try:
        return Gateway(config, registry)
    except ConfigError as error:
        raise locate(error, path) from error
