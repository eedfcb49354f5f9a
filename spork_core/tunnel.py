"""After a 101: two connections whose bytes are carried across as they are, whatever protocol they now speak."""

import asyncio
from typing import Final, cast

from spork_core.fiber import Wait

HALF_CLOSED: Final = 60.0
"""Seconds without a byte after which a tunnel of which one side has ended is closed."""


class _Half(asyncio.Protocol):
    """One direction: what comes in here goes out at ``peer``; a peer that does not read stops this side's reading."""

    __slots__ = ("carried", "ended", "lost", "peer", "transport", "tunnel")

    def __init__(self, tunnel: "Tunnel", transport: asyncio.Transport, peer: asyncio.Transport) -> None:
        self.tunnel = tunnel
        self.transport = transport
        self.peer = peer
        self.carried = 0
        self.ended = False
        self.lost = False

    def data_received(self, data: bytes) -> None:
        self.carried += len(data)
        self.peer.write(data)

    def pause_writing(self) -> None:
        self.peer.pause_reading()

    def resume_writing(self) -> None:
        if not self.peer.is_closing():
            self.peer.resume_reading()

    def eof_received(self) -> bool:
        self.ended = True
        self.tunnel.half_ended()
        if self.peer.can_write_eof() and not self.peer.is_closing():
            self.peer.write_eof()
            return not self.tunnel.both_ended
        self.peer.close()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        if error is None:
            self.peer.close()
        else:
            self.peer.abort()
        self.tunnel.half_lost()


class Tunnel:
    """Carries bytes between a client and an upstream until both connections are gone."""

    __slots__ = ("_closed", "_down", "_ending", "_up")

    def __init__(self, client: asyncio.Transport, upstream: asyncio.Transport) -> None:
        self._up = _Half(self, client, upstream)
        self._down = _Half(self, upstream, client)
        self._closed: Wait | None = None
        self._ending: asyncio.TimerHandle | None = None

    @property
    def sent(self) -> int:
        """Bytes carried to the client."""
        return self._down.carried

    @property
    def received(self) -> int:
        """Bytes carried to the upstream."""
        return self._up.carried

    @property
    def both_ended(self) -> bool:
        """True when both sides have said their last."""
        return self._up.ended and self._down.ended

    def half_ended(self) -> None:
        """One side has said its last. The other goes on for as long as it says something, since a peer that is gone
        looks like one that listens."""
        if self._ending is None and not self.both_ended:
            self._arm()

    def _arm(self) -> None:
        carried = self.sent + self.received
        self._ending = asyncio.get_running_loop().call_later(HALF_CLOSED, self._look, carried)

    def _look(self, carried: int) -> None:
        if self.sent + self.received == carried:
            self.close()
        else:
            self._arm()

    async def run(self, from_client: bytes, from_upstream: bytes) -> None:
        """``from_client``, ``from_upstream``: what came in behind the request and behind the 101."""
        client, upstream = self._up.transport, self._down.transport
        if from_upstream:
            self._down.data_received(from_upstream)
        if from_client:
            self._up.data_received(from_client)
        client.set_protocol(self._up)
        upstream.set_protocol(self._down)
        for transport in (client, upstream):
            if not transport.is_closing() and not transport.is_reading():
                transport.resume_reading()
        self._closed = Wait()
        await self._closed

    def close(self) -> None:
        """Ends both connections now."""
        if self._ending is not None:
            self._ending.cancel()
        self._up.transport.abort()
        self._down.transport.abort()

    def half_lost(self) -> None:
        if self._up.lost and self._down.lost and self._closed is not None:
            self._closed.wake()


def as_transport(transport: asyncio.BaseTransport) -> asyncio.Transport:
    """asyncio hands protocols a base type; over TCP, TLS and unix sockets it is always this one."""
    return cast(asyncio.Transport, transport)
