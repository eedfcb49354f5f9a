"""``spork explain``: what becomes of a request, hook by hook: foretold, or of a real one that a gateway was sent."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from spork_core.cli import files
from spork_core.cli.console import Failure
from spork_core.units import ParseError, parse_duration

if TYPE_CHECKING:
    from spork_core.config.model import GatewayConfig
    from spork_core.explain.forecast import Inquiry
    from spork_core.explain.model import Explanation

_FRAMING = ("content-length", "transfer-encoding", "connection", "expect")


def _lifetime(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ParseError as error:
        raise click.BadParameter(f"{error.message}; {error.remedy or 'write it like 10m'}") from None


@click.command()
@click.argument("method", required=False)
@click.argument("url", required=False)
@files.file_argument
@click.option("-H", "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="A header field; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--live", is_flag=True, help="Send the request to a running gateway, and show what became of it.")
@click.option("--to", metavar="URL", help="With --live: the gateway; default: the first listener of the config file.")
@click.option("-d", "--data", metavar="TEXT|@FILE", help="With --live: the request's content.")
@click.option("--timeout", default=30.0, show_default=True, type=click.FloatRange(min=0.1), help="Seconds to wait.")
@click.option("--token", is_flag=True, help="Print a token for X-Spork-Explain, to send with another client.")
@click.option(
    "--for", "lifetime", callback=_lifetime, metavar="TIME", help="How long the token is good. [default: 10m]"
)
def explain(
    method: str | None,
    url: str | None,
    file: Path | None,
    headers: tuple[str, ...],
    as_json: bool,
    live: bool,
    to: str | None,
    data: str | None,
    timeout: float,
    token: bool,
    lifetime: float | None,
) -> None:
    """Say what becomes of a request, and why.

    Shows the routes that match or nearly do, the hooks of the route's chain in the order they are called and where each
    comes from, what is sent to which service, and what the gateway itself would refuse. Nothing is sent.

    With --live the request is sent, as real as any other, and the gateway answers with the same explanation, filled in:
    what each hook decided, changed and took, the attempts, and the answer that a client would have got. Its config
    needs explain: {secret: …}.

    URL is a whole one, or a path of the first listener. With --token, METHOD and a path limit what the token is for;
    leave both out for a token for any request.

    \b
    Examples:
      spork explain GET https://api.example.com/users/42
      spork explain POST /users -H 'Host: api.example.com' -H 'Content-Length: 100000'
      spork explain DELETE /users spork.yaml --json | jq .refused
      spork explain GET /users/42 --live
      curl -H "X-Spork-Explain: $(spork explain --token --for 1h)" http://127.0.0.1:8080/users/42
    """
    if token:
        if url is None and method is not None:
            file, method = Path(method), None  # one argument alone is the file
        if live or as_json or headers or data is not None:
            raise click.UsageError("--token prints a token and does nothing else")
        click.echo(_token(files.load(files.find(file))[0], method, url, lifetime))
        return
    if method is None or url is None:
        raise click.UsageError("METHOD and URL are missing; write for instance: spork explain GET /users/42")
    if not live and (to is not None or data is not None):
        raise click.UsageError("--to and --data are for --live: nothing is sent without it")
    fields = [_field(text) for text in headers]
    if live:
        found = _ask(files.load(files.find(file))[0], method, url, fields, to, data, timeout, lifetime)
    else:
        found = _foretell(file, method, url, fields)
    if as_json:
        click.echo(found.as_json(indent=2))
    else:
        from spork_core.cli.explanation import show

        show(found)


def _foretell(file: Path | None, method: str, url: str, fields: list[tuple[str, str]]) -> "Explanation":
    from spork_core.explain.forecast import forecast

    gateway = files.build(files.find(file))
    return forecast(gateway.snapshot, _inquiry(gateway.config, method, url, fields))


def _ask(
    config: "GatewayConfig",
    method: str,
    url: str,
    fields: list[tuple[str, str]],
    to: str | None,
    data: str | None,
    timeout: float,
    lifetime: float | None,
) -> "Explanation":
    from spork_core.cli.admin import Admin, named
    from spork_core.cli.sending import send

    if method == "HEAD":
        raise click.UsageError("the answer to HEAD has no content, and so no explanation; ask with GET")
    for name, _ in fields:
        if name.lower() in _FRAMING:
            raise click.UsageError(f"with --live, {name} follows from the content; give that with --data")
    inquiry = _inquiry(config, method, url, fields)
    first = config.listen[0]
    tls = first.tls
    listener = Admin(first.address, tls is not None, tls.certificates[0].certificate if tls is not None else None)
    if to is not None:
        listener = named(to, "--to")
    return send(listener, inquiry, _token(config, None, None, lifetime), _content(data), timeout)


def _inquiry(config: "GatewayConfig", method: str, url: str, fields: list[tuple[str, str]]) -> "Inquiry":
    from spork_core.explain.forecast import Inquiry

    for what, text in (("METHOD", method), ("URL", url)):
        if any(c.isspace() or c < " " or c == "\x7f" for c in text):
            raise click.BadParameter("it holds a space or a control character", param_hint=what)
    try:
        return Inquiry.of(method, url, fields, str(config.listen[0].address))
    except ValueError as error:
        raise click.BadParameter(f"{error}; write one such as http://api.example.com/users", param_hint="URL") from None


def _token(config: "GatewayConfig", method: str | None, prefix: str | None, lifetime: float | None) -> str:
    from spork_core.explain import tokens

    if config.explain is None:
        raise Failure(
            "the config has no explain, so the gateway explains nothing to anybody",
            'add explain: {secret: "${env:SPORK_EXPLAIN_SECRET}"}, with 32 characters or more in it, and reload',
        )
    if prefix is not None and not prefix.startswith("/"):
        raise click.BadParameter(f'"{prefix}" is no path; write one such as /users', param_hint="URL")
    try:
        return tokens.make(
            config.explain.secret.reveal(),
            time.time(),
            tokens.LIFETIME if lifetime is None else lifetime,
            method=method or "",
            prefix=prefix or "",
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None


def _content(data: str | None) -> bytes | None:
    if data is None or not data.startswith("@"):
        return None if data is None else data.encode("utf-8", "surrogateescape")
    path = Path(data[1:])
    try:
        return path.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{path} cannot be read: {error.strerror}", param_hint="--data") from None


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or any(c in text for c in "\r\n\0"):
        raise click.BadParameter(f'"{text}" is no header field; write it as curl does, -H "Name: value"')
    return name, value.strip()
