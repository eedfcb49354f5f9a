"""Keeps the embedded server of one gateway: a program of its own, of the standard library only.

    python -I -S guardian.py OWNER BIRTH FOLDER MEMORY BINARY

Rules of this file
1. It ends when the process OWNER ends (the supervisor of the workers, or the gateway itself), however that ends, and
   the server ends with it; also when it is killed itself (Linux).
2. Each user, a worker, keeps a connection to ``FOLDER/guardian``. It is told ``ready`` when the server answers.
3. When the last user has said goodbye, the server is of no use any more. One that just vanished will come back.
4. A server that ends by itself is started again, with growing pauses.
5. Signals that ask a whole group of processes to end do not end it: the gateway may still need its store to drain.
6. Files of ``FOLDER`` come and go under the lock that the users take, too.
"""

import ctypes
import fcntl
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

READY = b"ready\n"
GOODBYE = b"goodbye\n"
CONTROL = "guardian"
SOCKET = "store"
LOG = "log"
LOCK = "lock"
LOOK = 1.0
"""Seconds between two looks at the owner where the system cannot tell of its end by itself."""
ABSENT = 60.0
"""Seconds without any user, after one vanished, for which the server waits."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0
TRY = 0.005
"""Seconds between two attempts to reach a server that starts."""
_PR_SET_PDEATHSIG = 1


def birth(pid: int) -> str:
    """What tells a process from a later one with the same number: when it began, and in which PID namespace; "" where
    there is no /proc. Raises ProcessLookupError when there is no such process."""
    try:
        began = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        os.kill(pid, 0)
        return ""
    return f"{began}.{namespace.strip('pid:[]')}"


def answers(path: Path) -> bool:
    """True when somebody listens on a unix socket."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


class Guardian:
    """The server, its users and its owner."""

    def __init__(self, owner: int, born: str, folder: Path, memory: int, binary: str) -> None:
        self.owner = owner
        self.born = born
        self.folder = folder
        self.command = [
            binary, "--port", "0", "--unixsocket", str(folder / SOCKET), "--unixsocketperm", "700", "--save", "",
            "--appendonly", "no", "--daemonize", "no", "--dir", str(folder), "--loglevel", "warning",
            "--maxmemory", str(memory), "--maxmemory-policy", "volatile-lru",
        ]  # fmt: skip
        self.selector = selectors.DefaultSelector()
        self.users: set[socket.socket] = set()
        self.server: subprocess.Popen[bytes] | None = None
        self.answers = False
        self.pause = 0.0
        self.start_at = 0.0
        self.started = 0.0
        self.vanished_at = time.monotonic()
        """When the last user was lost, or nobody had come yet."""
        self.over = False

    def run(self) -> None:
        """Until the owner ends, or the last user has gone."""
        with socket.socket(socket.AF_UNIX) as control, suppress(ProcessLookupError):
            self.watch_owner()
            path = self.folder / CONTROL
            path.unlink(missing_ok=True)
            control.bind(str(path))
            control.listen(64)
            control.setblocking(False)
            self.selector.register(control, selectors.EVENT_READ, self.accept)
            while not self.over:
                self.turn()
        if self.server is not None:
            self.server.kill()
            self.server.wait()
        with suppress(OSError), (self.folder / LOCK).open("ab") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not answers(self.folder / CONTROL):  # else there is another guardian by now
                shutil.rmtree(self.folder, ignore_errors=True)

    def watch_owner(self) -> None:
        """Raises ProcessLookupError when it is gone already."""
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.selector.register(os.pidfd_open(self.owner), selectors.EVENT_READ, self.end)
        if birth(self.owner) != self.born:
            raise ProcessLookupError

    def end(self, *_: object) -> None:
        """Ends."""
        self.over = True

    def turn(self) -> None:
        """Waits for something to happen, and sees to it."""
        now = time.monotonic()
        if self.server is None and now >= self.start_at:
            self.start()
        starting = self.server is not None and not self.answers
        for key, _ in self.selector.select(TRY if starting else min(LOOK, max(0.0, self.start_at - now) or LOOK)):
            key.data(key.fileobj)
        if self.server is not None and self.server.poll() is not None:
            self.restart()
        elif starting:
            self.try_it()
        if not self.users and time.monotonic() - self.vanished_at > ABSENT:
            self.end()
        try:
            if birth(self.owner) != self.born:
                self.end()
        except ProcessLookupError:
            self.end()

    # -- the server -----------------------------------------------------------------------------------

    def start(self) -> None:
        """Starts the server."""
        self.started = time.monotonic()
        self.answers = False
        (self.folder / SOCKET).unlink(missing_ok=True)
        with (self.folder / LOG).open("wb") as log:
            self.server = subprocess.Popen(  # noqa: S603  the operator's choice
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  there are no threads here
            )
        if hasattr(os, "pidfd_open"):
            with suppress(OSError):
                self.selector.register(os.pidfd_open(self.server.pid), selectors.EVENT_READ, self.buried)

    def buried(self, descriptor: object) -> None:
        """The server has ended; ``turn`` sees to it."""
        assert isinstance(descriptor, int)
        self.selector.unregister(descriptor)
        os.close(descriptor)

    def restart(self) -> None:
        """The server has ended by itself."""
        self.server = None
        now = time.monotonic()
        steady = now - self.started > LONGEST_PAUSE
        self.pause = FIRST_PAUSE if steady else min(max(self.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self.start_at = now + self.pause

    def try_it(self) -> None:
        """Tells the users, once the server answers."""
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)
            try:
                probe.connect(str(self.folder / SOCKET))
                probe.sendall(b"PING\r\n")
                self.answers = probe.recv(16).startswith(b"+PONG")
            except OSError:
                return
        if self.answers:
            for user in tuple(self.users):
                self.tell(user)

    # -- users ----------------------------------------------------------------------------------------

    def accept(self, control: socket.socket) -> None:
        """A user comes."""
        with suppress(OSError):
            user, _ = control.accept()
            user.setblocking(False)
            self.users.add(user)
            self.selector.register(user, selectors.EVENT_READ, self.hear)
            if self.answers:
                self.tell(user)

    def tell(self, user: socket.socket) -> None:
        """Says that the server answers."""
        with suppress(OSError):
            user.send(READY)

    def hear(self, user: socket.socket) -> None:
        """A user goes."""
        try:
            said = user.recv(64)
        except OSError:
            said = b""
        self.selector.unregister(user)
        self.users.discard(user)
        user.close()
        self.vanished_at = time.monotonic()
        if said == GOODBYE and not self.users:
            self.end()


def _die_with_parent() -> None:
    """Called in the child, before the server takes its place: it ends when this program is killed (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if os.fork():  # nobody's child: it outlives the worker that started it, which need not bury it
        os._exit(0)
    os.setsid()
    Guardian(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), sys.argv[5]).run()
