"""``spork test``: the contract of a plugin, or what a client sees when the services of a config fail."""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from spork_core.cli import files
from spork_core.cli.console import Failure, print_json
from spork_core.errors import ConfigError
from spork_core.units import ParseError, parse_duration

if TYPE_CHECKING:
    from spork_core.gateway import Gateway
    from spork_core.testing.faults.report import Report
    from spork_core.testing.faults.samples import Fields, Sample

_EXTRA: Final = ("hypothesis", "pytest", "pytest_asyncio", "blockbuster")
"""What the kit imports."""


def _duration(_: click.Context, __: click.Parameter, text: str) -> float:
    try:
        return parse_duration(text)
    except ParseError as error:
        raise click.BadParameter(str(error)) from None


def _request(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = [tuple(text.split()) for text in texts]
    for pair in pairs:
        if len(pair) != 2 or ("://" not in pair[1] and not pair[1].startswith("/")):
            raise click.BadParameter(f'"{" ".join(pair)}" is no request; write "GET /x" or "GET http://host/x"')
    return tuple((pair[0], pair[1]) for pair in pairs)


def _field(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> "Fields":
    pairs = [text.partition(":") for text in texts]
    for text, (name, colon, value) in zip(texts, pairs, strict=True):
        if not colon or not name.strip() or any(c in value for c in "\r\n\0"):
            raise click.BadParameter(f'"{text}" is no header field; write it as curl does, -H "Name: value"')
    return tuple((name, value.strip()) for name, _, value in pairs)


@click.command()
@click.argument("what", required=False, metavar="[PLUGIN|FILE]")
@click.option("--faults", is_flag=True, help="Try faults on the config FILE.")
@click.option("--config", "settings", metavar="JSON|FILE", help="The settings of PLUGIN.")
@click.option(
    "--request",
    "requests",
    multiple=True,
    callback=_request,
    metavar="'METHOD URL'",
    help="With --faults: ask this instead of a sample of each route; repeatable.",
)
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    callback=_field,
    metavar="'NAME: VALUE'",
    help="With --faults: a header field of each request; repeatable.",
)
@click.option(
    "--patience",
    default="60s",
    callback=_duration,
    metavar="TIME",
    help="With --faults: how long a client waits for an answer to begin; default: 60s.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.pass_context
def test(
    ctx: click.Context,
    what: str | None,
    faults: bool,
    settings: str | None,
    requests: tuple[tuple[str, str], ...],
    headers: "Fields",
    patience: float,
    as_json: bool,
) -> None:
    """Test a plugin, or a config.

    \b
    spork test PLUGIN         keeps the contract of a plugin: every law that applies to its hooks,
                              each with what it found and what to do about it.
    spork test --faults FILE  runs the gateway of a config on a port of its own, between a client and
                              services that refuse, stall, reset, lie and drip, and tells what the client
                              sees of each. Between plugins and what they connect to (addresses in their
                              settings) stands a link that fails in its turn. Waits are counted, not waited
                              for. The services of the config are not touched; plugins write and
                              connect as ever.

    \b
    Examples:
      spork test rate-limit --config '{"limit": "5/s"}'
      spork test --faults
      spork test --faults spork.yaml --request 'GET /users/1' -H 'Authorization: Bearer abc'
      spork test --faults spork.yaml --json | jq '.findings[]'

    Exit code: 0 when every law holds, or every answer was well-formed and the gateway lives; 1 when not; 78 when the
    config is not sound.
    """
    if not faults and what is None:
        click.echo(ctx.get_help())
        return
    missing = [name for name in _EXTRA if find_spec(name) is None]
    if missing:
        raise Failure(f"the test kit needs {', '.join(missing)}", "pip install 'spork-core[testing]'")
    if faults:
        if settings is not None:
            raise click.UsageError("--config is the settings of a plugin; a config file is an argument.")
        report = _faults(None if what is None else Path(what), requests, headers, patience, as_json)
        ctx.exit(0 if report.ok else 1)
    if requests or headers:
        raise click.UsageError("--request and -H are for --faults.")
    assert what is not None
    from spork_core.cli.laws import keep

    ctx.exit(0 if keep(what, _settings(settings), as_json=as_json) else 1)


def _settings(text: str | None) -> Mapping[str, Any]:
    """The settings in an option: JSON, or the path of a file with JSON or YAML."""
    if text is None:
        return {}
    hint = "--config"
    if not text.lstrip().startswith("{"):
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        try:
            found = YAML(typ="safe").load(Path(text))
        except (OSError, YAMLError) as error:
            raise click.BadParameter(f'"{text}" cannot be read: {error}', param_hint=hint) from None
    else:
        try:
            found = json.loads(text)
        except ValueError as error:
            raise click.BadParameter(f"this is no JSON: {error}", param_hint=hint) from None
    if not isinstance(found, dict):
        raise click.BadParameter("settings are a mapping of names to values", param_hint=hint)
    return found


def _faults(
    file: Path | None, requests: tuple[tuple[str, str], ...], headers: "Fields", patience: float, as_json: bool
) -> "Report":
    from spork_core.cli.faults import show
    from spork_core.testing import impatient
    from spork_core.testing.faults.run import Runner

    path = files.find(file)
    gateway = files.build(path)
    samples, skipped = _samples(gateway, requests, headers)
    if not samples:
        why = "; ".join(f"{route}: {reason}" for route, reason in skipped.items()) or "there is no route"
        raise Failure(f"there is nothing to ask ({why})", "name a request with --request 'GET /x'")
    talking = sys.stderr.isatty()

    def tell(line: str) -> None:
        if talking:
            click.echo(click.style(line, dim=True), err=True)

    runner = Runner(gateway.config, gateway.registry, patience, tell)
    try:
        with _muted():
            report = impatient.run(runner.run(samples, skipped))
    except ConfigError as error:
        remedy = "start what its plugins connect to, or let their settings point elsewhere"
        raise Failure(f"{path}: the gateway does not start: {error}", remedy) from error
    if as_json:
        print_json({"file": str(path), **report.as_json()})
    else:
        show(path, report)
    return report


def _samples(
    gateway: "Gateway", requests: tuple[tuple[str, str], ...], headers: "Fields"
) -> "tuple[list[Sample], dict[str, str]]":
    """What to ask, and for which routes there is nothing."""
    from spork_core.testing.faults.samples import Underivable, derived, named

    if requests:
        try:
            return [named(gateway, method, url, headers) for method, url in requests], {}
        except Underivable as error:
            remedy = '"spork explain" tells which route takes a request'
            raise click.BadParameter(f"{error}; {remedy}", param_hint="--request") from None
    samples, skipped = [], {}
    for name in gateway.config.routes:
        try:
            samples.append(derived(gateway, name, headers))
        except Underivable as error:
            skipped[name] = str(error)
    return samples, skipped


@contextmanager
def _muted() -> Iterator[None]:
    """Nothing that plugins print, such as an access log, gets in between: standard output is the report's."""
    kept = os.dup(1)
    sys.stdout.flush()
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        os.dup2(nowhere.fileno(), 1)  # some write to the descriptor
        try:
            yield
        finally:
            os.dup2(kept, 1)
            os.close(kept)
