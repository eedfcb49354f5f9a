"""``spork new-plugin``: a plugin to begin with, as a distribution of its own."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from shlex import quote
from shutil import rmtree
from typing import TYPE_CHECKING, Final

import click

from spork_core.cli.console import Failure, heading, table
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS
from spork_core.plugin import ENTRY_POINTS

if TYPE_CHECKING:
    from spork_core.cli.scaffold.names import Names

HOOKS: Final = (*KINDS, *GATEWAY_HOOKS)


def _hooks(_: click.Context, __: click.Parameter, given: Sequence[str]) -> tuple[str, ...]:
    hooks = [hook.replace("-", "_") for hook in given]
    for hook in hooks:
        if hook not in HOOKS:
            near = get_close_matches(hook, HOOKS, 1)
            hint = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join(HOOKS)}"
            raise click.BadParameter(f'there is no hook "{hook}"; {hint}')
    return tuple(dict.fromkeys(hooks))


@click.command(name="new-plugin")
@click.argument("name")
@click.option(
    "--hook",
    "hooks",
    multiple=True,
    callback=_hooks,
    metavar="HOOK",
    help="A hook to implement; may be given again. Default: on_response.",
)
@click.option(
    "--into",
    default=Path(),
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="The folder to put it in; default: here.",
)
def new_plugin(name: str, hooks: tuple[str, ...], into: Path) -> None:
    """Write a plugin to begin with: a folder spork-NAME with a distribution of its own.

    It is typed, has settings, documentation and tests, and works as it is: install it, run its tests, put it into a
    config, and change it into what you need. For each hook that you ask for there is code that does something small
    with it, and a test that shows what. Nothing that is there is overwritten.

    \b
    Examples:
      spork new-plugin body-guard --hook on_request
      spork new-plugin my-auth --hook authenticate --hook authorize
      spork new-plugin audit --hook startup --hook on_complete --hook shutdown --into ~/plugins

    \b
    Hooks of an exchange, in the order of its life:
      pre_auth, authenticate, authorize, on_request, serve, select_upstream,
      before_attempt, after_attempt, should_retry, on_upstream_response,
      on_response, on_error, on_complete
    Hooks of an instance:
      startup, shutdown, health, describe, collect, local_routes, on_event
    """
    from spork_core.cli.scaffold import distribution, names
    from spork_core.cli.scaffold.snippets import DEFAULT

    try:
        found = names.parse(name, _installed())
    except names.BadName as error:
        hint = f'; write "{error.better}"' if error.better else ""
        raise click.BadParameter(f'"{name}" cannot be the name of a plugin: {error}{hint}', param_hint="NAME") from None
    hooks = hooks or DEFAULT
    files = distribution.files(found, hooks)
    folder = into / found.distribution
    _write(folder, {path: text for path, (text, _) in files.items()})
    click.echo(f"wrote {click.style(f'{folder}/', bold=True)}")
    table(("", ""), _tree({path: use for path, (_, use) in files.items()}))
    _next(folder, found, hooks)


def _installed() -> dict[str, str]:
    return {
        point.name: point.value if point.dist is None else f"{point.dist.name} {point.dist.version}"
        for point in entry_points(group=ENTRY_POINTS)
    }


def _write(folder: Path, files: Mapping[str, str]) -> None:
    """All of them, or nothing."""
    made = False
    try:
        folder.mkdir()
        made = True
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
    except OSError as error:
        if made:
            rmtree(folder, ignore_errors=True)
        elif isinstance(error, FileExistsError):
            remedy = "choose another name, or another folder with --into"
            raise Failure(f"{folder} is there already, and stays as it is", remedy) from None
        raise Failure(f"{folder} cannot be written: {error.strerror}", "name a folder of yours with --into") from None


def _tree(files: Mapping[str, str]) -> list[tuple[str, str]]:
    """Rows of a tree; a folder stands where its first file does."""
    rows: list[tuple[str, str]] = []
    above: tuple[str, ...] = ()
    for path, use in files.items():
        *folders, name = path.split("/")
        for depth, each in enumerate(folders):
            if above[: depth + 1] != tuple(folders[: depth + 1]):
                rows.append((f"{'  ' * (depth + 1)}{each}/", ""))
        above = tuple(folders)
        rows.append((f"{'  ' * (len(folders) + 1)}{name}", use))
    return rows


def _next(folder: Path, names: "Names", hooks: Sequence[str]) -> None:
    from spork_core.cli.scaffold.distribution import least

    click.echo()
    heading("Next, in the environment of the gateway:")
    click.echo(f"  cd {quote(str(folder))}\n  pip install -e '.[test]'\n  pytest\n")
    heading("Then put it into a config (spork init writes one):")
    click.echo(f"  plugins:\n    {names.name}: {least(hooks)}\n  chain: [{names.name}]\n")
    heading("And run that:")
    click.echo("  spork check && spork run\n")
    click.echo("Before others get it, choose a licence: name it in pyproject.toml, and put its text beside that.")
