"""One end of a connection as raw bytes: what a test's client and its upstream have in common."""

import asyncio
import socket
import ssl
import struct
import time
from bisect import bisect_left
from collections.abc import Generator
from typing import Final

from spork_core.headers import Headers
from spork_core.testing.patience import Patience

_LARGEST_LINE: Final = 2**20
_BODILESS: Final = (b"HTTP/1.1 1", b"HTTP/1.1 204", b"HTTP/1.1 304")


class Recorder(asyncio.StreamReader):
    """Keeps every byte that arrives, read or not."""

    def __init__(self) -> None:
        super().__init__(limit=_LARGEST_LINE)
        self.seen = bytearray()
        self.over = False
        """True when the other side has ended."""
        self.news = asyncio.Event()
        """Set when something has come, or the other side has ended or broken the connection."""
        self._arrivals: list[tuple[int, int]] = []

    def feed_data(self, data: bytes) -> None:  # type: ignore[override]  # what transports call it with
        self.seen += data
        self._arrivals.append((len(self.seen), time.monotonic_ns()))
        super().feed_data(data)
        self.news.set()

    def feed_eof(self) -> None:
        self.over = True
        super().feed_eof()
        self.news.set()

    def set_exception(self, exc: BaseException) -> None:
        super().set_exception(exc)  # type: ignore[arg-type]  # declared narrower than asyncio itself calls it
        self.news.set()

    def arrival(self, size: int) -> int:
        """When the first ``size`` bytes had come, by the system's ``monotonic_ns``."""
        return self._arrivals[bisect_left(self._arrivals, (size, 0))][1]


class Message:
    """A request or an answer as it came over the wire."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.start, *self.lines = head[:-4].split(b"\r\n")
        self.body = b""
        self.trailers: list[bytes] = []
        self.complete = False
        """True when the content its head announces is all here."""

    @property
    def status(self) -> int:
        """Of an answer."""
        return int(self.start.split(b" ")[1])

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields called ``name`` (lower case)."""
        pairs = (line.partition(b":") for line in self.lines)
        return [value.strip() for field, _, value in pairs if field.lower() == name]

    @property
    def headers(self) -> Headers:
        """Its fields as text."""
        return fields(self.lines)

    def __repr__(self) -> str:
        return f"<Message {self.start!r} {self.body[:200]!r}>"


def fields(lines: list[bytes]) -> Headers:
    """Field lines as the kernel's ``Headers``: bytes that are not UTF-8 stand as surrogate escapes."""
    pairs = (line.decode("utf-8", "surrogateescape").partition(":") for line in lines)
    return Headers([(name, value.strip()) for name, _, value in pairs])


def content(message: Message, *, bodiless: bool = False) -> Generator[bytes | int | None, bytes, None]:
    """Reads the content that a message's head announces, and does no I/O itself.

    It yields what it needs next and is sent that: bytes up to and with such an end, so many of them, or (None) all
    there are. ``bodiless``: the message has no content whatever it says, as an answer to HEAD. Raises ValueError when
    the framing is none.
    """
    if bodiless or message.start.startswith(_BODILESS):
        pass
    elif b"chunked" in message.values(b"transfer-encoding"):
        while (size := _size((yield b"\r\n").split(b";")[0], 16)) > 0:
            message.body += yield size
            assert (yield b"\r\n") == b"\r\n", "a chunk does not end where it should"
        while (line := (yield b"\r\n")) != b"\r\n":
            message.trailers.append(line[:-2])
    elif length := message.values(b"content-length"):
        message.body = yield _size(length[0], 10)
    elif message.start.startswith(b"HTTP/"):
        message.body = yield None
    message.complete = True


def _size(digits: bytes, base: int) -> int:
    """Raises ValueError when it is no number of bytes."""
    size = int(digits, base)
    if size < 0:
        raise ValueError(f"{digits!r} bytes")
    return size


def messages(data: bytes) -> list[tuple[int, Message]]:
    """The messages that stand in ``data``, each with where its head ends; the last is perhaps not ``complete``."""
    found: list[tuple[int, Message]] = []
    at = 0
    while (end := data.find(b"\r\n\r\n", at)) >= 0:
        message, at = Message(data[at : end + 4]), end + 4
        found.append((at, message))
        steps = content(message)
        try:
            need = next(steps)
            while (stop := _stop(data, at, need)) is not None:
                piece, at = data[at:stop], stop
                need = steps.send(piece)
        except StopIteration:
            continue
        except (AssertionError, ValueError):
            break
        if not isinstance(need, bytes):
            message.body += data[at:]
        break
    return found


