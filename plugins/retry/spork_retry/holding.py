"""Holds a small request body while it is sent, so that it can be sent again."""

from collections.abc import AsyncIterator

from spork_core.api import Body, BytesBody, IteratorBody


async def held(body: Body, limit: int) -> Body:
    """The whole body, which can be sent again, when it is at most ``limit`` bytes and has no trailers; else one that
    gives the same bytes once. Raises what reading ``body`` raises."""
    chunks = aiter(body)
    parts: list[bytes] = []
    size = 0
    async for chunk in chunks:
        parts.append(chunk)
        size += len(chunk)
        if size > limit:
            return _Resumed(parts, chunks, body)
    if body.trailers is not None:  # what is sent with its length has none
        return _Resumed(parts, chunks, body)
    return BytesBody(b"".join(parts))


class _Resumed(IteratorBody):
    """What was read of a body, and the rest of it."""

    __slots__ = ()

    def __init__(self, parts: list[bytes], rest: AsyncIterator[bytes], inner: Body) -> None:
        super().__init__(self._chunks_of(parts, rest, inner), length=inner.length, inner=inner)

    async def _chunks_of(self, parts: list[bytes], rest: AsyncIterator[bytes], inner: Body) -> AsyncIterator[bytes]:
        while parts:
            yield parts.pop(0)
        async for chunk in rest:
            yield chunk
        self.trailers = inner.trailers
