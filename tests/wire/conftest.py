"""A gateway in this process, a backend that plays scripted bytes and keeps what it was sent, a client of raw bytes."""

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

import attrs

from spork_core.api import Plugin
from spork_core.clock import Clock
from spork_core.config.model import (
    Address,
    EndpointConfig,
    GatewayConfig,
    InstanceConfig,
    Listener,
    MatchConfig,
    RouteConfig,
    ServiceConfig,
)
from spork_core.gateway import Gateway
from spork_core.registry import Registry

OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nDate: now\r\n\r\nok"
GET: Final = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
PATIENCE: Final = 10.0
"""Seconds after which a wait of a test has failed."""


async def holds(condition: Callable[[], object]) -> None:
    """Until ``condition()`` is true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  what is looked at belongs to the kernel, which sets no event
            await asyncio.sleep(0.001)


class Recorder(asyncio.StreamReader):
    """Keeps every byte that arrives, read or not."""

    def __init__(self) -> None:
        super().__init__(limit=2**20)
        self.seen = bytearray()
        self.over = False
        """True when the other side has ended."""

    def feed_data(self, data: bytes) -> None:
        self.seen += data
        super().feed_data(data)

    def feed_eof(self) -> None:
        self.over = True
        super().feed_eof()


class Wire:
    """One end of a connection, with raw bytes and a limit on every wait."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(reader, Recorder)
        self.reader = reader
        self.writer = writer

    @property
    def seen(self) -> bytes:
        """Everything that has come in so far."""
        return bytes(self.reader.seen)

    @property
    def gone(self) -> bool:
        """True when the other end has ended or broken the connection, and everything was read."""
        return self.reader.at_eof() or self.reader.exception() is not None

    async def send(self, data: bytes, *, bytewise: bool = False) -> None:
        for piece in (data[at : at + 1] for at in range(len(data))) if bytewise else (data,):
            self.writer.write(piece)
            await asyncio.sleep(0)
        await asyncio.wait_for(self.writer.drain(), PATIENCE)

    async def until(self, end: bytes) -> bytes:
        """The bytes up to and with ``end``."""
        return await asyncio.wait_for(self.reader.readuntil(end), PATIENCE)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE)

    async def rest(self) -> bytes:
        """Everything up to the end of the connection."""
        return await asyncio.wait_for(self.reader.read(), PATIENCE)

    def ended(self) -> bool:
        """True when the other side has ended or reset the connection."""
        return self.reader.over or self.reader.exception() is not None or self.writer.transport.is_closing()

    async def head(self) -> bytes:
        return await self.until(b"\r\n\r\n")

    async def message(self, *, bodiless: bool = False) -> "Message":
        """One message: its head and the content its head announces. 1xx answers are messages of their own."""
        head = await self.head()
        message = Message(head)
        if bodiless or message.start.startswith((b"HTTP/1.1 1", b"HTTP/1.1 204", b"HTTP/1.1 304")):
            return message
        if b"chunked" in message.values(b"transfer-encoding"):
            while (size := int((await self.until(b"\r\n")).split(b";")[0], 16)) > 0:
                message.body += await self.exactly(size)
                assert await self.exactly(2) == b"\r\n"
            while (line := await self.until(b"\r\n")) != b"\r\n":
                message.trailers.append(line[:-2])
        elif length := message.values(b"content-length"):
            message.body = await self.exactly(int(length[0]))
        elif message.start.startswith(b"HTTP/"):
            message.body = await self.rest()
        return message

    def half_close(self) -> None:
        """Says that nothing more will be sent."""
        self.writer.write_eof()

    def reset(self) -> None:
        """Breaks the connection with a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def close(self) -> None:
        self.writer.close()


class Message:
    """A request or an answer as it came over the wire."""

    def __init__(self, head: bytes) -> None:
        self.head = head
        self.start, *self.lines = head[:-4].split(b"\r\n")
        self.body = b""
        self.trailers: list[bytes] = []

    @property
    def status(self) -> int:
        return int(self.start.split(b" ")[1])

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields called ``name`` (lower case)."""
        pairs = (line.partition(b":") for line in self.lines)
        return [value.strip() for field, _, value in pairs if field.lower() == name]

    def __repr__(self) -> str:
        return f"<Message {self.start!r} {self.body[:200]!r}>"


Script = Callable[[Wire], Awaitable[None]]


def always(answer: bytes) -> Script:
    """Answers every request of a connection with the same bytes once its content is there."""

    async def script(wire: Wire) -> None:
        while True:
            await wire.message()
            await wire.send(answer)

    return script


