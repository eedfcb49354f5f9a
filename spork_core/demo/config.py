"""The config of the gateway in front of the demo's backends, written as one would write one's own."""

from collections.abc import Collection, Mapping
from typing import Final

PLUGINS: Final[Mapping[str, tuple[str, str]]] = {
    "request-id": ("{}", "an id for every exchange, in X-Request-Id both ways"),
    "access-log": (
        "{format: text, fields: [method, path, status, source, endpoint, total_ms, request_id]}",
        "one line for every exchange, on standard output",
    ),
    "security-headers": ("{preset: api}", "on every answer, the gateway's own refusals included"),
    "headers": ("{response: {set: {X-Served-By: spork}}}", "sets, adds and removes header fields"),
}
"""Plugin → its settings here, and what it does."""

_TEMPLATE: Final = """\
# Two services behind one gateway. `spork check` says whether a file like this is sound, and
# `spork explain GET /users/1` what becomes of a request.

listen: {listen}                 # where clients connect; a list makes several listeners
admin: {{listen: {admin}}}        # /livez, /readyz, /status and POST /reload, for this machine only

services:
  users:                                # create, read, replace, change and delete users
    endpoints: [{users}]
  echo:                                 # echo, server-sent events, slow answers, WebSocket
    endpoints: [{echo}]
    timeouts: {{response: 30s}}

{plugins}
routes:
  users:                                # another method than these is answered 405, with Allow
    match: {{path: /users/*, methods: [GET, HEAD, POST, PUT, PATCH, DELETE]}}
    service: users
    body_limit: 64KiB                   # longer ones are answered 413
  echo:                                 # /tools/echo/x is /echo/x to the service
    match: {{path: /tools/*}}
    rewrite: {{strip_prefix: /tools}}
    service: echo
"""


def text(listen: str, admin: str, urls: Mapping[str, str], installed: Collection[str]) -> str:
    """The config file. ``urls``: the origin of each backend by name; of the plugins, those ``installed`` are on."""
    return _TEMPLATE.format(
        listen=listen, admin=admin, users=urls["users"], echo=urls["echo"], plugins=_plugins(installed)
    )


def _plugins(installed: Collection[str]) -> str:
    named = {name: settings for name, settings in PLUGINS.items() if name in installed}
    if not named:
        return "# No plugin of the demo is installed: the gateway runs without any.\n"
    lines = ["plugins:                                # each is pip-installed, and on because it is in the chain"]
    for name, (settings, does) in named.items():
        lines += [f"  # {does}", f"  {name}: {settings}"]
    lines += ["", "# Every route; the way in follows it, the way out goes back.", f"chain: [{', '.join(named)}]", ""]
    return "\n".join(lines)


def missing(installed: Collection[str]) -> list[str]:
    """The plugins of the demo that are not installed."""
    return [name for name in PLUGINS if name not in installed]
