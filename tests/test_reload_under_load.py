"""Two hundred reloads while clients are served: none of them notices, and nothing piles up."""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.processes import Client, backend, gateway_process
from tests.test_reload import ROUTE, TEXT

PROGRAM = """
import itertools, sys
from spork_core.config import loads
from spork_core.registry import Registry
from spork_core.workers import run, set_up_logging
from tests.test_reload import Stamp

Stamp.note = lambda *_: None  # what it notes would grow
text = sys.argv[1]
numbers = itertools.count()
plugins = Registry({"stamp": Stamp})
set_up_logging("INFO")
sys.exit(run(lambda: loads(text.replace("NUMBER", str(next(numbers))), plugins=plugins), plugins, announce=print))
"""


def resident(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads resident memory from /proc")
async def test_200_reloads_under_load_fail_no_request_and_keep_no_memory() -> None:
    async with backend() as upstream:
        text = TEXT.replace("DRAIN", "5s").replace("URL", upstream.url) + ROUTE.replace("CHAIN", "a, b")
        text += "plugins: {a: {use: stamp, word: w-NUMBER}, b: {use: stamp, word: same}}"
        async with gateway_process(PROGRAM, text) as gateway:
            await gateway.ready()
            answers: list[tuple[int, str]] = []

            async def ask() -> None:
                client = await Client.to(gateway.listening[0])
                try:
                    while True:
                        code, fields, _ = await client.get("/")
                        answers.append((code, fields["x-a"]))
                finally:
                    client.close()

            askers = [asyncio.create_task(ask()) for _ in range(4)]
            for reload in range(200):
                gateway.signal(signal.SIGHUP)
                await gateway.line("reloaded: ")
                if reload == 50:
                    before = resident(gateway.pid)
            grown = resident(gateway.pid) - before
            for asker in askers:
                asker.cancel()
            assert all(
                isinstance(end, asyncio.CancelledError) for end in await asyncio.gather(*askers, return_exceptions=True)
            )
            assert {code for code, _ in answers} == {200}
            assert len({word for _, word in answers}) > 100
            assert grown < 1536
