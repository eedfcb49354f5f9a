"""The embedded server in real gateways: shared by workers, alive as long as they are, and not for longer."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from spork_redis import embedded

from spork_core.testing import holds
from tests.processes import Client, Files, GatewayProcess, gateway_process

PROGRAM = """
import os, sys
from pathlib import Path
from spork_core.api import STORE, Plugin, Response, StoreDown, hookimpl
from spork_core.config import load
from spork_core.registry import Registry
from spork_core.workers import run, set_up_logging
from spork_redis import Redis

class Counter(Plugin):
    @hookimpl
    def startup(self, gateway):
        self.store = gateway.resources[STORE]
    @hookimpl
    async def serve(self, exchange):
        try:
            count = await self.store.add("n")
        except StoreDown as error:
            return Response(503, error.reason)
        return Response(200, f"{count}", {"Worker": str(os.getpid())})

path, pidfile = sys.argv[1:]
set_up_logging("INFO")
plugins = Registry({"counter": Counter, "redis": Redis})
sys.exit(run(lambda: load(path, plugins=plugins), plugins, announce=print, pidfile=Path(pidfile)))
"""
PLUGINS = "plugins: {{counter: {{}}, store: {{use: redis, url: embedded, {settings}}}}}\nchain: [counter]\n"
LOCK_WAIT = "breaker: {first_pause: 20ms, longest_pause: 50ms}"

pytestmark = pytest.mark.slow
both = pytest.mark.parametrize("workers", [1, 2])


def processes(word: str) -> dict[str, int]:
    """Pids of those whose command line has ``word``, by their program."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().decode(errors="replace")
        except OSError:
            continue
        if word in line:
            found["guardian" if "guardian.py" in line else "server"] = int(path.parent.name)
    return found


class Counting:
    """A gateway whose answers count in its store."""

    def __init__(self, gateway: GatewayProcess, files: Files) -> None:
        self.gateway = gateway
        self.files = files
        self.word = f"{embedded.FOLDERS}{gateway.pid}-"

    @property
    def processes(self) -> dict[str, int]:
        return processes(self.word)

    @property
    def folders(self) -> list[Path]:
        return list(embedded._base().glob(f"{self.word}*"))

    async def count(self) -> tuple[int, int]:
        """What it counts, and which worker did; waits while the store is down."""
        async with asyncio.timeout(8):
            while True:
                client = await Client.to(self.gateway.listening[0])
                try:
                    status, fields, text = await client.get("/")
                finally:
                    client.close()
                if status == 200:
                    return int(text), int(fields["worker"])

    async def workers(self) -> set[int]:
        """Pids of both, by asking until both have answered."""
        found: set[int] = set()
        async with asyncio.timeout(8):
            while len(found) < 2:
                found.add((await self.count())[1])
        return found

    async def gone(self) -> None:
        await holds(lambda: not self.processes and not self.folders, "everything to be gone")

    async def reloaded(self, settings: str = LOCK_WAIT, more: str = "") -> None:
        self.files.write(self.count_of_workers, more=PLUGINS.format(settings=settings) + more)
        self.gateway.signal(signal.SIGHUP)
        for _ in range(self.count_of_workers):
            await self.gateway.line("reload")

    count_of_workers = 1


@asynccontextmanager
async def counting(folder: Path, workers: int = 2) -> AsyncIterator[Counting]:
    files = Files(folder)
    files.write(workers, more=PLUGINS.format(settings=LOCK_WAIT))
    async with gateway_process(PROGRAM, files.config, files.pidfile) as gateway:
        await gateway.ready()
        found = Counting(gateway, files)
        found.count_of_workers = workers
        yield found
    await found.gone()


async def test_workers_share_one_counter(tmp_path: Path) -> None:
    async with counting(tmp_path) as gateway:
        found = await asyncio.gather(*(gateway.count() for _ in range(60)))
        more = [await gateway.count() for _ in range(20)]

        assert sorted(number for number, _ in found) == list(range(1, 61))
        assert [number for number, _ in more] == list(range(61, 81))
        assert len(await gateway.workers()) == 2
        assert set(gateway.processes) == {"guardian", "server"}


def open_ports(pid: int) -> list[str]:
    """The TCP sockets of a process, by their inodes."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = [link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")]
    assert sockets
    tcp = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    return [inode for inode in sockets if f" {inode} " in tcp]


async def test_only_its_user_may_enter_and_no_port_is_open(tmp_path: Path) -> None:
    async with counting(tmp_path, 1) as gateway:
        (folder,) = gateway.folders

        assert folder.stat().st_mode & 0o777 == 0o700
        assert open_ports(gateway.processes["server"]) == []


async def test_it_survives_a_worker(tmp_path: Path) -> None:
    async with counting(tmp_path) as gateway:
        before, worker = await gateway.count()
        server = gateway.processes
        os.kill(worker, signal.SIGKILL)
        await gateway.gateway.line("killed by SIGKILL")
        await gateway.workers()

        assert (await gateway.count())[0] > before
        assert gateway.processes == server


async def test_a_server_that_crashes_is_started_again(tmp_path: Path) -> None:
    async with counting(tmp_path, 1) as gateway:
        await gateway.count()
        server = gateway.processes["server"]
        os.kill(server, signal.SIGKILL)

        await holds(lambda: gateway.processes.get("server", server) != server, "another server")
        assert (await gateway.count())[0] < 60


async def test_where_its_guardian_is_killed_it_goes_and_another_comes(tmp_path: Path) -> None:
    async with counting(tmp_path) as gateway:
        await gateway.count()
        before = gateway.processes
        os.kill(before["guardian"], signal.SIGKILL)

        await holds(lambda: len(gateway.processes) == 2 and not set(gateway.processes.values()) & set(before.values()))
        assert (await gateway.count())[0] < 60
        assert len(gateway.folders) == 1


@pytest.mark.parametrize(
    ("workers", "how"), [(1, signal.SIGKILL), (2, signal.SIGKILL), (2, signal.SIGTERM), (1, signal.SIGINT)]
)
async def test_it_dies_with_the_gateway(tmp_path: Path, workers: int, how: signal.Signals) -> None:
    async with counting(tmp_path, workers) as gateway:
        await gateway.count()

        gateway.gateway.signal(how)

        await gateway.gone()


async def test_two_gateways_have_two(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    async with counting(tmp_path, 1) as one, counting(tmp_path_factory.mktemp("other"), 1) as other:
        for _ in range(3):
            await one.count()

        assert (await other.count())[0] == 1


@both
async def test_a_reload_keeps_it(tmp_path: Path, workers: int) -> None:
    async with counting(tmp_path, workers) as gateway:
        before, server = (await gateway.count())[0], gateway.processes
        await gateway.reloaded(LOCK_WAIT + ", command_timeout: 40ms")

        assert (await gateway.count())[0] == before + 1
        assert gateway.processes == server


async def test_a_reload_without_it_ends_it(tmp_path: Path) -> None:
    async with counting(tmp_path) as gateway:
        await gateway.count()
        gateway.files.write(2, more="plugins: {counter: {}}\nchain: [counter]\n")
        gateway.gateway.signal(signal.SIGHUP)

        await gateway.gone()
