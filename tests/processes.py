"""A gateway in a process of its own, a backend in this one and a client, on real sockets, for tests of a whole life."""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent
MOST = 8.0
"""Seconds that anything may take."""


PROGRAM = """
import os, sys
from pathlib import Path
from spork_core.api import Plugin, hookimpl, setting
from spork_core.config import load
from spork_core.registry import Registry
from spork_core.workers import run, set_up_logging
import attrs

@attrs.frozen
class Doom:
    code: int = setting("Exit code.", default=0)
    shutdown: bool = setting("Hang at the end.", default=False)

class Doomed(Plugin[Doom]):
    Config = Doom
    @hookimpl
    def startup(self):
        if self.config.code:
            os._exit(self.config.code)
    @hookimpl
    def shutdown(self):
        if self.config.shutdown:
            __import__("time").sleep(60)

path, pidfile, *passed = sys.argv[1:]
if passed:
    os.dup2(int(passed[0]), 3)
    os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
set_up_logging("INFO")
plugins = Registry({"doomed": Doomed})
sys.exit(run(lambda: load(path, plugins=plugins), plugins, announce=print, pidfile=Path(pidfile)))
"""
"""Runs a config file, with a pidfile and perhaps a socket passed; its plugin ``doomed`` dies or hangs."""

TEXT = """
listen: {listen}
admin: {{listen: 127.0.0.1:0}}
workers: {workers}
timeouts: {{drain: {drain}}}
services: {{b: {{endpoints: ["{backend}"]}}}}
routes: {{all: {{match: {{}}, service: b}}}}
{more}
"""


class Files:
    """The config file and the pidfile of a test."""

    def __init__(self, folder: Path) -> None:
        self.config = folder / "spork.yaml"
        self.pidfile = folder / "spork.pid"

    def write(self, workers: int = 1, url: str = "http://127.0.0.1:9", more: str = "", **other: str) -> None:
        values = {"listen": "127.0.0.1:0", "drain": "5s", **other}
        self.config.write_text(TEXT.format(workers=workers, backend=url, more=more, **values))

    @property
    def pid(self) -> int:
        return int(self.pidfile.read_text())


class Client:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def to(cls, url: str) -> Self:
        kind, _, rest = url.partition(":")
        if kind == "unix":
            return cls(*await asyncio.open_unix_connection(rest))
        host, _, port = rest.removeprefix("//").partition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    async def send(self, path: str, method: str = "GET", **fields: str) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
        self.writer.write(f"{method} {path} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], str]:
        """Status, fields with lower-case names, body."""
        async with asyncio.timeout(MOST):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head[:-4].split("\r\n")
            fields = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
            body = await self.reader.readexactly(int(fields.get("content-length", "0")))
        return int(status.split()[1]), fields, body.decode()

    async def get(self, path: str, method: str = "GET", **fields: str) -> tuple[int, dict[str, str], str]:
        await self.send(path, method, **fields)
        return await self.answer()

    async def ended(self) -> bool:
        """Waits for the other side to end the connection."""
        async with asyncio.timeout(MOST):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True

    def close(self) -> None:
        self.writer.close()


async def refused(url: str) -> None:
    """Waits until nobody accepts connections."""
    async with asyncio.timeout(MOST):
        try:
            while True:
                (await Client.to(url)).close()
        except ConnectionRefusedError:
            pass


async def get(url: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    """One request on a connection of its own."""
    client = await Client.to(url)
    try:
        return await client.get(path, method)
    finally:
        client.close()


class Backend:
    """Answers ``ok``; what asks for /slow only after ``let_go``; what asks to upgrade gets its bytes back."""

    def __init__(self) -> None:
        self.url = ""
        self.connections = 0
        self.heads: deque[bytes] = deque(maxlen=8)
        """The last requests, as they came."""
        self.asked = asyncio.Event()
        """Somebody asked for /slow."""
        self.let_go = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                if b"\r\nUpgrade:" in head:
                    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
                    while data := await reader.read(1024):
                        writer.write(data)
                    return
                if head.startswith(b"GET /slow"):
                    self.asked.set()
                    await self.let_go.wait()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def backend() -> AsyncIterator[Backend]:
    found = Backend()
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(found.serve(reader, writer))
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield found
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


class GatewayProcess:
    """A program that calls ``workers.run``, with what it says."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid
        self.said: list[str] = []
        """Lines of stdout and stderr."""
        self.listening: list[str] = []
        self.admin = ""

    async def line(self, *words: str) -> str:
        """The next line that has all the words."""
        assert self.process.stdout is not None
        async with asyncio.timeout(MOST):
            while text := (await self.process.stdout.readline()).decode():
                self.said.append(text.rstrip())
                if all(word in text for word in words):
                    return text
        raise AssertionError(f"it ended without a line with {words}:\n" + "\n".join(self.said))

    async def ready(self) -> None:
        await self.line("ready: ")
        self.listening = [text.split()[-1] for text in self.said if text.startswith("listening on ")]
        self.admin = next((text.split()[-1] for text in self.said if text.startswith("admin on ")), "")

    async def ended(self) -> int:
        """The exit code, when the process and all its children are gone."""
        assert self.process.stdout is not None
        async with asyncio.timeout(MOST):
            self.said += (await self.process.stdout.read()).decode().splitlines()
            return await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@asynccontextmanager
async def gateway_process(
    program: str, *arguments: object, environ: Mapping[str, str] | None = None, pass_fds: tuple[int, ...] = ()
) -> AsyncIterator[GatewayProcess]:
    """Runs Python text; whatever becomes of it, nothing of it is left behind."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        *map(str, arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environ or {})},
        pass_fds=pass_fds,
        start_new_session=True,
    )
    try:
        yield GatewayProcess(process)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await process.communicate()
