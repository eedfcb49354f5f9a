"""An origin in a test's hands: what it says, when, and how far."""

import asyncio
from collections.abc import Sequence

import pytest

from spork_core.testing import Message, Wire, scripts


class Origin:
    """A service behind the cache. Change its attributes at any time."""

    def __init__(self) -> None:
        self.status = 200
        self.body = b"hello"
        self.headers: dict[str, str] = {"Cache-Control": "max-age=60"}
        self.etag: str | None = None
        """With it, a matching If-None-Match is answered 304."""
        self.open = asyncio.Event()
        """Answers go out while it is set."""
        self.open.set()
        self.pieces: Sequence[bytes] = ()
        """The content bit by bit, one for each ``more``; () sends ``body`` at once."""
        self.chunked = False
        self.breaks_after: int | None = None
        """So many pieces are sent, and then the connection breaks."""
        self.varies: str | None = None
        """The request field that the content echoes."""
        self._steps = asyncio.Semaphore(0)

    def more(self, count: int = 1) -> None:
        """Sends ``count`` more pieces."""
        for _ in range(count):
            self._steps.release()

    async def __call__(self, wire: Wire) -> None:
        while await wire.begun():
            request = await wire.message()
            await self.open.wait()
            if not await self._answer(wire, request):
                wire.close()
                return

    async def _answer(self, wire: Wire, request: Message) -> bool:
        headers = dict(self.headers)
        body = self.body
        if self.etag is not None:
            headers["ETag"] = self.etag
            if request.headers.get("If-None-Match") == self.etag:
                await wire.send(scripts.http(304, b"", headers))
                return True
        if self.varies is not None:
            headers["Vary"] = self.varies
            body = request.headers.get(self.varies, "none").encode()
        if request.start.startswith(b"HEAD "):
            await wire.send(scripts.http(self.status, b"", headers, length=len(body)))
        elif self.pieces:
            return await self._stream(wire, headers)
        else:
            await wire.send(scripts.http(self.status, body, headers))
        return True

    async def _stream(self, wire: Wire, headers: dict[str, str]) -> bool:
        if self.chunked:
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            await wire.send(f"HTTP/1.1 {self.status} OK\r\n{lines}Transfer-Encoding: chunked\r\n\r\n".encode())
        else:
            await wire.send(scripts.http(self.status, b"", headers, length=sum(map(len, self.pieces))))
        for number, piece in enumerate(self.pieces):
            await self._steps.acquire()
            if number == self.breaks_after:
                return False
            await wire.send(b"%x\r\n%b\r\n" % (len(piece), piece) if self.chunked else piece)
        if self.chunked:
            await wire.send(b"0\r\n\r\n")
        return True


@pytest.fixture
def origin() -> Origin:
    """A service that answers ``hello``, fresh for a minute."""
    return Origin()
