"""A gateway in a process of its own, so that its memory can be measured."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

PROGRAM = """
import asyncio, resource, sys
from spork_core.config.model import *
from spork_core.gateway import Gateway
from spork_core.workers.heap import keep_freed

async def main(url):
    gate = Gateway(GatewayConfig(
        listen=(Listener(Address("127.0.0.1", 0)),), admin=None,
        services={"up": ServiceConfig((EndpointConfig(url),))},
        routes={"all": RouteConfig(MatchConfig(), service="up")},
    ))
    await gate.start()
    print(gate.addresses[0].port, flush=True)
    await asyncio.Event().wait()

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
keep_freed()
if sys.argv[2] == "uvloop":
    import uvloop
    uvloop.run(main(sys.argv[1]))
else:
    asyncio.run(main(sys.argv[1]))
"""


class Process:
    """A running gateway."""

    def __init__(self, pid: int, port: int) -> None:
        self.pid = pid
        self.port = port

    def memory(self, field: str = "VmRSS") -> int:
        """Bytes of resident memory (``VmHWM``: the most there ever were)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.split(f"{field}:")[1].split()[0]) * 1024


@asynccontextmanager
async def process(url: str, loop: str = "asyncio") -> AsyncIterator[Process]:
    """A gateway in front of ``url`` on the event loop of that name."""
    root = Path(__file__).parents[2]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, url, loop, stdout=asyncio.subprocess.PIPE, env={**os.environ}, cwd=root
    )
    assert child.stdout is not None
    try:
        yield Process(child.pid, int(await asyncio.wait_for(child.stdout.readline(), 20)))
    finally:
        child.kill()
        await child.communicate()


@asynccontextmanager
async def server(play: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a backend that plays ``play`` on each connection."""
    tasks: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await play(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has closed the connection
        finally:
            writer.close()

    serving = await asyncio.start_server(run, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{serving.sockets[0].getsockname()[1]}"
    finally:
        serving.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
