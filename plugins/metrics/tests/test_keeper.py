"""What is kept for other workers, when folders, threads and instances come and go at the wrong time."""

import asyncio
import logging
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from spork_metrics.budget import REQUEST, Budget
from spork_metrics.cells import Owner
from spork_metrics.formats import Format
from spork_metrics.keeper import Keeper
from spork_metrics.ledger import FIRST
from spork_metrics.run import Run, read
from spork_metrics.summing import Sums

from spork_core.api import Clock, GatewayView, Metric, SporkError
from spork_core.testing import holds
from spork_core.testing.unblocked import unblocked

BOUNDS = (10**9,)
LABELS = ("all", "up", "GET", "200", "upstream")
REQUESTS = 'spork_http_requests_total{code="200",method="GET",route="all",service="up",source="upstream"}'


@pytest.fixture(scope="module", autouse=True)
def nothing_blocks_the_loop() -> Iterator[None]:
    """The laws watch over the plugin in one process; here it is in a worker."""
    with unblocked("spork_metrics"):
        yield


class Worker(GatewayView):
    """The gateway of the worker in slot 0, as a plugin sees it."""

    slot = 0
    clock = Clock()
    log = logging.getLogger("worker")

    def __init__(self) -> None:
        self.told = 0

    def collect(self) -> Iterable[Metric]:
        return [Metric("told", "counter", "Told.", (), {(): self.told})]

    def event(self, kind: str, message: str, **facts: Any) -> None:
        raise AssertionError(message)


def sums() -> tuple[Sums, Budget]:
    return Sums(BOUNDS, ()), Budget(500, 1, (), 0)


async def page(keeper: Keeper) -> list[str]:
    return (await keeper.page(Format("", False), sums))[0].decode().splitlines()


def count(keeper: Keeper, exchanges: int) -> None:
    keeper.ledger.row(REQUEST, LABELS, BOUNDS, 1)[0][FIRST] += exchanges


@asynccontextmanager
async def kept(folder: Path, worker: Worker) -> AsyncIterator[Keeper]:
    keeper = Keeper(sums()[1])
    try:
        await keeper.open(worker, "metrics", str(folder))
        yield keeper
    finally:
        await keeper.release(worker)


async def test_a_folder_that_cannot_be_used_is_told_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(SporkError, match=r"metrics: no folder can be made in .*; name a folder in directory that exis"):
        async with kept(tmp_path / "none", Worker()):
            pass


def test_a_start_that_is_cancelled_leaves_the_slot_to_the_next(tmp_path: Path) -> None:
    def begun() -> bool:
        return any(tmp_path.glob("*"))

    async def cancelled() -> None:
        keeper, worker = Keeper(sums()[1]), Worker()
        opening = asyncio.create_task(keeper.open(worker, "metrics", str(tmp_path)))
        await holds(begun, "the thread to begin")
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        await keeper.release(worker)

    asyncio.run(cancelled())  # with the thread to its end

    rows = Run.of(str(tmp_path), "metrics").open(0, Owner(1, 1))
    rows.close()
    assert rows.path.name == "metrics.0.0.rows"


async def test_an_instance_that_comes_back_while_its_predecessor_drains_counts_beside_it(tmp_path: Path) -> None:
    worker = Worker()
    async with kept(tmp_path, worker) as old:
        count(old, 2)
        async with kept(tmp_path, Worker()) as new:
            count(new, 3)
            count(old, 1)

            assert f"{REQUESTS} 6.0" in await page(new)


async def test_the_next_worker_goes_on_with_what_was_counted_and_told(tmp_path: Path) -> None:
    worker = Worker()
    async with kept(tmp_path, worker) as another:  # so that the first is not the last
        async with kept(tmp_path, worker) as first:
            count(first, 2)
            worker.told = 5
            await page(first)

        async with kept(tmp_path, worker) as next_:
            count(next_, 1)
            worker.told = 6

            lines = await page(next_)
            assert f"{REQUESTS} 3.0" in lines
            assert "spork_told_total 6.0" in lines
        assert another.error is None


async def test_without_its_folder_a_worker_still_shows_its_own(tmp_path: Path) -> None:
    worker = Worker()
    async with kept(tmp_path, worker) as keeper:
        count(keeper, 2)
        await asyncio.to_thread(shutil.rmtree, keeper.folder)

        lines = await page(keeper)

        assert f"{REQUESTS} 2.0" in lines
        assert "spork_told_total 0.0" in lines


async def test_one_that_a_reload_did_not_need_leaves_its_file(tmp_path: Path) -> None:
    """given an instance whose numbers another's took the place of, then no worker takes its file for one in use"""

    def left() -> list[bool]:
        return [read(path)[0].left for path in sorted(tmp_path.glob("*/*.rows"))]

    async with kept(tmp_path, Worker()):
        unneeded = Keeper(sums()[1])
        await unneeded.open(Worker(), "metrics", str(tmp_path))
        unneeded.discard()
        assert await asyncio.to_thread(left) == [False, True]