class Upstream:
    """A backend: plays ``script`` on each connection and keeps the bytes that came."""

    def __init__(self) -> None:
        self.url = ""
        self.port = 0
        self.wires: list[Wire] = []

    @property
    def received(self) -> bytes:
        """All bytes that came in, connection after connection."""
        return b"".join(wire.seen for wire in self.wires)

    @property
    def requests(self) -> list[bytes]:
        """The request lines that came in."""
        return [line for line in self.received.split(b"\r\n") if line.endswith(b" HTTP/1.1")]

    async def sole(self) -> Wire:
        """The connection, when there is one."""
        await holds(lambda: self.wires)
        (wire,) = self.wires
        return wire


@asynccontextmanager
async def upstream(script: Script | bytes = OK) -> AsyncIterator[Upstream]:
    """A backend on a free port. ``script``: plays each connection, or the answer to every request."""
    playing = always(script) if isinstance(script, bytes) else script
    backend = Upstream()
    tasks: set[asyncio.Task[None]] = set()

    async def play(wire: Wire) -> None:
        try:
            await playing(wire)
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
        task = asyncio.get_running_loop().create_task(play(wire))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    loop = asyncio.get_running_loop()
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


class Running:
    """A gateway that serves, and how to reach it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.clients: list[Wire] = []

    @property
    def address(self) -> tuple[str, int]:
        (address,) = self.gateway.addresses
        return address.host, address.port

    async def client(self) -> Wire:
        """A new connection to it."""
        loop = asyncio.get_running_loop()
        reader = Recorder()
        transport, protocol = await loop.create_connection(lambda: asyncio.StreamReaderProtocol(reader), *self.address)
        wire = Wire(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        self.clients.append(wire)
        mine, front = transport.get_extra_info("sockname"), self.gateway.front
        assert front is not None
        # Accepted by now, so that bytes sent one by one are read one by one.
        await holds(lambda: any(mine == c.transport.get_extra_info("peername") for c in front.connections))
        return wire

    async def ask(self, data: bytes, *, bytewise: bool = False, bodiless: bool = False) -> Message:
        """The first answer to ``data`` on a new connection."""
        client = await self.client()
        await client.send(data, bytewise=bytewise)
        return await client.message(bodiless=bodiless)

    async def raw(self, data: bytes, *, bytewise: bool = False) -> bytes:
        """Everything that a new connection answers to ``data`` until the gateway ends it."""
        client = await self.client()
        await client.send(data, bytewise=bytewise)
        return await client.rest()


class Faults(logging.Handler):
    """Collects what the kernel itself calls unexpected."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "unexpected" in record.getMessage():
            self.messages.append(self.format(record))


@asynccontextmanager
async def gateway(
    backend: Upstream | None = None,
    *,
    route: Mapping[str, Any] | None = None,
    match: Mapping[str, Any] | None = None,
    service: Mapping[str, Any] | None = None,
    plugins: Mapping[str, type[Plugin[Any]]] | None = None,
    instances: Mapping[str, Mapping[str, Any]] | None = None,
    routes: Mapping[str, RouteConfig] | None = None,
    services: Mapping[str, ServiceConfig] | None = None,
    clock: Clock | None = None,
    faults: bool = False,
    **config: Any,
) -> AsyncIterator[Running]:
    """A gateway on a free port, with one route to ``backend`` unless ``routes`` says otherwise.

    ``route``, ``match``, ``service``: keywords of that route's RouteConfig, MatchConfig and ServiceConfig. ``plugins``:
    classes by name, all of them in the outer chain in this order. ``instances``: keywords of their InstanceConfig.
    ``faults``: an unexpected error inside the kernel is what the test is about. ``config``: of GatewayConfig.
    """
    if services is None and backend is not None:
        services = {"up": ServiceConfig((EndpointConfig(backend.url),), **(service or {}))}
    if routes is None:
        wanted = {"service": "up" if services else None, **(route or {})}
        routes = {"all": RouteConfig(MatchConfig(**(match or {})), **wanted)}
    offered = dict(plugins or {})
    more = instances or {}
    made = GatewayConfig(
        listen=(Listener(Address("127.0.0.1", 0)),),
        admin=None,
        services=dict(services or {}),
        routes=dict(routes),
        plugins={
            name: InstanceConfig(name, name, **{"settings": cls.Config(), **more.get(name, {})})
            for name, cls in offered.items()
        },
        chain=tuple(offered),
    )
    gate = await asyncio.to_thread(
        Gateway, attrs.evolve(made, **config), Registry(offered), clock=clock
    )  # it reads files
    running = Running(gate)
    watching = Faults()
    logging.getLogger("spork_core").addHandler(watching)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: watching.messages.append(str(context)))
    await gate.start()
    try:
        yield running
    finally:
        for client in running.clients:
            client.writer.transport.abort()
        await gate.stop(0)
        loop.set_exception_handler(None)
        logging.getLogger("spork_core").removeHandler(watching)
    assert faults or not watching.messages
