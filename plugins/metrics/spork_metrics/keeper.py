"""Keeps the numbers of one process: for its own page, for the other workers, and over reloads.

Rules
1. One keeper lives from the first instance of a name to the last that a reload puts in its place: each takes it over
   from the one before, and the last to end closes it.
2. Once a second, and for each page, it hears what the kernel and the instances tell. In a worker it writes that down;
   rows need no writing (see ``cells``).
3. What waits for a file happens in a thread. Of pages one is made at a time; who asks meanwhile gets the next, and all
   of them the same.
"""

import asyncio
import os
from bisect import bisect_left
from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import cached_property
from logging import Logger
from typing import Any, Final, TypeVar

from spork_core.api import GatewayView, SporkError
from spork_metrics import told
from spork_metrics.budget import Budget
from spork_metrics.cells import BadFile, FileRows, MemoryRows, Owner, read
from spork_metrics.formats import Format
from spork_metrics.ledger import LAG_BOUNDS, LOWEST, SUM, Ledger, Row, rows_of
from spork_metrics.run import Run, Unusable, alive, started
from spork_metrics.summing import Sums
from spork_metrics.told import Rising, Told, Voice

TICK: Final = 1.0
"""Seconds between two looks at the loop's lag, and between two writings of what is told."""
_SHARE: Final = 100
"""Telling may take a hundredth of the time."""
_REFUSED: Final = 100
"""Names of metrics that are left out, of which the log is told."""
_LAG: Final = (*LOWEST, *LAG_BOUNDS)

T = TypeVar("T")
Page = tuple[bytes, str]
"""Content and content type."""


