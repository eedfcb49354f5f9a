"""One connection: commands go out once a turn of the loop, and replies come back in their order.

Rules of this file
1. A reply belongs to the command that has waited longest. A caller that gave up, or whose time is up, leaves its place
   in the queue behind, so that a late reply meets nobody else; the connection of a slow server stays.
2. Nothing is sent twice. What was sent and not answered when the connection breaks may have been done, or not.
3. The queue has a bound, in commands and in bytes. Past it callers are refused at once.
4. A server that says nothing at all for ``SILENCE`` is gone: the connection is cut, for ``lost`` to see to.
"""

import asyncio
from collections import deque
from itertools import islice
from typing import Any, Final, Protocol

from hiredis import HiredisError, Reader, ReplyError, pack_command

from spork_core.api import StoreDown
from spork_redis.counts import Counts

SILENCE: Final = 1.0
"""Seconds without a byte, while commands wait, after which a connection is taken for dead."""
MOST_UNSENT: Final = 8 << 20
"""Bytes that may wait for a server which does not read them."""
NO_ANSWER: Final = "no answer in time"
_MISSING: Final = object()
"""What the reader gives when the next reply is not complete."""

Word = str | int | float | bytes
Answer = asyncio.Future[Any]


class Refused(ReplyError):
    """A reply that is an error: the command was not done. Its text begins with the kind of error."""


def pack(words: tuple[Word, ...]) -> bytes:
    """One command as the server reads it (RESP)."""
    try:
        packed: bytes = pack_command(words)  # type: ignore[arg-type]  # its stub says: a tuple of one
    except UnicodeEncodeError:  # bytes of a client that are no UTF-8 become the same bytes again
        return pack(tuple(word.encode("utf-8", "surrogateescape") if isinstance(word, str) else word for word in words))
    return packed


class Watcher(Protocol):
    """Who is told what happens on a line."""

    def in_time(self) -> None:
        """Somebody got an answer in time."""

    def too_late(self, count: int) -> None:
        """``count`` commands got none."""

    def lost(self, line: "Line", why: str) -> None:
        """The connection is gone; all who waited have been told."""


class Line(asyncio.Protocol):
    """Sends commands on a connection that is logged in, and gives their replies.

    ``timeout``: seconds for each command. ``most``: commands that may be without an answer.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timeout: float, most: int, watcher: Watcher, counts: Counts
    ) -> None:
        self._loop = loop
        self._future = loop.create_future
        self._timeout = timeout
        self._most = most
        self._watcher = watcher
        self._counts = counts
        self._transport: asyncio.WriteTransport | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reader = Reader(replyError=Refused, notEnoughData=_MISSING)
        self._out: list[bytes] = []
        """Commands of this turn."""
        self._began = 0.0
        """When the first of them came."""
        self._pending: deque[Answer] = deque()
        """A place for each command that has no reply yet, also for those who wait no longer."""
        self._due: deque[tuple[float, int]] = deque()
        """For each write whose time is not up: when it is, and the number of its last command."""
        self._timer: asyncio.Handle | None = None
        self._full = False
        self._heard = (0, 0.0)
        """How many replies there were when somebody looked, and when that number was seen first."""
        self._expired = 0
        """The number of the last command whose time was up."""
        self.sent = 0
        self.answered = 0

    def __repr__(self) -> str:
        return f"<Line {len(self._pending)} waiting{'' if self._transport else ', closed'}>"

    @property
    def waiting(self) -> int:
        """Commands without a reply."""
        return len(self._pending)

    def use(self, writer: asyncio.StreamWriter) -> None:
        """Takes over a connection whose replies have all been read."""
        transport = writer.transport
        transport.set_write_buffer_limits(high=MOST_UNSENT)
        transport.set_protocol(self)
        self._transport = transport
        self._writer = writer  # one that nobody holds closes the connection (Python 3.12)

    # -- out ----------------------------------------------------------------------------------------

    def ask(self, packed: bytes) -> Answer:
        """What the server replies to one command: an answer, Refused or StoreDown."""
        pending = self._pending
        if self._full or len(pending) >= self._most:
            raise StoreDown(reason="too many commands wait for the store")
        out = self._out
        if not out:
            self._began = self._loop.time()
            self._loop.call_soon(self._flush)
        out.append(packed)
        answer = self._future()
        pending.append(answer)
        return answer

    def _flush(self) -> None:
        out = self._out
        if self._transport is None or not out:
            return
        self.sent += len(out)
        self._counts.writes += 1
        self._counts.commands += len(out)
        due = self._began + self._timeout
        self._due.append((due, self.sent))
        self._transport.write(b"".join(out) if len(out) > 1 else out[0])
        out.clear()
        if self._timer is None:
            self._heard = (self.answered, self._began)
            self._timer = self._loop.call_at(due, self._look)

    def pause_writing(self) -> None:
        """The server does not read: nothing more for it."""
        self._full = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._full = False

    # -- in -----------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hands out the replies in ``data``."""
        reader, popleft = self._reader, self._pending.popleft
        in_time = False
        count = 0
        try:
            reader.feed(data)
            gets = reader.gets
            while (reply := gets()) is not _MISSING:
                answer = popleft()
                count += 1
                if not answer.done():
                    in_time = True
                    if type(reply) is Refused:
                        answer.set_exception(reply)
                    else:
                        answer.set_result(reply)
        except (HiredisError, IndexError, ValueError) as error:  # not RESP, or a reply that nobody asked for
            self.close(f"the server broke the protocol: {error}")
            return
        self.answered += count
        if in_time:
            self._watcher.in_time()
        due = self._due
        while due and due[0][1] <= self.answered:
            due.popleft()

    # -- time ---------------------------------------------------------------------------------------

    def _look(self) -> None:
        # Two turns, between which the loop reads from its sockets: where it was held up, the answer may be there.
        self._timer = self._loop.call_soon(self._look_closer)

    def _look_closer(self) -> None:
        self._timer = self._loop.call_soon(self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        if not self._pending or self._transport is None:
            return
        now = self._loop.time()
        due = self._due
        while due and due[0][0] <= now:
            self._expired = due.popleft()[1]
        count = 0
        for answer in islice(self._pending, max(0, self._expired - self.answered)):
            if not answer.done():
                answer.set_exception(StoreDown(reason=NO_ANSWER))
                count += 1
        if self._heard[0] != self.answered:
            self._heard = (self.answered, now)
        elif now - self._heard[1] >= SILENCE:
            self.close("the server says nothing")
            return
        self._timer = self._loop.call_at(due[0][0] if due else now + self._timeout, self._look)
        if count:
            self._watcher.too_late(count)

    # -- the end ------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """The other side ended it, or the network did."""
        self.close(f"the connection broke: {exc}" if exc else "the server closed the connection")

    def close(self, why: str) -> None:
        """Ends it at once; whoever waits is told so."""
        transport, self._transport = self._transport, None
        if transport is None:
            return
        transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._full = True
        self._out.clear()
        self._due.clear()
        pending, self._pending = self._pending, deque()
        for answer in pending:
            if not answer.done():
                answer.set_exception(StoreDown(reason=why))
        self._watcher.lost(self, why)
