"""Message bodies: one-shot async iterators of bytes; whoever pulls sets the pace."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, Protocol

from spork_core.errors import PayloadTooLarge
from spork_core.fiber import Wait
from spork_core.headers import Headers

HIGH_WATER: Final = 65536
"""A stream's source is paused while this many bytes wait to be pulled."""


class Body(ABC):
    """The content of a request or a response.

    ``length``: bytes to come when known before the first is read, else None. ``replayable``: may be iterated again (an
    attempt can be repeated); any other body is iterated once. ``trailers``: the fields after the last chunk (RFC 9110
    section 6.5), complete once the iteration has ended; None when there are none.
    """

    __slots__ = ()

    length: int | None
    replayable: bool
    trailers: Headers | None

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def read(self, limit: int) -> bytes:
        """The whole body. Raises PayloadTooLarge past ``limit`` bytes; read again, a one-shot body is empty: put the
        bytes back with ``message.body = BytesBody(data)``."""
        if self.length is not None and self.length > limit:
            raise PayloadTooLarge(f"The body is longer than {limit} bytes.")
        size, parts = 0, []
        async for chunk in self:
            size += len(chunk)
            if size > limit:
                raise PayloadTooLarge(f"The body is longer than {limit} bytes.")
            parts.append(chunk)
        return b"".join(parts)

    def discard(self) -> None:
        """Says that nobody will pull any more."""


class BytesBody(Body):
    """A body that is all there."""

    __slots__ = ("data", "length", "replayable", "trailers")

    def __init__(self, data: bytes = b"") -> None:
        self.data = data
        self.length: int | None = len(data)
        self.replayable = True
        self.trailers: Headers | None = None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.data:
            yield self.data

    def __repr__(self) -> str:
        return f"<BytesBody {self.length} bytes>"


EMPTY: Final = BytesBody()


class IteratorBody(Body):
    """A body made by code: any async iterable of bytes. Wrap another body with it to transform that."""

    __slots__ = ("_chunks", "_inner", "length", "replayable", "trailers")

    def __init__(self, chunks: AsyncIterable[bytes], *, length: int | None = None, inner: Body | None = None) -> None:
        """``length``: exact, or None when it is not known before (the body then goes out chunked).
        ``inner``: the body it pulls from, told when nobody pulls any more."""
        self._chunks = chunks
        self._inner = inner
        self.length = length
        self.replayable = False
        self.trailers = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._chunks.__aiter__()

    def discard(self) -> None:
        if self._inner is not None:
            self._inner.discard()


class Source(Protocol):
    """The connection that feeds a StreamBody."""

    def pull(self) -> None:
        """The reader waits for bytes: read on; the first time, ask the client to go on (100-continue)."""

    def hold(self) -> None:
        """Enough bytes wait: stop reading the socket."""

    def abandon(self, body: "StreamBody") -> None:
        """Nobody will pull any more."""


class StreamBody(Body):
    """A body on its way in from a connection; ``feed``, ``finish`` and ``fail`` are the connection's side."""

    __slots__ = (
        "_chunks",
        "_error",
        "_held",
        "_source",
        "_waiting",
        "complete",
        "length",
        "limit",
        "pulled",
        "received",
        "replayable",
        "size",
        "trailers",
    )

    def __init__(self, source: Source, length: int | None) -> None:
        self.length = length
        self.replayable = False
        self.trailers: Headers | None = None
        self.complete = False
        """True when the last byte has come in (not: been pulled)."""
        self.limit: int | None = None
        """Bytes that may come in; the connection refuses more. None: any number."""
        self.pulled = False
        """True once somebody has pulled: the body cannot be sent from its beginning any more."""
        self.received = 0
        """Bytes that have come in."""
        self.size = 0
        """Bytes that wait to be pulled."""
        self._source: Source | None = source
        self._chunks: deque[bytes] = deque()
        self._waiting: Wait | None = None
        self._error: BaseException | None = None
        self._held = False

    def __repr__(self) -> str:
        of = "?" if self.length is None else self.length
        return f"<StreamBody {self.received} of {of} bytes{', complete' if self.complete else ''}>"

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self.pulled = True
        while not self._chunks:
            if self._error is not None:
                raise self._error
            if self.complete:
                raise StopAsyncIteration
            self._held = False
            if self._source is None:
                raise RuntimeError("the body was discarded")  # nobody feeds it any more
            self._source.pull()
            if not self._chunks and not self.complete and self._error is None:
                self._waiting = Wait()
                await self._waiting
        if len(self._chunks) == 1:
            chunk = self._chunks.popleft()
        else:
            chunk = b"".join(self._chunks)  # one write instead of many; at most a read's worth over HIGH_WATER
            self._chunks.clear()
        self.size = 0
        return chunk

    def take(self) -> bytes:
        """What waits to be pulled, at once, without waiting for more; b"" when that is nothing."""
        self.pulled = True
        data = b"".join(self._chunks)
        self._chunks.clear()
        self.size = 0
        return data

    @property
    def failed(self) -> bool:
        """True when the body broke off; pulling raises."""
        return self._error is not None

    def discard(self) -> None:
        source, self._source = self._source, None
        self._chunks.clear()
        self.size = 0
        if source is not None and not self.complete:
            source.abandon(self)

    # -- the connection's side ----------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Adds bytes without waking the reader; the connection calls ``flush`` when its own state is consistent."""
        self.received += len(data)
        if self._source is None or not data:
            return
        self._chunks.append(data)
        self.size += len(data)

    def flush(self) -> None:
        """Wakes the reader when there is something for it, and holds the source when the reader left too much."""
        waiting = self._waiting
        if waiting is not None and (self._chunks or self.complete or self._error is not None):
            self._waiting = None
            waiting.wake()
        if self.size >= HIGH_WATER and not self._held and not self.complete and self._source is not None:
            self._held = True
            self._source.hold()

    def finish(self, trailers: Headers | None = None) -> None:
        """The last byte has come in."""
        self.trailers = trailers
        self.complete = True

    def fail(self, error: BaseException) -> None:
        """The body breaks off; what came in can still be pulled, then ``error`` is raised."""
        if not self.complete and self._error is None:
            self._error = error
            self.flush()
