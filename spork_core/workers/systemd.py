"""What a service manager offers: sockets that it has bound (LISTEN_FDS), and an ear for our state (NOTIFY_SOCKET)."""

import logging
import os
import socket
import time
from collections.abc import MutableMapping
from typing import Final

log = logging.getLogger("spork_core.workers")

_FIRST_FD: Final = 3


def passed_sockets(environ: MutableMapping[str, str] = os.environ) -> list[tuple[str, socket.socket]]:
    """The sockets passed to this process, each with its name (``FileDescriptorName=``), as sd_listen_fds(3) defines;
    none when they were passed to another. The variables are taken out, so that no child believes in them."""
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    found = []
    for at in range(int(count)):
        sock = socket.socket(fileno=_FIRST_FD + at)
        sock.set_inheritable(False)
        sock.setblocking(False)
        found.append((names[at] if at < len(names) else "", sock))
    return found


class Notifier:
    """Tells the service manager what goes on, as sd_notify(3) defines; silent when there is none."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        """Takes the variable out, so that no child speaks in this process's name."""
        self._address = environ.pop("NOTIFY_SOCKET", "")
        if self._address.startswith("@"):
            self._address = "\0" + self._address[1:]

    def ready(self) -> None:
        """Serving: after the start and at the end of every reload, however it went."""
        self._send("READY=1")

    def reloading(self) -> None:
        """A reload has begun."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            try:
                sock.sendto(state.encode(), self._address)
            except OSError as error:
                log.warning("the service manager cannot be told %s: %s", state.partition("\n")[0], error)
