"""The impatient loop: hours pass in a moment, and sockets and threads are waited for."""

import asyncio
import time

import pytest

from spork_core.testing import impatient


def test_an_hour_is_over_at_once_and_the_clock_agrees() -> None:
    """given a sleep of an hour, when it is over, then loop and clock have moved by that and the world has not"""

    async def main() -> tuple[float, float, float]:
        loop = impatient.running_loop()
        clock, begun = loop.clock(), loop.time()
        was, was_ns = clock.time(), clock.monotonic_ns()
        await asyncio.sleep(3600)
        return loop.time() - begun, clock.time() - was, (clock.monotonic_ns() - was_ns) / 1e9

    begun = time.monotonic()
    passed = impatient.run(main())
    assert time.monotonic() - begun < 1
    assert passed == pytest.approx((3600, 3600, 3600), abs=0.5)


def test_timers_fire_in_their_order() -> None:
    async def main() -> list[int]:
        order: list[int] = []

        async def after(seconds: int) -> None:
            await asyncio.sleep(seconds)
            order.append(seconds)

        await asyncio.gather(*map(after, (300, 1, 20)))
        return order

    assert impatient.run(main()) == [1, 20, 300]


def test_what_comes_over_a_socket_is_waited_for() -> None:
    async def main() -> bytes:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            for _ in range(1000):
                writer.write(await reader.readexactly(1))
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        got = b""
        async with asyncio.timeout(1):
            for _ in range(1000):
                writer.write(b"x")
                got += await reader.readexactly(1)
        writer.close()
        server.close()
        return got

    assert impatient.run(main()) == b"x" * 1000


def test_work_in_a_thread_is_waited_for() -> None:
    async def main() -> str:
        async with asyncio.timeout(30):
            return await asyncio.to_thread(lambda: time.sleep(0.1) or "done")

    assert impatient.run(main()) == "done"


def test_a_task_that_does_not_end_is_left_behind() -> None:
    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(1)
            except asyncio.CancelledError:
                pass

    async def main() -> str:
        main.task = asyncio.get_running_loop().create_task(stubborn())  # type: ignore[attr-defined]
        main.task._log_destroy_pending = False  # type: ignore[attr-defined]
        await asyncio.sleep(0)
        return "over"

    begun = time.monotonic()
    assert impatient.run(main()) == "over"
    assert time.monotonic() - begun < 5


async def test_another_loop_is_told_apart() -> None:
    with pytest.raises(AssertionError, match="is not impatient"):
        impatient.running_loop()