class Keeper:
    """Begins in memory; ``open`` then finds out where the numbers live."""

    def __init__(self, budget: Budget) -> None:
        self.ledger = Ledger(MemoryRows(), budget)
        self.slot: int | None = None
        self.pages = 0
        """How many were made."""
        self.error: str | None = None
        """Why the other workers do not hear of this one; None: they do, or there are none."""
        self.rising = Rising(budget.most)
        self._run: Run | None = None
        self._rows: FileRows | None = None
        self._owner = Owner(0, 0)
        self._process: Callable[[], Iterable[Told]] | None = None
        self._voice: Voice | None = None
        self._closed = False
        self._hearing = asyncio.Lock()
        self._timer: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._tell_at = 0.0
        self._telling: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._making = asyncio.Lock()
        self._coming: dict[Format, asyncio.Task[Page]] = {}
        self._warned = 0
        self._refused: set[str] = set()
        self._log: Logger | None = None

    @property
    def folder(self) -> str | None:
        """Where the workers' files are; None: in memory."""
        return None if self._run is None else str(self._run.folder)

    # -- life ---------------------------------------------------------------------------------------

    @cached_property
    def users(self) -> list[GatewayView]:
        """What the instances that have it see of the gateway, the latest last. Who has it is no part of the numbers
        that one hands to the next; hence no attribute of its own."""
        return []

    async def open(self, gateway: GatewayView, name: str, directory: str | None) -> None:
        """Finds the numbers of the worker before in the slot, or begins. Raises SporkError."""
        self.users.append(gateway)
        self.slot = gateway.slot
        self._log = gateway.log.getChild(name)
        if self.slot is not None:
            try:
                rows = await asyncio.to_thread(self._join, name, directory, self.slot)
            except Unusable as error:
                raise SporkError(
                    f"{name}: {error}; name a folder in directory that exists and that the gateway alone may write to"
                ) from error
            self.ledger = Ledger(rows, self.ledger.budget)
        loop = asyncio.get_running_loop()
        self._due = loop.time() + TICK
        self._timer = loop.call_at(self._due, self._tick)

    def _join(self, name: str, directory: str | None, slot: int) -> FileRows:
        """Takes the slot's place among the workers."""
        run = Run.of(directory, name)
        pid = os.getpid()
        self._owner = Owner(pid, started(pid) or 0)
        before = told.read(run.told(slot))
        if before is not None:
            self.rising.go_on(before, same_life=before.owner == self._owner)
        rows = self._rows = run.open(slot, self._owner)
        self._run = run
        if self._closed:  # a startup that took too long was given up meanwhile
            rows.close()
        return rows

    def adopt(self, gateway: GatewayView, budget: Budget) -> None:
        """Another instance counts in it from now on, by another config."""
        self.users.append(gateway)
        self.ledger.adopt(budget)
        self.rising.most = budget.most

    def discard(self) -> None:
        """Closes it before anything was counted."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._rows is not None:
            self._rows.leave()  # else the worker that ends last takes the file for one that is in use
        self.ledger.close()
        if self._rows is not None:
            self._rows.close()

    async def release(self, gateway: GatewayView) -> None:
        """An instance lets go of it; with the last it ends."""
        others = [user for user in self.users if user is not gateway]
        if others:
            self.users[:] = others
            return
        if self._timer is not None:
            self._timer.cancel()
        try:
            if self._tasks:
                await asyncio.wait(self._tasks)  # they wait for a thread that works on the files
            if self._run is not None and not self._closed:
                self._closed = True
                await asyncio.to_thread(self._leave, self._collected())
        finally:
            self.discard()

    def _leave(self, heard: list[Told]) -> None:
        assert self._run is not None
        assert self._rows is not None
        try:
            self._hear(heard, last=True)
        except OSError:
            pass  # what others know of this worker is then a second old
        self._rows.leave()
        self._run.leave()

    # -- what others hear ---------------------------------------------------------------------------

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        lag = max(0, int((now - self._due) * 1e9))
        cells = self.ledger.lag(self.users[-1].clock.monotonic_ns())
        cells[SUM] += lag
        cells[bisect_left(_LAG, lag)] += 1
        if self._run is not None and now >= self._tell_at and (self._telling is None or self._telling.done()):
            self._telling = self._begin(self._tell())
        self._warn()
        self._due = now + TICK
        self._timer = loop.call_at(self._due, self._tick)

    def _warn(self) -> None:
        overflow = self.ledger.overflow
        if overflow and not self._warned:
            self.users[-1].event(
                "series-overflow",
                "There is no room for another series: what is new is counted under the label value other. "
                "Raise max_series, or have fewer routes, endpoints and status codes.",
                max_series=self.ledger.budget.most,
            )
        self._warned = overflow

    async def _tell(self) -> None:
        loop = asyncio.get_running_loop()
        since = loop.time()
        try:
            await self._heard()
        except OSError as error:
            if self.error is None and self._log is not None:
                self._log.warning("the other workers do not hear of this one: %s", error)
            self.error = error.strerror or str(error)
        else:
            self.error = None
        self._tell_at = loop.time() + _SHARE * (loop.time() - since)

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _heard(self) -> tuple[Told, ...]:
        """What this process tells now; in a worker it is written down. Raises OSError."""
        async with self._hearing:
            return await asyncio.to_thread(self._hear, self._collected())

    def _collected(self) -> list[Told]:
        heard = []
        for metric in self.users[-1].collect():
            try:
                heard.append(told.copied(metric))
            except (TypeError, ValueError) as error:
                if self._log is not None and metric.name not in self._refused and len(self._refused) < _REFUSED:
                    self._refused.add(metric.name)
                    self._log.warning("the metric %s is left out: %s", metric.name, error)
        return heard

    def _hear(self, heard: list[Told], *, last: bool = False) -> tuple[Told, ...]:
        if self._process is None:
            from spork_metrics.process import OfProcess  # 40 ms, which no start has to wait for

            self._process = OfProcess()
        now = self.rising.raised((*heard, *self._process()))
        if self._run is None or self._rows is None or self.slot is None or (self._closed and not last):
            return now
        if last and self._voice is not None:
            now = told.with_lost(now, self._voice.metrics)
        self._voice = Voice(self._owner, now, self.rising.before, self.rising.last)
        if self._rows.tight and not last:
            self._rows.grow()
        path = self._run.told(self.slot)
        told.write(path, self._rows.path.with_suffix(".tmp"), self._voice)
        return now

    # -- the page -----------------------------------------------------------------------------------

    async def page(self, form: Format, sums: Callable[[], tuple[Sums, Budget]]) -> Page:
        """The page as it is at some time after the call. ``sums``: fresh ones, by the config of who asks."""
        coming = self._coming.get(form)
        if coming is None:
            coming = self._coming[form] = self._begin(self._make(form, sums))
        return await asyncio.shield(coming)

    async def _make(self, form: Format, sums: Callable[[], tuple[Sums, Budget]]) -> Page:
        async with self._making:
            del self._coming[form]  # what is counted from here on may be missing in it
            try:
                heard = await self._heard()
            except OSError:  # the disk is full: this worker's page has them all the same
                heard = self._voice.metrics if self._voice is not None else ()
            self.pages += 1
            return await asyncio.to_thread(self._write_page, form, heard, *sums())

    def _write_page(self, form: Format, heard: tuple[Told, ...], sums: Sums, budget: Budget) -> Page:
        rows, voices = list(self.ledger), [(heard, True)]
        if self._run is not None:
            living = {(self._owner.pid, self._owner.start)}
            rows.extend(self._rows_of_others(living))
            voices.extend(self._voices_of_others(living))
        sums.add_all(rows, budget)
        from spork_metrics.exposition import expose  # as slow, the first time

        return expose(sums.numbers(), told.together(voices), form)

    def _rows_of_others(self, living: set[tuple[int, int]]) -> Iterator[Row]:
        """``living``: gets who of them is alive."""
        assert self._run is not None
        assert self._rows is not None
        for path in self._run.files():
            if path == self._rows.path:
                continue
            try:
                owner, records = read(path)
            except (OSError, BadFile):  # it begins, or has just left
                continue
            if alive(owner):
                living.add((owner.pid, owner.start))
            yield from rows_of([(record.key, record.born, record.cells) for record in records])

    def _voices_of_others(self, living: Iterable[tuple[int, int]]) -> Iterator[tuple[tuple[Told, ...], bool]]:
        assert self._run is not None
        assert self.slot is not None
        mine = self._run.told(self.slot)
        for path in self._run.all_told():
            voice = None if path == mine else told.read(path)
            if voice is not None:
                yield voice.metrics, (voice.owner.pid, voice.owner.start) in living
