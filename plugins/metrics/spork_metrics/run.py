"""The folder in which the workers of one run keep their numbers, and who of them is still there.

Rules
1. A run is one supervisor: its pid, when it began and its pid namespace stand in the folder's name, so that what
   another run has left, under the same pid even, is never counted. What dead runs have left is swept at the next start.
2. The folder is this user's alone: others may not write what would be counted.
3. Files are bounded by slots: a worker that comes in the place of another goes on in its file.
4. The last worker to leave removes the files. One that ends alone, to be replaced, is not the last.
"""

import os
import re
import shutil
import stat
import tempfile
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from attrs import frozen

from spork_metrics.cells import BadFile, FileRows, Owner, Taken, read

_PREFIX: Final = "spork-metrics"
_TRIES: Final = 4
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108  the folder in it is checked to be ours


class Unusable(Exception):
    """No folder can be had; its words say why."""


def started(pid: int) -> int | None:
    """When a process began, in ticks since the system did; None when it is gone, or a zombie. 0 without /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except PermissionError:
            pass
        return 0
    except OSError:  # it ended while being read
        return None
    return None if fields[0] in (b"Z", b"X") else int(fields[19])


def alive(owner: Owner) -> bool:
    """True while the process runs and has not said that it leaves."""
    return not owner.left and started(owner.pid) == owner.start


def _namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return 0


@frozen
class Run:
    """The files of one instance in the folder of one run."""

    folder: Path
    instance: str

    @classmethod
    def of(cls, parent: str | None, instance: str) -> Self:
        """Makes the folder for this process's supervisor, and sweeps what dead runs have left. Raises Unusable."""
        base = Path(parent or (_IN_MEMORY if os.access(_IN_MEMORY, os.W_OK) else tempfile.gettempdir()))
        mine = f"{_PREFIX}-{os.geteuid()}-{_namespace()}"
        supervisor = os.getppid()
        folder = base / f"{mine}-{supervisor}-{started(supervisor) or 0}"
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise Unusable(f"{folder} belongs to somebody else")
            _sweep(base, mine)
        except OSError as error:
            raise Unusable(f"no folder can be made in {base}: {error.strerror}") from error
        return cls(folder, quote(instance, safe="").replace(".", "%2E"))

    def open(self, slot: int, owner: Owner) -> FileRows:
        """The rows of a slot: those of the worker before, or new ones. Raises Unusable."""
        for number in range(_TRIES):
            rows = FileRows(self.folder / f"{self.instance}.{slot}.{number}.rows")
            try:
                rows.open(owner)
            except Taken:  # by an instance of this process whose exchanges still end
                rows.close()
            except OSError as error:
                rows.close()
                raise Unusable(f"{rows.path} cannot be written: {error.strerror}") from error
            else:
                return rows
        raise Unusable(f"{_TRIES} instances of this worker still end")

    def files(self) -> list[Path]:
        """The rows of all slots."""
        return sorted(self.folder.glob(f"{self.instance}.*.rows"))

    def told(self, slot: int) -> Path:
        """Where the worker of a slot writes what the kernel and the instances tell."""
        return self.folder / f"{self.instance}.{slot}.told"

    def all_told(self) -> list[Path]:
        """What the workers of all slots have written."""
        return sorted(self.folder.glob(f"{self.instance}.*.told"))

    def leave(self) -> None:
        """Removes the files of the instance if nobody is left, and the folder when it is empty."""
        for path in self.files():
            try:
                owner, _ = read(path)
            except (OSError, BadFile):
                continue
            if alive(owner):
                return
        for path in (*self.files(), *self.folder.glob(f"{self.instance}.*.t*")):
            path.unlink(missing_ok=True)
        try:
            self.folder.rmdir()
        except OSError:  # another instance's files are there
            pass


def _sweep(base: Path, mine: str) -> None:
    for folder in base.glob(f"{mine}-*"):
        found = re.fullmatch(rf"{mine}-(\d+)-(\d+)", folder.name)
        if found is not None and started(int(found[1])) != int(found[2]):
            shutil.rmtree(folder, ignore_errors=True)
