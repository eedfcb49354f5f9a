"""Measures how exact limits are: gateways as processes with workers, one Valkey, clients that ask without a pause.

``PYTHONPATH=. python plugins/rate-limit/tests/accuracy.py`` prints the table of docs/explanation/rate-limits.md.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from attrs import frozen

from tests.services import free_port, valkey

COUNT: Final = 100
"""The limit: so many in a second."""
SECONDS: Final = 3.0
"""How long the clients ask."""


@frozen
class Setup:
    """``gateways`` with ``workers`` each, which count in ``store``; ``clients`` ask at the same time."""

    algorithm: str
    gateways: int
    workers: int
    clients: int
    store: str = "shared"
    policy: str = "deny"
    """``on_store_error``: with ``deny`` no answer that comes late, on a machine with more to do than it can, lets
    anybody through."""


SETUPS: Final = [
    *(
        Setup(algorithm, gateways, workers, clients)
        for algorithm in ("sliding-window", "gcra", "fixed-window")
        for gateways, workers, clients in ((1, 1, 8), (1, 2, 64), (3, 2, 64))
    ),
    Setup("sliding-window", 3, 2, 64, policy="local"),
    Setup("sliding-window", 1, 1, 64, "memory"),
    Setup("sliding-window", 1, 2, 64, "memory"),
]


def config(setup: Setup, port: int, backend: int, socket: str) -> str:
    """A gateway's config."""
    limit = {
        "use": "rate-limit",
        "limit": f"{COUNT}/second",
        "by": "route",
        "algorithm": setup.algorithm,
        "store": setup.store,
        "on_store_error": setup.policy,
    }
    plugins: dict[str, object] = {"limit": limit}
    if setup.store == "shared":
        plugins["store"] = {"use": "redis", "url": f"unix://{socket}"}
    whole = {
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": "127.0.0.1:0"},
        "workers": setup.workers,
        "services": {"up": {"endpoints": [f"http://127.0.0.1:{backend}"]}},
        "plugins": plugins,
        "chain": ["limit"],
        "routes": {"all": {"match": {"path": "/*"}, "service": "up"}},
    }
    return json.dumps(whole)  # JSON is YAML, too


async def backend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers 200 to everything."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def client(port: int, until: float) -> list[tuple[float, float]]:
    """When each request that was let through was sent, and when it was answered."""
    passed = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (sent := time.monotonic()) < until:
        writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
        if head.startswith(b"HTTP/1.1 200"):
            passed.append((sent, time.monotonic()))
    writer.close()
    return passed


async def up(port: int) -> None:
    """Returns when the gateway answers."""
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


def most(passed: list[tuple[float, float]]) -> int:
    """The most that were sent and answered within one second: a lower bound, which a breach of the limit exceeds."""
    ends = sorted(answered for _, answered in passed)
    return max((sum(end - 1 < sent and answered <= end for sent, answered in passed) for end in ends), default=0)


async def measured(setup: Setup, folder: Path, socket: str) -> str:
    """One line of the table."""
    server = await asyncio.start_server(backend, "127.0.0.1", 0)
    ports = [free_port() for _ in range(setup.gateways)]
    gateways = []
    for port in ports:
        path = folder / f"{port}.yaml"
        path.write_text(config(setup, port, server.sockets[0].getsockname()[1], socket))
        gateways.append(await asyncio.create_subprocess_exec(sys.executable, "-m", "spork_core", "run", str(path)))
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(*map(up, ports))
        await asyncio.sleep(1)  # every worker has begun, and has found the store
        until = time.monotonic() + SECONDS
        told = await asyncio.gather(*(client(ports[at % len(ports)], until) for at in range(setup.clients)))
    finally:
        for gateway in gateways:
            if gateway.returncode is None:
                gateway.send_signal(signal.SIGTERM)
        for gateway in gateways:
            await gateway.wait()
        server.close()
    passed = [each for one in told for each in one]
    where = f"the store, {setup.policy}" if setup.store == "shared" else "memory"
    return (
        f"| {setup.algorithm} | {where} | {setup.gateways} × {setup.workers} | {setup.clients} | {COUNT} | "
        f"{most(passed)} | {len(passed)} |"
    )


async def main() -> None:
    """Prints the table."""
    sys.stdout.write("| algorithm | counts in | gateways × workers | clients | limit | most in any second | in 3 s |\n")
    sys.stdout.write("|---|---|---|---|---|---|---|\n")
    with tempfile.TemporaryDirectory() as folder, valkey() as server:
        for setup in SETUPS:
            sys.stdout.write(await measured(setup, Path(folder), server.path) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
