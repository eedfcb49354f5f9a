"""The loop of the laws: time that nobody works in is skipped, and what is real is waited for."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from spork_core.testing.fakeloop import SkippingLoop
from spork_core.testing.rig import alone


def elapsed(work: Callable[[], Awaitable[Any]]) -> tuple[Any, float, float]:
    """What ``work`` answers, the loop's seconds it took, and the real ones."""

    async def measured() -> tuple[Any, float]:
        loop = asyncio.get_running_loop()
        since = loop.time()
        answer = await work()
        return answer, loop.time() - since

    since = time.perf_counter()
    answer, looped = alone(measured)
    return answer, looped, time.perf_counter() - since


def test_an_hour_passes_at_once() -> None:
    _, looped, real = elapsed(lambda: asyncio.sleep(3600))

    assert looped >= 3600
    assert real < 5


def test_timers_keep_their_order() -> None:
    async def work() -> list[int]:
        done: list[int] = []
        loop = asyncio.get_running_loop()
        for seconds in (300, 20, 100):
            loop.call_later(seconds, done.append, seconds)
        await asyncio.sleep(301)
        return done

    assert elapsed(work)[0] == [20, 100, 300]


def test_what_hangs_runs_into_its_time_limit_at_once() -> None:
    async def work() -> None:
        async with asyncio.timeout(60):
            await asyncio.get_running_loop().create_future()

    with pytest.raises(TimeoutError):
        elapsed(work)


def test_a_job_in_a_thread_is_waited_for() -> None:
    begun = threading.Event()

    async def work() -> bool:
        async with asyncio.timeout(60):
            return await asyncio.to_thread(begun.wait, 0.05) is False

    answer, looped, real = elapsed(work)

    assert answer
    assert looped < 60
    assert real >= 0.05


def test_a_real_socket_is_waited_for() -> None:
    async def work() -> bytes:
        async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            writer.close()

        server = await asyncio.start_server(answers, "127.0.0.1", 0)
        async with server, asyncio.timeout(60):
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"real\n")
            answer = await reader.read()
            writer.close()
            return answer

    answer, looped, _ = elapsed(work)

    assert answer == b"real\n"
    assert looped < 60


def test_an_open_connection_on_which_nothing_comes_holds_nothing_up() -> None:
    """given a connection as a pool keeps it, when hours pass, then nobody waits for them, and it answers after that"""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
        writer.close()

    async def work() -> bytes:
        async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for _ in range(3):
                await asyncio.sleep(3600)
            writer.write(b"still here\n")
            async with asyncio.timeout(0.2):
                answer = await reader.readline()
            writer.close()
            await writer.wait_closed()
            return answer

    answer, looped, real = elapsed(work)

    assert answer == b"still here\n"
    assert looped >= 3 * 3600
    assert real < 10


def test_a_loop_that_nobody_skips_has_skipped_nothing() -> None:
    loop = SkippingLoop()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()

    assert loop.skipped == 0
