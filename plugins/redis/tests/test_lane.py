"""How a connection is brought back: at once at first, then after pauses that grow, whatever went wrong."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from spork_redis.config import Breaker, RedisConfig
from spork_redis.counts import Counts
from spork_redis.lane import Lane

from spork_core.api import Chance, Secret, StoreDown
from spork_core.testing import flaky, holds

EVEN = Chance(lambda count: b"\xff" * count)
"""Pauses that are as long as they may be."""


def lane(path: str, *errors: Exception, **breaker: float) -> tuple[Lane, list[float]]:
    """A lane whose first attempts raise ``errors``, and when each attempt was made."""
    config = RedisConfig(url=Secret("redis://unused"), breaker=Breaker(**breaker))
    left = list(errors)
    tried: list[float] = []

    async def connect() -> asyncio.StreamWriter:
        tried.append(asyncio.get_running_loop().time())
        if left:
            raise left.pop(0)
        return (await asyncio.open_unix_connection(path))[1]

    return Lane(config, EVEN, Counts(), connect, lambda: None), tried


@pytest.mark.parametrize("error", [OSError("gone"), StoreDown(reason="gone"), ValueError("odd"), TimeoutError()])
async def test_whatever_goes_wrong_it_is_tried_again(server: Any, error: Exception) -> None:
    made, tried = lane(server.path, StoreDown(), error, error, first_pause=0.01)
    await made.start()
    await holds(lambda: made.problem is None)

    assert len(tried) == 4
    await made.stop()


async def test_pauses_grow_to_the_longest(server: Any) -> None:
    made, tried = lane(server.path, *(OSError() for _ in range(6)), first_pause=0.02, longest_pause=0.08)
    await made.start()
    await holds(lambda: made.problem is None)
    pauses = [later - earlier for earlier, later in pairwise(tried)]

    assert pauses[0] < 0.1  # the first is made at once
    for pause, least in zip(pauses[1:], (0.02, 0.04, 0.08, 0.08, 0.08), strict=True):
        assert least - 0.002 <= pause < least + 0.1
    await made.stop()


async def test_one_that_is_stopped_while_it_tries_leaves_nothing(server: Any) -> None:
    made, _ = lane(server.path, *(OSError() for _ in range(99)), first_pause=0.01)
    await made.start()
    before = asyncio.all_tasks()
    await made.stop()

    assert len(asyncio.all_tasks()) == len(before) - 1
    with pytest.raises(StoreDown):
        made.ask(b"")


async def test_an_idle_connection_that_is_gone_is_found_out(
    server: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spork_redis.lane.HEARTBEAT", 0.02)
    monkeypatch.setattr("spork_redis.line.SILENCE", 0.1)
    async with flaky("127.0.0.1", server.port) as link, start(link.url(server.tcp)) as redis:
        link.stall()
        await redis.until_down()  # nobody asked for anything
        link.heal()
        await redis.until_up()
