"""Asks the admin listener of a running gateway, with the standard library only."""

import http.client
import json
import os
import socket
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import attrs
import click

from spork_core.cli import files
from spork_core.cli.console import Failure, Misconfigured
from spork_core.config.address import Address
from spork_core.units import ParseError

DEFAULT: Final = Address("127.0.0.1", 8081)
_LARGEST: Final = 64 * 1024 * 1024
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where a listener on all interfaces is asked from here."""


@attrs.frozen
class Reply:
    """What the gateway answered."""

    status: int
    text: str


@attrs.frozen
class Admin:
    """Where to ask. ``certificate``: of a TLS listener whose config is at hand, the one certificate to accept."""

    address: Address
    tls: bool = False
    certificate: Path | None = None

    def __str__(self) -> str:
        if self.address.path:
            return str(self.address)
        return f"{'https' if self.tls else 'http'}://{self.address}"

    def ask(self, method: str, path: str, seconds: float = 5.0) -> Reply:
        """One request. Raises Failure when nobody answers within ``seconds``."""
        connection = self.connection(seconds)
        try:
            connection.request(method, path, headers={"Accept": "application/json", "Connection": "close"})
            response = connection.getresponse()
            return Reply(response.status, response.read(_LARGEST).decode("utf-8", "replace"))
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise Failure(
                f"no gateway answers at {self}: {reason}",
                "start one (spork run), or name its admin listener with --admin",
            ) from error
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """What ``GET /status`` says. Raises Failure."""
        reply = self.ask("GET", "/status")
        try:
            found = json.loads(reply.text)
        except ValueError:
            found = None
        if reply.status != 200 or not isinstance(found, dict):
            raise Failure(f"{self}/status is not a gateway's: it answered {reply.status}", "name the admin listener")
        return found

    def connection(self, seconds: float) -> http.client.HTTPConnection:
        """A connection to it, not open yet. ``seconds``: for each step of it."""
        address = self.address
        if address.path:
            return _UnixConnection(address.path, seconds)
        host = _ANY.get(address.host, address.host)
        if not self.tls:
            return http.client.HTTPConnection(host, address.port, timeout=seconds)
        context = ssl.create_default_context(cafile=self.certificate)
        if self.certificate is not None:
            # Its own certificate is the proof, under whatever name it was asked.
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return http.client.HTTPSConnection(host, address.port, timeout=seconds, context=context)


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def named(text: str, option: str = "--admin") -> Admin:
    """The listener of ``http://127.0.0.1:8081``, ``127.0.0.1:8081``, ``https://…`` or ``unix:/…``. ``option``: which
    says so. Raises click.BadParameter.
    """
    tls = text.startswith("https://")
    authority = text if text.startswith("unix:") else urlsplit(text if "://" in text else f"//{text}").netloc
    if "://" in text and ":" not in authority.rpartition("]")[2]:
        authority = f"{authority}:{443 if tls else 80}"
    try:
        return Admin(Address.parse(authority), tls)
    except ParseError as error:
        remedy = "write it like http://127.0.0.1:8081 or unix:/run/spork.sock"
        raise click.BadParameter(f"{error.message}; {remedy}", param_hint=option) from None


def find(admin: str | None, file: Path | None) -> Admin:
    """The admin listener to ask: ``admin``, else SPORK_ADMIN_LISTEN, else the config file's, else the usual one.

    Of the file only ``admin`` is looked at: a probe must not fail because somebody is editing the routes. Raises
    Failure.
    """
    if admin is not None:
        return named(admin)
    path = file
    if path is None:
        try:
            path = files.find(None)
        except Failure:
            path = None
    listener = Admin(DEFAULT) if path is None else _configured(path)
    if listen := os.environ.get("SPORK_ADMIN_LISTEN"):
        return Admin(named(listen).address, listener.tls, listener.certificate)
    return listener


def _configured(path: Path) -> Admin:
    from spork_core.config.references import resolve
    from spork_core.config.source import YamlFault, parse

    try:
        source = parse(path.read_text(encoding="utf-8"))
        raw = source.resolve(lambda item: resolve(item, os.environ, path.parent))
    except (OSError, ValueError, YamlFault) as error:
        raise _unreadable(path, error) from error
    found = raw.get("admin", {}) if isinstance(raw, dict) else {}
    if found is None:
        raise Failure(f"{path} switches the admin listener off (admin: null)", "give it an address, or use --admin")
    listen = found.get("listen", str(DEFAULT)) if isinstance(found, dict) else str(DEFAULT)
    tls = listen.get("tls") if isinstance(listen, dict) else None
    address = listen.get("address", str(DEFAULT)) if isinstance(listen, dict) else listen
    try:
        return Admin(Address.parse(_text(address)), tls is not None, _certificate(tls, path.parent))
    except ParseError as error:
        raise _unreadable(path, error) from error


def _text(value: object) -> str:
    return str(getattr(value, "text", value))


def _certificate(tls: object, base: Path) -> Path | None:
    """The certificate of a listener's TLS settings: the first of several."""
    if not isinstance(tls, dict):
        return None
    several = tls.get("certificates")
    first = several[0] if isinstance(several, list) and several else tls
    name = first.get("certificate") if isinstance(first, dict) else None
    return None if name is None else base / _text(name)


def _unreadable(path: Path, error: Exception) -> Misconfigured:
    reason = getattr(error, "strerror", None) or str(error)
    return Misconfigured(f"the admin address in {path} cannot be read: {reason}", f"spork check {path}")