def _stop(data: bytes, at: int, need: bytes | int | None) -> int | None:
    """Where what ``content`` needs next ends; None when it is not all there."""
    if isinstance(need, bytes):
        found = data.find(need, at)
        return None if found < 0 else found + len(need)
    stop = len(data) if need is None else at + need
    return stop if stop <= len(data) else None


class Wire:
    """One end of a connection, with raw bytes and a limit on every wait (``PATIENCE``, then TimeoutError)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, Recorder)
        self.reader = reader
        self.writer = writer
        self._taken = 0
        """How much of ``seen`` was read."""

    @property
    def seen(self) -> bytes:
        """Everything that has come in so far."""
        return bytes(self.reader.seen)

    @property
    def gone(self) -> bool:
        """True when the other end has ended or broken the connection, and everything was read."""
        return self.reader.at_eof() or self.reader.exception() is not None

    def ended(self) -> bool:
        """True when the other side has ended or reset the connection."""
        return self.reader.over or self.reader.exception() is not None or self.writer.transport.is_closing()

    async def send(self, data: bytes, *, bytewise: bool = False) -> None:
        """Sends ``data``; ``bytewise``: each byte in a packet of its own, as far as the system allows."""
        for piece in (data[at : at + 1] for at in range(len(data))) if bytewise else (data,):
            self.writer.write(piece)
            await asyncio.sleep(0)
        async with Patience("the other side to read"):
            await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        """The bytes up to and with ``end``."""
        async with Patience(f"{end!r} {self._so_far}"):
            return self._took(await self.reader.readuntil(end))

    async def exactly(self, size: int) -> bytes:
        """The next ``size`` bytes. Raises IncompleteReadError when the connection ends before."""
        async with Patience(f"{size} bytes {self._so_far}"):
            return self._took(await self.reader.readexactly(size))

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        async with Patience(f"the end of the connection {self._so_far}"):
            return self._took(await self.reader.read())

    @property
    def _so_far(self) -> str:
        return f"after {bytes(self.reader.seen[-200:])!r}"

    def _took(self, data: bytes) -> bytes:
        self._taken += len(data)
        return data

    async def begun(self) -> bool:
        """Waits, however long it takes, for a byte that was not read yet; False when the other side ends before."""
        while len(self.reader.seen) == self._taken:
            if self.ended():
                return False
            self.reader.news.clear()
            await self.reader.news.wait()
        return True

    async def forever(self) -> None:
        """Reads, however long it takes, until the other side ends the connection."""
        while data := await self.reader.read(_LARGEST_LINE):
            self._took(data)

    async def head(self) -> bytes:
        """The bytes up to and with the next empty line."""
        return await self.until(b"\r\n\r\n")

    async def message(self, *, bodiless: bool = False) -> Message:
        """One message: its head and the content its head announces. 1xx answers are messages of their own."""
        message = Message(await self.head())
        await self.fill(message, bodiless=bodiless)
        return message

    async def fill(self, message: Message, *, bodiless: bool = False) -> None:
        """Reads the content of a message whose head was read. Raises IncompleteReadError and ConnectionError when the
        connection ends before it does; what came of it stands in the message."""
        steps = content(message, bodiless=bodiless)
        need: bytes | int | None = None
        try:
            need = next(steps)
            while True:
                if need is None:
                    piece = await self.rest()
                else:
                    piece = await (self.until(need) if isinstance(need, bytes) else self.exactly(need))
                need = steps.send(piece)
        except StopIteration:
            pass
        except (asyncio.IncompleteReadError, ConnectionError):
            if not isinstance(need, bytes):
                message.body += self._took(self.seen[self._taken :])
            raise

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Breaks the connection with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        """Ends the connection once what was written is out."""
        self.writer.close()


async def connect(host: str, port: int, *, tls: ssl.SSLContext | None = None) -> tuple[Recorder, asyncio.StreamWriter]:
    """A new connection as a pair for ``Wire``. Raises OSError."""
    loop = asyncio.get_running_loop()
    reader = Recorder()
    name = host if tls is not None else None
    transport, protocol = await loop.create_connection(
        lambda: asyncio.StreamReaderProtocol(reader), host, port, ssl=tls, server_hostname=name
    )
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
