"""Proxies and the backend in processes of their own: pinned to cores, watched through the kernel's accounts."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from benchmarks import peers
from benchmarks.options import SPORK, Missing, root, say
from benchmarks.subjects import Subject
from benchmarks.valkey import Valkey, valkey

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_START: Final = 30.0
_STOP: Final = 8.0
BIG: Final = 1 << 20
"""Bytes of the backend's /big."""


def cores() -> tuple[int, int, int]:
    """The cores of the proxy, of wrk and of the backend: as many different ones as this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[1 % len(usable)], usable[min(2, len(usable) - 1)]


def pinned(core: int) -> list[str]:
    """What to put before a command so that it stays on ``core``. Raises Missing."""
    return [peers.tool("taskset"), "-c", str(core)]


class Running:
    """A process with its descendants. ``port``: where it listens on 127.0.0.1."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, errors: Path) -> None:
        self.process = process
        self.port = port
        self.errors = errors
        self.store: Valkey | None = None
        """The one that it was given; not among its own processes."""

    def pids(self) -> list[int]:
        """The process and its descendants."""
        found, todo = [], [self.process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    todo += map(int, children.read_text().split())
                except OSError:
                    continue
        return found

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU so far, in user code and in the system."""
        return spent(self.pids())

    def files(self) -> int:
        """Open files, connections among them."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.pids())

    def rss(self) -> float:
        """Resident memory in MiB."""
        total = 0
        for pid in self.pids():
            try:
                lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return total / 1024

    def await_port(self) -> None:
        """Returns when it accepts connections. Raises RuntimeError when it does not come to that."""
        end = time.monotonic() + _START
        while time.monotonic() < end and self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        said = self.errors.read_text(errors="replace").strip()[-800:]
        raise RuntimeError(f"{self.process.args!r} did not start: {said or 'it says nothing'}")

    def stop(self) -> None:
        """Ends the process, gently at first."""
        self.process.terminate()
        try:
            self.process.wait(_STOP)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def spent(pids: Sequence[int]) -> tuple[float, float]:
    """Seconds of CPU that processes have taken so far, in user code and in the system."""
    user = system = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        user, system = user + int(fields[11]), system + int(fields[12])
    return user / _TICKS, system / _TICKS


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def workshop(backend_port: int) -> Iterator["Workshop"]:
    """A directory for this run and a running backend; all gone afterwards. Raises Missing."""
    root().mkdir(parents=True, exist_ok=True)
    run = Path(tempfile.mkdtemp(prefix="run-", dir=root()))
    run.chmod(0o755)  # nginx gives up root's rights and must still read the directory
    try:
        (run / "big.bin").write_bytes(os.urandom(BIG))
        shop = Workshop(run, backend_port or free_port())
        core = cores()[2]
        with shop.started(peers.command(peers.BACKEND, shop.values(0)), shop.backend, core, {}) as shop.server:
            yield shop
    finally:
        shutil.rmtree(run, ignore_errors=True)


def busy() -> float:
    """Seconds that the machine's cores have spent on processes so far."""
    user, nice, system = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:4]
    return (int(user) + int(nice) + int(system)) / _TICKS


class Workshop:
    """Starts subjects in front of the backend at ``backend``."""

    def __init__(self, run: Path, backend: int) -> None:
        self.run = run
        self.backend = backend
        self.server: Running | None = None
        """The backend."""

    def foreign(self, running: Running) -> float:
        """Seconds that the machine's cores have spent on others than ``running``, the backend, its store and what has
        ended here; only differences mean something."""
        own = os.times()
        backend = 0.0 if self.server is None else sum(self.server.cpu())
        store = 0.0 if running.store is None else sum(spent([running.store.process.pid]))
        return busy() - sum(running.cpu()) - backend - store - own.children_user - own.children_system

    def values(self, port: int) -> dict[str, object]:
        """What the peers' files are filled in with."""
        return {"RUN": self.run, "PORT": port, "BACKEND": self.backend, "ADMIN": free_port()}

    @contextmanager
    def started(self, command: Sequence[str], port: int, core: int, environ: Mapping[str, str]) -> Iterator[Running]:
        """A command that runs on ``core`` and listens on ``port``."""
        errors = self.run / f"{port}.err"
        with errors.open("wb") as stream:
            running = Running(_spawn([*pinned(core), *command], environ, stream), port, errors)
        try:
            running.await_port()
            yield running
        finally:
            running.stop()

    @contextmanager
    def serving(self, subject: Subject) -> Iterator[Running]:
        """``subject``, started afresh on the proxy's core; its Valkey on the backend's. Raises Missing."""
        port = free_port()
        environ = {"GOMAXPROCS": "1"}
        with ExitStack() as stack:
            store = stack.enter_context(valkey(pinned(cores()[2]))) if subject.store else None
            if store is not None:
                environ["SPORK_BENCH_STORE"] = store.url
            if subject.config is None:
                command = peers.command(peers.PEERS[subject.name], self.values(port))
            else:
                environ |= subject.environ
                environ["SPORK_BENCH_BACKEND"] = f"http://127.0.0.1:{self.backend}"
                command = [
                    *SPORK,
                    "run",
                    str(subject.config),
                    "--listen",
                    f"127.0.0.1:{port}",
                    "--log-level",
                    "warning",
                ]
            running = stack.enter_context(self.started(command, port, cores()[0], environ))
            running.store = store
            time.sleep(0.4)  # some are still setting up behind the open port
            yield running

    def usable(self, subject: Subject) -> str:
        """Why ``subject`` cannot be measured here; "" when it can."""
        try:
            with self.serving(subject):
                return ""
        except (Missing, RuntimeError) as error:
            say(f"{subject.name}: {error}")
            return str(error)


def _spawn(command: Sequence[str], environ: Mapping[str, str], errors: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
    )
