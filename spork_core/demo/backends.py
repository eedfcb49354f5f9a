"""Starts and stops the demo's backends: each a process of this process group, on a socket bound here."""

import socket
import subprocess
import sys
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from spork_core.errors import SporkError

NAMES: Final = ("users", "echo")
"""The backends, each a module of this package."""

DEFAULT_PORTS: Final = {"users": 9001, "echo": 9002}
_HOST: Final = "127.0.0.1"
_GRACE: Final = 5.0


def free_socket(port: int, instead: bool = True) -> socket.socket:
    """A socket that listens on ``port`` of 127.0.0.1; on a free one when that is taken, and ``instead``.

    Raises OSError.
    """
    sock = socket.socket()
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((_HOST, port))
            sock.listen(128)
        except OSError:
            if not instead:
                raise
            sock.close()
            sock = socket.socket()
            sock.bind((_HOST, 0))
            sock.listen(128)
    except BaseException:
        sock.close()
        raise
    return sock


def free_port(port: int) -> int:
    """``port`` when it is free, else one that is, at this moment."""
    with free_socket(port) as sock:
        found: int = sock.getsockname()[1]
    return found


class Backends:
    """The running backends. ``urls``: the origin of each by name."""

    def __init__(self) -> None:
        self.urls: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Starts them and waits until each serves. Raises SporkError when one does not."""
        try:
            for name in NAMES:
                with free_socket(DEFAULT_PORTS[name]) as sock:
                    self.urls[name] = f"http://{_HOST}:{sock.getsockname()[1]}"
                    self._processes[name] = subprocess.Popen(  # noqa: S603  this Python, a module of this package
                        [sys.executable, "-m", "spork_core.demo", name, str(sock.fileno())],
                        pass_fds=[sock.fileno()],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                    )
            for name, process in self._processes.items():
                assert process.stdout is not None
                if process.stdout.readline() != b"ready\n":
                    raise SporkError(f"the demo's {name} backend ended at once (exit code {process.wait()})")
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for process in self._processes.values():
            with suppress(OSError):
                if process.stdin is not None:
                    process.stdin.close()
        for process in self._processes.values():
            try:
                process.wait(_GRACE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self._processes.clear()
