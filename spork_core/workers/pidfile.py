"""The file that holds the process id of the supervisor, or of the one process that serves."""

import os
import signal
from pathlib import Path


class PidFile:
    """This process's id in a file; ``path`` None: nothing happens."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._text = f"{os.getpid()}\n"
        self._written = False

    def write(self) -> None:
        """Writes it, never visible in part, over what an earlier process left. Raises OSError."""
        if self._path is not None:
            beside = self._path.with_name(f".{self._path.name}.{os.getpid()}")
            beside.write_text(self._text)
            beside.replace(self._path)
            self._written = True

    def remove(self) -> None:
        """Removes it if it was written here and still is ours."""
        if self._path is not None and self._written:
            self._written = False
            try:
                if self._path.read_text() == self._text:
                    self._path.unlink()
            except FileNotFoundError:
                pass


def signal_reload(pidfile: Path) -> None:
    """Asks the gateway whose pid stands in ``pidfile`` to reload. Raises OSError when there is no such file or process,
    and ValueError when no process id stands in it."""
    text = pidfile.read_text().strip()
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError(f"{pidfile} does not hold a process id")
    os.kill(int(text), signal.SIGHUP)
