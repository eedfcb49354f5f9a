"""``spork demo``: two backends and a gateway in front of them, and what to try."""

import logging
from typing import Final

import click

from spork_core.cli.commands.run import serve
from spork_core.cli.console import Failure, heading

_PORT: Final = 8080
_ADMIN_PORT: Final = 8081


@click.group(invoke_without_command=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Where the gateway listens; 0: any free port. [default: 8080]"
)
@click.option("--show-config", is_flag=True, help="Print the gateway's config, and end.")
@click.pass_context
def demo(ctx: click.Context, port: int | None, show_config: bool) -> None:
    """Start two small backends and a gateway with plugins in front of them, and say what to try.

    Everything listens on 127.0.0.1. Where a usual port is taken, another one is chosen. Ctrl-C ends it all.

    \b
    Examples:
      spork demo
      spork demo --port 9000
      spork demo --show-config > spork.yaml
      spork demo ws hello
    """
    if ctx.invoked_subcommand is not None:
        return
    from spork_core.config import loads
    from spork_core.demo import config as demo_config
    from spork_core.demo.backends import DEFAULT_PORTS, Backends, free_port, free_socket
    from spork_core.registry import Registry

    registry = Registry()
    installed = demo_config.usable(registry.names())
    if show_config:
        urls = {name: f"http://127.0.0.1:{number}" for name, number in DEFAULT_PORTS.items()}
        listen, admin = f"127.0.0.1:{port or _PORT}", f"127.0.0.1:{_ADMIN_PORT}"
        click.echo(demo_config.text(listen, admin, urls, installed), nl=False)
        return
    from spork_core.workers import set_up_logging

    set_up_logging(logging.WARNING)
    if port:
        try:
            free_socket(port, instead=False).close()
        except OSError as error:
            raise Failure(
                f"port {port} cannot be used: {error.strerror}", "name another, or leave --port out"
            ) from error
    with Backends() as backends:
        url = f"127.0.0.1:{port or free_port(_PORT if port is None else 0)}"
        admin = f"127.0.0.1:{free_port(_ADMIN_PORT)}"
        text = demo_config.text(url, admin, backends.urls, installed)
        config = loads(text, plugins=registry, file="spork.yaml", environ={})

        def announce(line: str) -> None:
            if line.startswith("ready"):
                _welcome(f"http://{url}", f"http://{admin}", backends.urls)
                _advise(demo_config.missing(installed))

        code = serve(lambda: config, registry, announce)
    click.echo("stopped")
    ctx.exit(code)


@demo.command()
@click.argument("message", default="hello")
@click.option("--url", default=f"ws://127.0.0.1:{_PORT}/tools/ws", show_default=True, help="Where to send it.")
def ws(message: str, url: str) -> None:
    """Send MESSAGE over a WebSocket through the demo's gateway, and print what comes back.

    \b
    Example:
      spork demo ws "is anybody there?"
    """
    import asyncio

    from spork_core.demo.websocket import send

    click.echo(asyncio.run(send(url, message)))


def _welcome(url: str, admin: str, backends: dict[str, str]) -> None:
    from spork_core.demo.token import token

    behind = ", ".join(f"{name} at {origin}" for name, origin in backends.items())
    click.echo(f"The gateway is ready at {click.style(url, bold=True)}, its admin listener at {admin}.")
    click.echo(f"Behind it: {behind}. Ctrl-C stops all of it. From another shell:")
    click.echo()
    heading("A token, good for half a day: who has it is ada, an admin")
    click.echo(f"  TOKEN={token()}")
    bearer = '-H "Authorization: Bearer $TOKEN"'
    body = f"{bearer} -H 'Content-Type: application/json' -d"
    for title, lines in {
        "A service behind the gateway": (
            f"curl -i {url}/users/1                  # 401: who is asking? (jwt)",
            f"curl -i {url}/users {bearer}",
            f"""curl -i {url}/users {body} '{{"name": "Alan Turing", "email": "alan@example.com"}}'""",
            f"""curl -i -X PATCH {url}/users/1 {body} '{{"name": "Countess Lovelace"}}'""",
            f"curl -i -X DELETE {url}/users/2 {bearer}",
            f"curl {url}/whoami {bearer} -H 'X-User-Id: root'   # the service sees X-User-Id: ada",
        ),
        "What plugins do": (
            f"for n in 1 2 3 4; do curl -si {url}/few | grep -iE '^(HTTP|RateLimit|Retry)'; done   # 429 (rate-limit)",
            f"for n in 1 2; do curl -si {url}/fortune | grep -iE '^(Age|Cache-Status)'; done   # a hit (cache)",
            f"curl -i {url}/shaky/once               # 200: the second attempt (retry)",
            f"for n in 1 2 3 4 5 6; do curl -so /dev/null -w '%{{http_code}} ' {url}/shaky/broken; done   # 500 …",
            f"curl -i {url}/shaky/once               # 503: open, for 10 s (circuit-breaker)",
            f"curl -s {url}/tools/echo/x | grep -A1 traceparent   # the trace that the service is told of (tracing)",
            f"curl -s {url}/nowhere | grep -oE '.trace_id.*'   # and that a problem belongs to",
            f"curl -sI {url}/tools/echo/x -H 'Origin: https://app.example.com'   # Access-Control-* and more (cors)",
            f"curl -s {admin}/metrics | grep ^spork_http_requests_total   # what was asked so far (metrics)",
            f"spork plugins --admin {admin}   # how each is, and what it took",
        ),
        "What the gateway refuses, as problem+json": (
            f"curl -i {url}/nowhere                  # 404: no route",
            f"curl -i -X OPTIONS {url}/users         # 405, with Allow",
            f"curl -i {url}/tools/a%2Fb              # 400: servers read this in two ways",
        ),
        "Streams, passed on as they come": (
            f"curl -N '{url}/tools/stream?n=5'       # server-sent events",
            f"curl -N '{url}/tools/drip?s=3'         # a body, byte by byte",
            f"curl -i '{url}/tools/slow?s=2'",
            f"spork demo ws --url {url.replace('http', 'ws', 1)}/tools/ws hello   # WebSocket",
        ),
        "The gateway itself": (
            f"curl {admin}/status",
            "spork demo --show-config",
        ),
    }.items():
        click.echo()
        heading(title)
        for line in lines:
            click.echo(f"  {line}")
    click.echo()


def _advise(missing: list[str]) -> None:
    if missing:
        names = ", ".join(missing)
        checkout = " ".join(f"./plugins/{name}" for name in missing)
        click.echo(f"Not installed, and so not on: {names}. In a checkout of Spork: pip install {checkout}")
        click.echo()
