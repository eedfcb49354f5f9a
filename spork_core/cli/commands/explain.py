"""``spork explain``: what becomes of a request, hook by hook, without sending it."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs
import click

from spork_core.cli import files
from spork_core.cli.console import heading, print_json, table
from spork_core.hookspecs import KINDS
from spork_core.units import format_duration, format_size

if TYPE_CHECKING:
    from spork_core.cli.explanation import Explanation, Refused, Upstream

_LABELS: Final = {"should_retry": "should_retry, after a failure", "on_error": "on_error, after a problem"}


@click.command()
@click.argument("method")
@click.argument("url")
@files.file_argument
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def explain(method: str, url: str, file: Path | None, headers: tuple[str, ...], as_json: bool) -> None:
    """Say what becomes of a request, and why.

    Shows the routes that match or nearly do, the hooks of the route's chain in the order they are called and where each
    comes from, what is sent to which service, and what the gateway itself would refuse. Nothing is sent.

    URL is a whole one, or a path of the first listener.

    \b
    Examples:
      spork explain GET https://api.example.com/users/42
      spork explain POST /users -H 'Host: api.example.com' -H 'Content-Length: 100000'
      spork explain DELETE /users spork.yaml --json | jq .refused
    """
    from spork_core.cli.explanation import Asked
    from spork_core.cli.explanation import explain as find_out

    fields = [_field(text) for text in headers]
    gateway = files.build(files.find(file))
    try:
        asked = Asked.of(method, url, fields, str(gateway.config.listen[0].address))
    except ValueError as error:
        raise click.BadParameter(f"{error}; write one such as http://api.example.com/users", param_hint="URL") from None
    found = find_out(gateway, asked)
    if as_json:
        print_json(attrs.asdict(found))
    else:
        _show(found)


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(c in text for c in "\r\n\0"):
        raise click.BadParameter(f'"{text}" is no header field; write it as curl does, -H "Name: value"')
    return name, value.strip()


def _show(found: "Explanation") -> None:
    asked = found.asked
    click.echo(f"{click.style(asked.method, bold=True)} {asked.target}   Host: {asked.host}")
    _show_routes(found)
    if found.refused is not None and found.refused.certain:
        _show_refused(found.refused, "Answer")
    _show_steps(found)
    if found.left_out:
        click.echo()
        heading("Left out")
        table(("instance", "why"), ((left.instance, left.why) for left in found.left_out))
    if found.identity is not None:
        click.echo()
        heading("Identity")
        who = f" (asked: {', '.join(found.identity.by)})" if found.identity.by else " (no instance authenticates)"
        click.echo(("required" if found.identity.required else "optional") + who)
    if found.upstream is not None:
        _show_upstream(found.upstream, found)
    elif found.answers:
        click.echo()
        heading("Answer")
        click.echo(f"no service is asked; {found.answers} answers")
    if found.refused is not None and not found.refused.certain:
        _show_refused(found.refused, "Without a known caller")


def _show_routes(found: "Explanation") -> None:
    click.echo()
    heading("Routes")
    if not found.candidates:
        click.echo("none comes near" if found.route is None else found.route)
        return
    rows = [("→" if fact.matched else "", fact.route, fact.why) for fact in found.candidates]
    table(("", "route", "why"), rows)


def _show_refused(refused: "Refused", title: str) -> None:
    click.echo()
    heading(title)
    status = click.style(f"{refused.status} {refused.title}", fg="red")
    click.echo(f"{status} ({refused.code}): {refused.detail}")
    for name, value in refused.headers:
        click.echo(f"{name}: {value}")


def _show_steps(found: "Explanation") -> None:
    click.echo()
    heading("Hooks, in the order they are called")
    rows = [
        (_LABELS.get(step.hook, step.hook), step.instance, step.origin, step.plugin, KINDS[step.hook].kind.value)
        for step in found.steps
    ]
    if rows:
        table(("hook", "instance", "from", "plugin", "kind"), rows)
    else:
        click.echo("none: no instance of this chain implements one")


def _show_upstream(upstream: "Upstream", found: "Explanation") -> None:
    click.echo()
    heading("Upstream")
    rows = [
        ("service", upstream.service),
        ("request", f"{found.asked.method} {upstream.target}"),
        ("Host", upstream.host),
    ]
    rows += [(f"set {name}", value) for name, value in upstream.set_headers.items()]
    rows += [("remove", name) for name in upstream.removed_headers]
    for fact in upstream.endpoints:
        weight = f"  weight {fact.weight}" if any(other.weight != 1 for other in upstream.endpoints) else ""
        rows.append(("endpoint", fact.url + weight + ("  ← next" if fact.next and len(upstream.endpoints) > 1 else "")))
    rows.append(("picked by", _policy(upstream)))
    times = {"connect": upstream.connect, "response": upstream.response, "idle": upstream.idle, "total": upstream.total}
    words = (f"{name} {'none' if value is None else format_duration(value)}" for name, value in times.items())
    rows.append(("timeouts", ", ".join(words)))
    if found.body_limit is not None:
        rows.append(("body limit", format_size(found.body_limit)))
    if found.upgrade is not None:
        rows.append(("upgrade", f"{found.upgrade}, tunnelled when the service agrees"))
    table(("", ""), rows)


def _policy(upstream: "Upstream") -> str:
    if len(upstream.endpoints) == 1:
        own = "the only endpoint"
    else:
        weighted = "weighted " if any(fact.weight != 1 for fact in upstream.endpoints) else ""
        own = f"{weighted}round robin; another one when a connection cannot be made"
    return f"{', '.join(upstream.deciders)} (select_upstream), else {own}" if upstream.deciders else own
