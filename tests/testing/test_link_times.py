"""How long bytes take over a slow link, on a loop that skips the waits: seconds are exact, and none passes."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from spork_core.testing import impatient
from spork_core.testing.link import Link, flaky
from spork_core.testing.link_ways import CHUNK

LONG = b"x" * (5 * CHUNK)


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
    writer.close()


def took(fault: Callable[[Link], object], data: bytes, chance: Random | None = None) -> float:
    """Seconds until ``data`` has come back over a link with this fault."""

    async def main() -> float:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with flaky("127.0.0.1", server.sockets[0].getsockname()[1], chance=chance) as link:
            reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
            fault(link)
            begun = asyncio.get_running_loop().time()
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            seconds = asyncio.get_running_loop().time() - begun
            writer.close()
            await writer.wait_closed()
        server.close()
        return seconds

    return impatient.run(main())


@pytest.mark.parametrize("data", [b"x", LONG], ids=["a byte", "chunks"])
def test_latency_is_of_each_byte_and_not_of_each_chunk(data: bytes) -> None:
    assert took(lambda link: link.slow(60), data) == pytest.approx(120, abs=2)


def test_one_way_alone_can_be_slow() -> None:
    assert took(lambda link: link.down.change(latency=60), b"x") == pytest.approx(60, abs=2)


def test_jitter_is_decided_by_the_given_chance() -> None:
    class Half(Random):
        def random(self) -> float:
            return 0.5

    assert took(lambda link: link.slow(60, jitter=60), b"x", Half()) == pytest.approx(180, abs=2)


def test_a_limited_rate_is_of_each_way() -> None:
    """given 1000 bytes a second, when 10,000 go to and fro, then both ways are taken side by side, in 10 s"""
    assert took(lambda link: link.throttle(1000), b"x" * 10_000) == pytest.approx(10, abs=1)


def test_a_good_link_takes_no_time() -> None:
    assert took(Link.heal, LONG) == pytest.approx(0, abs=2)
