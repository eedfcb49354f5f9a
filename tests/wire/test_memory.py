"""How much memory idle clients take, and that requests leave nothing behind."""

import asyncio
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Iterator
from typing import cast

import pytest

from tests.wire.conftest import GET, OK
from tests.wire.processes import process, server

KIB = 1024


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)


class Client(asyncio.Protocol):
    """Sends a request, and another one for each answer until ``left`` are sent."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.done = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None
        self.got = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.next()

    def next(self) -> None:
        assert self.transport is not None
        if self.left == 0:
            self.done.set_result(None)
            return
        self.left -= 1
        self.transport.write(GET)

    def data_received(self, data: bytes) -> None:
        self.got += data
        if self.got.endswith(b"\r\n\r\nok"):
            assert self.got.startswith(b"HTTP/1.1 200")
            self.got = b""
            self.next()

    def close(self) -> None:
        assert self.transport is not None
        self.transport.abort()


async def clients(port: int, number: int, requests: int) -> list[Client]:
    """``number`` connections, each of which has had ``requests`` answers."""
    loop = asyncio.get_running_loop()
    made = []
    for at in range(0, number, 100):
        some = [
            loop.create_connection(lambda: Client(requests), "127.0.0.1", port)
            for _ in range(at, min(at + 100, number))
        ]
        made += [client for _, client in await asyncio.gather(*some)]
        await asyncio.gather(*(client.done for client in made[at:]))
    return made


@pytest.fixture
def many_files() -> Iterator[None]:
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < 11_000:
        pytest.skip("too few file descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, 11_000), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("number", [1000, pytest.param(5000, marks=pytest.mark.slow)])
async def test_an_idle_client_takes_at_most_10_kib(many_files: None, loop: str, number: int) -> None:
    async with server(answer) as url, process(url, loop) as gate:
        for client in await clients(gate.port, 200, 1):  # what is needed but once
            client.close()
        before = gate.memory()
        idle = await clients(gate.port, number, 1)
        each = (gate.memory() - before) / number
        sys.stdout.write(
            f"{loop}: {each / KIB:.1f} KiB for each of {number} idle clients, {before / KIB / KIB:.1f} MiB without\n"
        )
        assert each <= 10 * KIB
        for client in idle:
            client.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("requests", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_requests_leave_nothing_behind(requests: int) -> None:
    async with server(answer) as url, process(url, "uvloop") as gate:
        for client in await clients(gate.port, 20, 100):
            client.close()
        before = gate.memory()
        for client in await clients(gate.port, 20, requests // 20):
            client.close()
        grown = gate.memory() - before
        sys.stdout.write(f"{grown / KIB:.0f} KiB more after {requests} requests\n")
        assert grown < 1024 * KIB


@pytest.mark.timeout(180)
@pytest.mark.parametrize("number", [2000, pytest.param(20_000, marks=pytest.mark.slow)])
async def test_connections_leave_nothing_behind(number: int) -> None:
    async with server(answer) as url, process(url, "uvloop") as gate:
        for at in range(3):
            for client in [c for _ in range(number // 200 if at else 5) for c in await clients(gate.port, 100, 1)]:
                client.close()
            if at == 1:
                before = gate.memory()
        assert gate.memory() - before < 1024 * KIB


FAULTS = """
import resource
from spork_core.workers.heap import keep_freed
keep_freed()
for at in range(101):
    blocks = [b"a" * 256_000 for _ in range(8)]
    del blocks
    if at == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_the_memory_of_one_read_serves_the_next() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    faults = subprocess.run([sys.executable, "-c", FAULTS], env=environ, capture_output=True, check=True).stdout
    assert int(faults) < 1000  # 50,000 without
