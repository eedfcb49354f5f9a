"""The file that holds the process id of the supervisor, or of the one process that serves."""

import os
import signal
from pathlib import Path


class PidFile:
    """This process's id in a file; ``path`` None: nothing happens."""

    def __init__(self, path: Path | None) -> None:
        """Lays the file ready beside its place, so that what is wrong with that shows before anything is served. Raises
        OSError."""
        self._path = path
        self._text = f"{os.getpid()}\n"
        if path is not None:
            self._beside = path.with_name(f".{path.name}.{os.getpid()}")
            self._beside.write_text(self._text)

    def write(self) -> None:
        """Puts it in its place, whole, over what an earlier process left. Raises OSError."""
        if self._path is not None:
            self._beside.replace(self._path)

    def remove(self) -> None:
        """Removes it, unless it is another process's by now."""
        if self._path is not None:
            self._beside.unlink(missing_ok=True)
            if self._path.exists() and self._path.read_text() == self._text:
                self._path.unlink()


def signal_reload(pidfile: Path) -> None:
    """Asks the gateway whose pid stands in ``pidfile`` to reload. Raises OSError when there is no such file or process,
    and ValueError when no process id stands in it."""
    text = pidfile.read_text().strip()
    if not (text.isascii() and text.isdigit()) or int(text) < 1:
        raise ValueError(f"{pidfile} does not hold a process id")
    os.kill(int(text), signal.SIGHUP)
