"""Origins as browsers send them: what may stand in ``allow_origins``, and which origins a pattern takes in.

Rules of this file
1. An origin is compared as text, byte for byte: browsers send its canonical form (RFC 6454 section 6.2, lower case and
   without a default port), so what is not canonical comes from no browser and is nobody's origin.
2. What is written in a config is refused when no browser would ever send it; then it allows nothing, and looks as if.
3. ``https://*.example.com`` stands for one or more whole labels in that place, and for nothing else.
"""

import re
from collections.abc import Iterable
from ipaddress import AddressValueError, IPv6Address
from typing import Final, Generic, TypeVar

T = TypeVar("T")

LONGEST: Final = 512
"""Characters of an origin; a host name has at most 253."""

_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_WRITTEN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<host>\[[0-9a-f:.]+\]|[^/?#@:\[\]\s]+)(?::(?P<port>[0-9]+))?"
)
_HOST: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_NOT_REGISTERED: Final = frozenset(("localhost", "test", "local", "internal", "home.arpa"))
"""Names under which nobody else can have a name."""


def check_origin(text: str) -> None:
    """Raises ValueError, with what to write instead, when no browser would send ``text`` as an origin; a pattern and
    ``null`` are fine."""
    if text == "null":
        return
    if "://" not in text:
        raise ValueError(f'"{text}" has no scheme; write "https://{text.strip("/") or "app.example.com"}"')
    if text != text.lower():
        raise ValueError(f'browsers send origins in lower case; write "{text.lower()}"')
    found = _WRITTEN.fullmatch(text)
    if found is None:
        raise ValueError(f'"{text}" is more than an origin or less; write {_origin_of(text)}')
    scheme, host, port = found.group("scheme", "host", "port")
    if port is not None and port == _DEFAULT_PORTS.get(scheme):
        raise ValueError(f'browsers leave out the default port {port}; write "{scheme}://{host}"')
    if port is not None and (port != str(int(port)) or not 0 < int(port) < 65536):
        raise ValueError(f'"{port}" is not a port; write a number from 1 to 65535')
    if host.startswith("["):
        _check_address(host[1:-1])
    elif "*" in host:
        _check_pattern(text, host)
    else:
        _check_host(host)


def _origin_of(text: str) -> str:
    """What the writer of ``text`` will have meant, as a hint."""
    scheme, _, rest = text.partition("://")
    authority = re.split(r"[/?#]", rest)[0].rpartition("@")[2]
    meant = f"{scheme}://{authority}"
    return f'"{meant}"' if authority and _WRITTEN.fullmatch(meant) else 'one like "https://app.example.com"'


def _check_host(host: str) -> None:
    if not host.isascii():
        try:
            meant = host.encode("idna").decode()
        except UnicodeError:
            meant = "xn--…"
        raise ValueError(f'browsers send names in ASCII; write "{meant}" for "{host}"')
    if len(host) > 253 or not _HOST.fullmatch(host):
        raise ValueError(f'"{host}" is not a host name; write one like "app.example.com"')


def _check_address(address: str) -> None:
    try:
        canonical = str(IPv6Address(address))
    except AddressValueError:
        raise ValueError(f'"[{address}]" is not an IPv6 address; write one like "[2001:db8::1]"') from None
    if canonical != address:
        raise ValueError(f'browsers send IPv6 addresses in short form; write "[{canonical}]"')


def _check_pattern(text: str, host: str) -> None:
    name = host.removeprefix("*.")
    if name == host or "*" in name:
        raise ValueError(f'the * of "{text}" must be the whole first label; write one like "https://*.example.com"')
    _check_host(name)
    if "." not in name.rstrip(".") and name not in _NOT_REGISTERED:
        raise ValueError(f'"{text}" is everybody under .{name}; name a domain of yours, "https://*.example.{name}"')


class Origins(Generic[T]):
    """What is kept for each origin that is allowed: a value for those that ``origins`` name or a pattern takes in.

    It answers as a mapping does; for ``"*"``, too, when that is allowed.
    """

    def __init__(self, origins: Iterable[str], value: T) -> None:
        written = tuple(origins)
        self.named = frozenset(origin for origin in written if "*" not in origin)
        """Those that are allowed by their name."""
        self._value = value
        self._exact = self.named | {origin for origin in written if origin == "*"}
        patterns = [_pattern(origin) for origin in written if origin not in self._exact]
        self._pattern = re.compile("|".join(patterns)) if patterns else None

    def get(self, origin: str, default: T | None = None) -> T | None:
        """The value for an origin that is allowed, else ``default``."""
        if origin in self._exact:
            return self._value
        if self._pattern is not None and len(origin) <= LONGEST and self._pattern.fullmatch(origin):
            return self._value
        return default


def _pattern(origin: str) -> str:
    before, after = map(re.escape, origin.split("*"))
    return rf"{before}(?:{_LABEL}\.)*{_LABEL}{after}"
