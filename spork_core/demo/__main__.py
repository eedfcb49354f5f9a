"""One backend of the demo as a process: ``python -m spork_core.demo NAME FD`` serves on an inherited, bound socket.

It says "ready" on standard output, and ends when its standard input does: with the process that started it, however
that one ended. An interrupt from the terminal goes to the whole process group; this one leaves it to the gateway, which
needs its backends until it has finished what runs.
"""

import asyncio
import signal
import socket
import sys
from importlib import import_module

from aiohttp import web


async def serve(name: str, descriptor: int) -> None:
    """Serves the application of ``spork_core.demo.NAME`` until standard input ends."""
    application: web.Application = import_module(f"spork_core.demo.{name}").application()
    runner = web.AppRunner(application, handle_signals=False, access_log=None, shutdown_timeout=1)
    await runner.setup()
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(sys.stdin.fileno(), ended.set)  # nobody writes to it: readable means ended
    try:
        await web.SockSite(runner, socket.socket(fileno=descriptor)).start()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await ended.wait()
    finally:
        loop.remove_reader(sys.stdin.fileno())
        await runner.cleanup()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(serve(sys.argv[1], int(sys.argv[2])))
