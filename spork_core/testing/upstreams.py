"""A scripted upstream: a server on a free port that plays a script on each connection and keeps what it was sent."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from operator import itemgetter
from typing import Final

from spork_core.testing.answers import Received
from spork_core.testing.patience import holds
from spork_core.testing.wire import Recorder, Wire, messages

Script = Callable[[Wire], Awaitable[None]]
"""Plays one connection. When it returns, the connection ends; it may stop reading or break it off as it likes."""

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\nok"


def always(answer: bytes) -> Script:
    """Answers every request of a connection with the same bytes once its content is there."""

    async def script(wire: Wire) -> None:
        while await wire.begun():
            await wire.message()
            await wire.send(answer)

    return script


class Upstream:
    """A backend of a test: plays ``script`` on each connection and keeps the bytes that came."""

    def __init__(self, script: Script | None = None) -> None:
        """``script``: None: answers every request 200."""
        self.plays: Script = always(OK) if script is None else script
        """What the next connection is played; may be replaced at any time."""
        self.url = ""
        """Its origin: ``http://127.0.0.1:PORT``."""
        self.port = 0
        self.wires: list[Wire] = []
        """Its connections, in the order they came, also those that have ended."""
        self.context: Callable[[], str] | None = None
        """Gives what failing assertions show besides; None: nothing."""

    def __repr__(self) -> str:
        return f"<Upstream {self.url} {len(self.got)} requests>"

    @property
    def received(self) -> bytes:
        """All bytes that came in, connection after connection."""
        return b"".join(wire.seen for wire in self.wires)

    @property
    def requests(self) -> list[bytes]:
        """The request lines that came in."""
        return [line for line in self.received.split(b"\r\n") if line.endswith(b" HTTP/1.1")]

    @property
    def got(self) -> list[Received]:
        """The requests whose head came in, in that order."""
        arrived = [
            (wire.reader.arrival(end), Received(message, self.context))
            for wire in self.wires
            for end, message in messages(wire.seen)
        ]
        return [received for _, received in sorted(arrived, key=itemgetter(0))]

    @property
    def last(self) -> Received:
        """The request that came in last. Raises AssertionError when there is none."""
        got = self.got
        if not got:
            raise AssertionError("the upstream was not reached")
        return got[-1]

    def must_have_got(self, count: int) -> "Upstream":
        """It must have got so many requests."""
        __tracebackhide__ = True
        if len(self.got) != count:
            parts = [f"the upstream must have got {count}, but {self.told()}"]
            parts += () if self.context is None else (self.context(),)
            raise AssertionError("\n\n".join(parts))
        return self

    def must_not_be_reached(self) -> "Upstream":
        """No request must have got there."""
        __tracebackhide__ = True
        return self.must_have_got(0)

    def told(self) -> str:
        """What it got, for a failure's message."""
        lines = [f"  {received.method} {received.target}" for received in self.got]
        heading = f"the upstream got {len(lines)} request{'' if len(lines) == 1 else 's'}{':' if lines else ''}"
        return "\n".join([heading, *lines])

    async def sole(self) -> Wire:
        """The connection, when there is one."""
        await holds(lambda: self.wires, "a connection to the upstream")
        (wire,) = self.wires
        return wire


@asynccontextmanager
async def upstream(script: Script | bytes = OK) -> AsyncIterator[Upstream]:
    """A backend on a free port of this machine.

    ``script``: plays each connection; bytes: the answer to every request, head and all. ::

        async with upstream(scripts.answer(200, "hello")) as backend, gateway(upstream=backend) as gw:
            await gw.get("/x")
            backend.last.must_have("Via", "1.1 spork")
    """
    backend = Upstream(always(script) if isinstance(script, bytes) else script)
    tasks: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()

    async def play(wire: Wire) -> None:
        try:
            await backend.plays(wire)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway has closed the connection
        except RuntimeError as error:
            if "closed" not in str(error):  # what uvloop calls the same
                raise
        finally:
            wire.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        backend.wires.append(wire)
        task = loop.create_task(play(wire))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await loop.create_server(lambda: asyncio.StreamReaderProtocol(Recorder(), connected), "127.0.0.1", 0)
    backend.port = server.sockets[0].getsockname()[1]
    backend.url = f"http://127.0.0.1:{backend.port}"
    try:
        yield backend
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for wire in backend.wires:
            with suppress(AttributeError):  # what asyncio raises for one that has ended
                wire.writer.transport.abort()
