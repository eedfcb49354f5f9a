"""A gateway that serves on a real port of this machine, and the clients of a test that speak to it."""

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from spork_core.config.model import Address
from spork_core.gateway import Gateway
from spork_core.server.connection import ClientConnection
from spork_core.server.listener import Listening
from spork_core.testing.answers import Answer
from spork_core.testing.asking import Asks, Client, Content, Fields
from spork_core.testing.patience import holds
from spork_core.testing.wire import Message, Wire, connect

_HOOKS_END: Final = 2.0
"""Real seconds that ``on_complete`` gets to end after the last byte of its answer, before a test goes on without."""

_SOON: Final = 20
"""Turns of the loop in which what is waited for has mostly come."""


class Entrance(Asks):
    """One listener of a gateway, public or admin.

    ``listening``, ``address``: give what serves and where. ``context``: what failing assertions show besides the
    answer; None: nothing.
    """

    def __init__(
        self,
        listening: Callable[[], Listening | None],
        address: Callable[[], Address],
        context: Callable[[], str] | None = None,
    ) -> None:
        self._listening = listening
        self._address = address
        self._context = context
        self._clients: list[Client] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        address = self._address()
        return address.host, address.port

    @property
    def url(self) -> str:
        """Its origin, for clients of other libraries."""
        host, port = self.address
        return f"http://{host}:{port}"

    async def connect(self, *, tls: ssl.SSLContext | None = None) -> Client:
        """A new connection, which the gateway has accepted. ``tls``: to a listener with TLS; None: plain."""
        wire = Wire(*await connect(*self.address, tls=tls))
        listening = self._listening()
        assert listening is not None
        mine = wire.writer.get_extra_info("sockname")

        def accepted() -> ClientConnection | None:
            theirs = (each for each in listening.connections if each.transport.get_extra_info("peername") == mine)
            return next(theirs, None)

        # Accepted by now, so that bytes sent one by one are read one by one.
        await holds(lambda: accepted() or wire.ended(), "the gateway to accept a connection", turns=_SOON)
        connection, snapshot = accepted(), listening.snapshot

        def over() -> bool:
            return connection is None or not any(map(connection.runs_on, (snapshot, listening.snapshot)))

        async def completed() -> None:
            try:
                await holds(over, "the exchange to end", seconds=_HOOKS_END, turns=_SOON)
            except TimeoutError:
                pass  # the answer is there; a hook that goes on is what the test is about, or found when it ends

        client = Client(wire, self._context, completed)
        self._clients = [known for known in self._clients if not known.closed]
        self._clients.append(client)
        return client

    async def request(
        self,
        method: str,
        target: str,
        *,
        headers: Fields = (),
        body: Content | None = None,
        json: Any = None,
        bytewise: bool = False,
    ) -> Answer:
        async with await self.connect() as client:
            return await client.request(method, target, headers=headers, body=body, json=json, bytewise=bytewise)

    async def ask(self, data: bytes, *, bytewise: bool = False, bodiless: bool = False) -> Message:
        """The first answer to ``data``, sent as it is on a new connection, which stays open. ``bodiless``: as to a HEAD
        request."""
        wire = (await self.connect()).wire
        await wire.send(data, bytewise=bytewise)
        return await wire.message(bodiless=bodiless)

    async def raw(self, data: bytes, *, bytewise: bool = False) -> bytes:
        """Everything that a new connection answers to ``data``, sent as it is, until the gateway ends it."""
        wire = (await self.connect()).wire
        await wire.send(data, bytewise=bytewise)
        return await wire.rest()

    def hang_up(self) -> None:
        """Breaks off every connection that is still open."""
        for client in self._clients:
            client.wire.writer.transport.abort()


class Running(Entrance):
    """A gateway that serves; requests go to its first public listener, those of ``admin`` to the admin listener."""

    def __init__(self, gateway: Gateway, context: Callable[[], str] | None = None) -> None:
        super().__init__(lambda: gateway.front, lambda: gateway.addresses[0], context)
        self.gateway = gateway
        """The kernel's own object, for what has no word here."""
        self.admin = Entrance(lambda: gateway.admin, lambda: gateway.admin_addresses[0], context)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.url}>"


@asynccontextmanager
async def serving(running: Running) -> AsyncIterator[None]:
    """Starts its gateway, and stops it at once at the end of the block: what still runs is cut."""
    await running.gateway.start()
    try:
        yield
    finally:
        running.hang_up()
        running.admin.hang_up()
        await running.gateway.stop(0)


__all__ = ["Entrance", "Running", "serving"]
