"""A body that comes in once and is read by many: the upstream's answer, on its way to everybody who asked for it.

Rules of this file
1. Readers set the pace: the source is asked for more only while a reader waits at its end, so that a slow client holds
   up nobody and nothing is read that nobody wants. ``fill`` reads on without readers.
2. What is kept has a bound, of one answer and of all. An answer that turns out longer is a window that moves on with
   its readers; who stays behind it for ``patience`` seconds is cut off, so that the others are not.
3. When the last reader has gone the source is told, and the end is told once, whatever it is.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, Protocol

from spork_core.api import Body, Headers, Problem, UpstreamReset

Outcome = bytes | BaseException | None


class Spawn(Protocol):
    """Starts a task that somebody ends at shutdown."""

    def __call__(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """The task."""


class TooSlow(Problem):
    """A reader was left behind; its answer breaks off, so that nobody takes it for whole."""

    code = "too-slow"


class Budget:
    """What all answers on their way in may take together. ``most``, ``used``: bytes."""

    __slots__ = ("most", "used")

    def __init__(self, most: int) -> None:
        self.most = most
        self.used = 0


class Stream:
    """One body on its way in.

    ``source``: the body. ``limit``: bytes that are kept. ``patience``: seconds, see rule 2. ``spawn``: starts the task
    that reads. ``budget``: of all streams. ``ended``: called once, with the whole content, or None when it was longer
    than ``limit`` or nobody wanted it to its end, or what it broke off with.
    """

    __slots__ = (
        "_budget",
        "_chunks",
        "_due",
        "_ended",
        "_error",
        "_filling",
        "_gone",
        "_hungry",
        "_source",
        "_spawn",
        "_task",
        "done",
        "length",
        "limit",
        "patience",
        "readers",
        "size",
        "trailers",
        "whole",
    )

    def __init__(
        self,
        source: Body,
        limit: int,
        patience: float,
        spawn: Spawn,
        budget: Budget,
        ended: Callable[[Outcome], object],
    ) -> None:
        self._source = source
        self._budget = budget
        self.length = source.length
        self.limit = limit
        self.patience = patience
        self._spawn = spawn
        self._ended: Callable[[Outcome], object] | None = ended
        self._chunks: list[bytes] = []
        self._gone = 0
        """Chunks that have been let go; the first one kept has this number."""
        self.size = 0
        """Bytes that are kept."""
        self.whole = True
        """True while everything that came is kept."""
        self.done = False
        self._error: BaseException | None = None
        self.trailers: Headers | None = None
        self.readers: set[Reader] = set()
        self._hungry: asyncio.Future[None] | None = None
        """What the task waits for when there is nothing to do."""
        self._filling = False
        self._task: asyncio.Task[None] | None = None
        self._due: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "over" if self.done else "coming"
        return f"<Stream {self.size} bytes, {len(self.readers)} readers, {state}>"

    @property
    def open(self) -> bool:
        """True while somebody new can read it from its beginning."""
        return self.whole and self._error is None

    def reader(self) -> "Reader":
        """One more reader, from the beginning."""
        reader = Reader(self)
        self.readers.add(reader)
        return reader

    def fill(self) -> None:
        """Reads on to the end, or to ``limit``, also when nobody waits for it."""
        self._filling = True
        self.wake()

    def wake(self) -> None:
        """A reader waits at the end, or has moved on: goes on reading the source."""
        if self._task is None and not self.done:
            self._task = self._spawn(self._read())
        hungry, self._hungry = self._hungry, None
        if hungry is not None and not hungry.done():
            hungry.set_result(None)

    def left(self, reader: "Reader") -> None:
        """``reader`` reads no more."""
        self.readers.discard(reader)
        if not self.readers and not self._filling and not self.done:
            self._over(None)
        elif not self.whole:
            self._trim()
            self.wake()

    def needed(self, leaving: "Reader") -> bool:
        """True when somebody wants it besides ``leaving``."""
        return not self.done and (self._filling or any(reader is not leaving for reader in self.readers))

    def end(self) -> None:
        """Nobody may read any more: at shutdown."""
        if not self.done:
            self._over(UpstreamReset(reason="the cache has shut down"))

    # -- what the readers read ----------------------------------------------------------------------

    def chunk(self, number: int) -> bytes | None:
        """The chunk of that number; None when it is still to come. Raises what the body broke off with."""
        at = number - self._gone
        if at < 0:
            raise TooSlow(reason="the client was too slow for an answer that others read as well")
        if at < len(self._chunks):
            return self._chunks[at]
        if self._error is not None:
            raise self._error
        if self.done:
            raise StopAsyncIteration
        return None

    def moved(self) -> None:
        """A reader has read on."""
        if not self.whole:
            self._trim()

    # -- the task -----------------------------------------------------------------------------------

    async def _read(self) -> None:
        try:
            source, budget = self._source, self._budget
            async for data in source:
                if not data:
                    continue
                self._chunks.append(data)
                self.size += len(data)
                budget.used += len(data)
                if self.whole and (self.size > self.limit or budget.used > budget.most):
                    self.whole = False
                    self._filling = False
                    if not self.readers:
                        self._over(None)
                        return
                if not self.whole:
                    self._trim()
                self._tell()
                while not self._wanted():
                    self._hungry = asyncio.get_running_loop().create_future()
                    await self._hungry
            self.trailers = source.trailers
        except Exception as error:
            self._over(error)
        except asyncio.CancelledError:
            self._over(UpstreamReset(reason="reading the answer was cancelled"))
            raise
        else:
            self._over(b"".join(self._chunks) if self.whole else None, discard=False)

    def _wanted(self) -> bool:
        """True when the next chunk is to be read now."""
        if self.whole:
            return self._filling or any(reader.waits for reader in self.readers)
        if self.size > self.limit:
            self._watch()
            return False
        self._unwatch()
        return any(reader.waits for reader in self.readers)

    def _over(self, outcome: Outcome, *, discard: bool = True) -> None:
        if self.done:
            return
        self.done = True
        self._budget.used -= self.size
        self._unwatch()
        if isinstance(outcome, BaseException):
            self._error = outcome
        if discard:
            self._source.discard()
            task, self._task = self._task, None
            if task is not None and task is not _current():
                task.cancel()
        self._tell()
        ended, self._ended = self._ended, None
        if ended is not None:
            ended(outcome)

    def _tell(self) -> None:
        for reader in tuple(self.readers):
            reader.tell()

    # -- the window ---------------------------------------------------------------------------------

    def _trim(self) -> None:
        """Lets go of what every reader has read."""
        first = min((reader.number for reader in self.readers), default=self._gone + len(self._chunks))
        drop = first - self._gone
        if drop > 0:
            freed = sum(map(len, self._chunks[:drop]))
            self.size -= freed
            if not self.done:
                self._budget.used -= freed
            del self._chunks[:drop]
            self._gone = first
            self._unwatch()
            if self.size <= self.limit:
                self.wake()

    def _watch(self) -> None:
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(self.patience, self._cut)

    def _unwatch(self) -> None:
        due, self._due = self._due, None
        if due is not None:
            due.cancel()

    def _cut(self) -> None:
        """The window has not moved for ``patience`` seconds: who holds it reads no more of it."""
        self._due = None
        ahead = [reader for reader in self.readers if reader.number > self._gone]
        for reader in self.readers.difference(ahead):
            reader.cut = True
            self.readers.discard(reader)
            reader.tell()
        if self.readers:
            self._trim()
        else:
            self._over(None)


def _current() -> "asyncio.Task[Any] | None":
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside of the loop
        return None


class Reader(Body):
    """One client's view of a Stream: from the first byte on."""

    __slots__ = ("_stream", "_wait", "cut", "gone", "length", "number", "replayable", "trailers")

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self.length = stream.length
        self.replayable = False
        self.trailers: Headers | None = None
        self.number = 0
        """Of the chunk it reads next."""
        self.cut = False
        """True when it was left behind."""
        self.gone: Callable[[Reader], object] | None = None
        """Called once, before it leaves the stream."""
        self._wait: asyncio.Future[None] | None = None

    @property
    def waits(self) -> bool:
        """True while it waits for the next chunk, and has not been told of one."""
        wait = self._wait
        return wait is not None and not wait.done()

    @property
    def others(self) -> bool:
        """True when the stream goes on without it."""
        return self._stream.needed(self)

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        stream = self._stream
        try:
            while True:
                if self.cut:
                    raise TooSlow(reason="the client was too slow for an answer that others read as well")
                chunk = stream.chunk(self.number)
                if chunk is not None:
                    self.number += 1
                    stream.moved()
                    return chunk
                self._wait = asyncio.get_running_loop().create_future()
                stream.wake()
                try:
                    await self._wait
                finally:
                    self._wait = None
        except StopAsyncIteration:
            self.trailers = stream.trailers
            self.discard()
            raise
        except BaseException:
            self.discard()
            raise

    def tell(self) -> None:
        """There is something to read, or to raise."""
        wait = self._wait
        if wait is not None and not wait.done():
            wait.set_result(None)

    def discard(self) -> None:
        gone, self.gone = self.gone, None
        if gone is not None:
            gone(self)
        self._stream.left(self)

    def __repr__(self) -> str:
        return f"<Reader of {self._stream!r}>"
