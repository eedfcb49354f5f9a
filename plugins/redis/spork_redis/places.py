"""Where a store is: one URL for every kind of it, read into a Place.

``embedded`` · ``redis://[user:password@]host[:port][/database]`` · ``rediss://…`` (TLS) · ``unix:///path[?db=1]`` ·
``redis+sentinel://host[:port],…/service[/database]`` · ``redis+cluster://host[:port],…``; with ``rediss`` in place of
``redis`` these two speak TLS, too. What is refused is told without the text itself: it may hold a password.
"""

from typing import Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import frozen

from spork_core.api import Secret

Mode = Literal["own", "standalone", "sentinel", "cluster"]

EMBEDDED: Final = "embedded"
_SCHEMES: Final[dict[str, tuple[Mode, bool]]] = {
    "redis": ("standalone", False),
    "rediss": ("standalone", True),
    "unix": ("standalone", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379


@frozen
class Place:
    """``hosts``: names or addresses with their ports; of sentinels, of nodes of a cluster, or one. ``path``: of a unix
    socket, or "". ``service``: what the sentinels call it, or ""."""

    mode: Mode
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    service: str = ""
    database: int = 0
    tls: bool = False
    username: str = ""
    password: Secret | None = None

    def __str__(self) -> str:
        """For operators: where it is, and nothing of the url that might be a secret."""
        if self.mode == "own":
            return "a server of this gateway's own"
        if self.path:
            return self.path
        hosts = ", ".join(f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in self.hosts)
        return f"{self.service} of the sentinels {hosts}" if self.service else hosts


def parse(url: str) -> Place:
    """Raises ValueError, with a sentence that says what to write."""
    if url == EMBEDDED:
        return Place("own")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ValueError("not a URL; write one such as redis://127.0.0.1:6379") from error
    known = _SCHEMES.get(parts.scheme)
    if known is None or not url.startswith(f"{parts.scheme}://"):
        raise ValueError(f"not a URL of a store; write {EMBEDDED}, or one that begins with {_listed(_SCHEMES)}")
    mode, tls = known
    if parts.fragment:
        raise ValueError('a "#" begins what no server reads; write it as %23 where it is part of a password')
    credentials, at, hosts = parts.netloc.rpartition("@")
    name, colon, password = credentials.partition(":")
    if at and not colon:
        raise ValueError("the part before @ has no colon; write user:password@ or :password@")
    secret = Secret(unquote(password)) if password else None
    if parts.scheme == "unix":
        return _socket(parts.path, parts.query, hosts, unquote(name), secret)
    if parts.query:
        raise ValueError('"?" begins options; write them as settings of the plugin beside the url')
    service, database = _path(mode, parts.path.removeprefix("/"))
    port = _SENTINEL_PORT if mode == "sentinel" else _PORT
    found = tuple(_host(each, port) for each in hosts.split(","))
    if mode == "standalone" and len(found) > 1:
        raise ValueError("one server has one address; write redis+cluster:// or redis+sentinel:// before several")
    return Place(mode, found, "", service, database, tls, unquote(name), secret)


def _listed(names: object) -> str:
    *some, last = (f"{name}://" for name in names)  # type: ignore[attr-defined]  # a mapping of names
    return f"{', '.join(some)} or {last}"


def _socket(path: str, query: str, hosts: str, name: str, secret: Secret | None) -> Place:
    options = dict(parse_qsl(query, keep_blank_values=True))
    database = options.pop("db", "0")
    if hosts or not path.strip("/"):
        raise ValueError("a unix socket is a path; write it with three slashes, as unix:///run/valkey.sock")
    if options:
        raise ValueError('the only option of a unix socket is its database; write "?db=1" or nothing')
    return Place("standalone", (), unquote(path), "", _database(database), False, name, secret)


def _path(mode: Mode, path: str) -> tuple[str, int]:
    """The service and the database."""
    first, slash, rest = path.partition("/")
    if mode == "cluster":
        if path not in ("", "0"):
            raise ValueError("a cluster has one database; write the url without what follows the hosts")
        return "", 0
    if mode == "standalone":
        if slash:
            raise ValueError("the path is more than the number of a database; write one such as redis://host/0")
        return "", _database(first or "0")
    if not first:
        raise ValueError("sentinels watch services by name; write it after the hosts, as /mymaster")
    return unquote(first), _database(rest or "0")


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise ValueError("a database is a small number; write it after the last slash, as /0")
    return int(text)


def _host(text: str, port: int) -> tuple[str, int]:
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        given = rest.removeprefix(":")
        if not bracket or (rest and not rest.startswith(":")):
            raise ValueError("an IPv6 address stands in brackets; write [::1]:6379")
    else:
        host, colon, given = text.partition(":")
        if colon and not given:
            raise ValueError("a port is missing after a colon; write host:6379")
    if not host or any(letter.isspace() or letter in '/?\\"' for letter in host):
        raise ValueError("a host is missing or is no name; write names such as cache.internal:6379")
    if given:
        if not (given.isascii() and given.isdigit() and 0 < int(given[:6]) < 65536):
            raise ValueError("a port is a number from 1 to 65535; write host:6379")
        port = int(given)
    return unquote(host), port
