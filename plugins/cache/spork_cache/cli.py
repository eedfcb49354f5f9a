"""``spork cache``: asks the admin listener of a running gateway what is cached, and takes it out."""

import http.client
import json
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import click

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT: Final = "127.0.0.1:8081"
_SECONDS: Final = 5.0
_LARGEST: Final = 16 << 20


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)


def _connection(admin: str) -> http.client.HTTPConnection:
    if admin.startswith("unix:"):
        return _UnixConnection(admin.removeprefix("unix:"))
    parts = urlsplit(admin if "://" in admin else f"//{admin}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or parts.scheme not in ("", "http", "https"):
        raise click.BadParameter("write it like http://127.0.0.1:8081 or unix:/run/spork.sock", param_hint="--admin")
    if parts.scheme == "https":
        return http.client.HTTPSConnection(host, port or 443, timeout=_SECONDS, context=ssl.create_default_context())
    return http.client.HTTPConnection(host, port or 80, timeout=_SECONDS)


def _ask(admin: str | None, instance: str, method: str, path: str, body: object = None) -> dict[str, Any]:
    """What the instance answers. Raises click's errors, which say what to do."""
    address = admin or os.environ.get("SPORK_ADMIN_LISTEN") or _DEFAULT
    connection = _connection(address)
    data = None if body is None else json.dumps(body)
    try:
        headers = {"Accept": "application/json", "Content-Type": "application/json", "Connection": "close"}
        connection.request(method, f"/plugins/{quote(instance)}/{path}", data, headers)
        response = connection.getresponse()
        status, text = response.status, response.read(_LARGEST).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise click.ClickException(
            f"no gateway answers at {address}: {reason}\n"
            "Next: start one (spork run), or name its admin listener with --admin"
        ) from error
    finally:
        connection.close()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.ClickException(f"{address} is no admin listener of a gateway: it answered {status}")
    if status == 404:
        raise click.ClickException(
            f'the gateway has no cache called "{instance}"\n'
            "Next: name the instance with --instance; spork plugins --admin URL lists them"
        )
    if status >= 400:
        raise click.ClickException(str(found.get("detail") or found.get("problem") or f"it answered {status}"))
    return found


def _common(command: F) -> F:
    """The options that every command has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
        click.option("--instance", default="cache", show_default=True, help="The instance's name in the config."),
        click.option("--admin", metavar="URL", help=f"The admin listener; else $SPORK_ADMIN_LISTEN, else {_DEFAULT}."),
    ):
        command = option(command)
    return command


def _show(found: object) -> None:
    click.echo(json.dumps(found, indent=2, ensure_ascii=False))


@click.group()
def cache() -> None:
    """Look into the cache of a running gateway, and take things out.

    \b
    Examples:
      spork cache stats
      spork cache inspect http://api.example.com/users/1
      spork cache purge http://api.example.com/users/1
      spork cache purge --prefix http://api.example.com/users/
      spork cache purge --tag users --soft
    """


@cache.command()
@click.argument("url", required=False)
@click.option("--prefix", metavar="URL", help="All URLs that begin so.")
@click.option("--tag", help="All answers with this tag (Surrogate-Key, Cache-Tag).")
@click.option("--all", "everything", is_flag=True, help="Everything.")
@click.option("--soft", is_flag=True, help="Make it stale in place of taking it out: it is revalidated on next use.")
@_common
def purge(
    url: str | None,
    prefix: str | None,
    tag: str | None,
    *,
    everything: bool,
    soft: bool,
    admin: str | None,
    instance: str,
    as_json: bool,
) -> None:
    """Take URL out of the cache: of every route, identity and variant, on every node that shares the store."""
    asked = {"url": url, "prefix": prefix, "tag": tag, "all": everything or None}
    said: dict[str, object] = {way: what for way, what in asked.items() if what is not None}
    if len(said) != 1:
        raise click.UsageError("Say one of URL, --prefix, --tag and --all.")
    if soft:
        said["soft"] = True
    found = _ask(admin, instance, "POST", "purge", said)
    if as_json:
        _show(found)
        return
    count = found["entries"]
    what = "made stale" if soft else "purged"
    answers = f"{count} answer{'' if count == 1 else 's'}"
    where = "everywhere" if found["reach"] == "everywhere" else "in that process only"
    click.echo(f"{what} {answers} in that process's memory; it holds {where}")


@cache.command()
@_common
def stats(admin: str | None, instance: str, *, as_json: bool) -> None:
    """Say how full the cache is, and what became of requests."""
    found = _ask(admin, instance, "GET", "stats")
    if as_json:
        _show(found)
        return
    memory, requests = found["memory"], found["requests"]
    total = sum(requests.values())
    _table(
        (
            ("answers in memory", str(memory["entries"])),
            ("memory", f"{_size(memory['bytes'])} of {_size(memory['max_bytes'])}"),
            ("evicted", str(memory["evicted"])),
            ("requests", str(total)),
            *((f"  {result}", f"{count}{_share(count, total)}") for result, count in requests.items()),
            ("store", _store(found)),
        )
    )


@cache.command()
@click.argument("url", required=False)
@click.option("--prefix", metavar="URL", help="All URLs that begin so.")
@click.option("--tag", help="All answers with this tag.")
@_common
def inspect(
    url: str | None, prefix: str | None, tag: str | None, *, admin: str | None, instance: str, as_json: bool
) -> None:
    """Show what is in a process's memory: for URL, a prefix or a tag, else all, at most 200 answers."""
    said = [(way, what) for way, what in (("url", url), ("prefix", prefix), ("tag", tag)) if what is not None]
    if len(said) > 1:
        raise click.UsageError("Say one of URL, --prefix and --tag.")
    query = "".join(f"?{way}={quote(what, safe='')}" for way, what in said)
    found = _ask(admin, instance, "GET", f"inspect{query}")
    if as_json:
        _show(found)
        return
    rows = [
        (str(each["status"]), f"{each['age']}s", f"{each['ttl']}s", _size(each["bytes"]), each["url"], _more(each))
        for each in found["entries"]
    ]
    _table((("STATUS", "AGE", "TTL", "SIZE", "URL", "MORE"), *rows))
    if found["count"] > len(rows):
        click.echo(f"… and {found['count'] - len(rows)} more; --json and --prefix narrow it down")


def _more(each: dict[str, Any]) -> str:
    parts = [f"vary {', '.join(each['vary'])}"] if each["vary"] else []
    parts += [f"tags {', '.join(each['tags'])}"] if each["tags"] else []
    return "; ".join(parts)


def _store(found: dict[str, Any]) -> str:
    shared = found.get("shared")
    if shared is None:
        return "memory of this process only"
    return f"shared, down: {shared['problem']}" if shared["problem"] else "shared"


def _share(count: int, total: int) -> str:
    return f" ({count / total:.0%})" if total and count else ""


def _size(count: int) -> str:
    for unit, size in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def _table(rows: "tuple[tuple[str, ...], ...]") -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
