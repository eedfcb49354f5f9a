"""Asks the admin listener of a running gateway, for the commands."""

import http.client
import json
import socket
from typing import Any
from urllib.parse import urlsplit

import click

_SECONDS = 5.0


def ask(admin: str, method: str, path: str, content: Any) -> tuple[int, str]:
    """The status and the text of the answer. ``admin``: ``http://127.0.0.1:8081``, ``127.0.0.1:8081`` or ``unix:/…``.
    Raises ClickException when nobody answers."""
    connection = _connection(admin)
    try:
        headers = {"Content-Type": "application/json", "Accept": "text/plain", "Connection": "close"}
        connection.request(method, path, json.dumps(content), headers)
        answer = connection.getresponse()
        return answer.status, answer.read(1 << 20).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise click.ClickException(f"No gateway answers at {admin}: {reason}.") from error
    finally:
        connection.close()


def _connection(admin: str) -> http.client.HTTPConnection:
    if admin.startswith("unix:"):
        return _Unix(admin.removeprefix("unix:"))
    parts = urlsplit(admin if "://" in admin else f"http://{admin}")
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(parts.hostname or "", parts.hostname or "127.0.0.1")
    return kind(host, parts.port, timeout=_SECONDS)


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(_SECONDS)
        self.sock.connect(self._path)
