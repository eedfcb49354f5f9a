"""Both ends of an exchange on fake connections: the client, the service, and what each of them has seen."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from attrs import define

from spork_core.testing.fakeloop import SERVICE, FakeTransport, Wires
from spork_core.testing.watch import Call
from spork_core.testing.wire import Message, content

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 13\r\n"
    b'Date: Mon, 23 Nov 2026 02:47:37 GMT\r\n\r\n{"id":"rig1"}'
)
"""What the service says when a law does not care."""
GET: Final = b"GET /users/1 HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n\r\n"
CLIENT: Final = ("198.51.100.7", 50000)
"""Address and port of a client that a law does not care about."""


@define
class Passed:
    """One exchange as both ends saw it.

    ``upstream``: the bytes that went to the service; b"" when it was not asked. ``answer``: those that came back to the
    client. ``hung``: it did not end in time. ``calls``: of the plugin's hooks, in order.
    """

    upstream: bytes
    answer: bytes
    hung: bool
    calls: list[Call]

    @property
    def status(self) -> int:
        """0 when the connection ended without an answer."""
        message = self.message
        return 0 if message is None else message.status

    @property
    def message(self) -> Message | None:
        """The answer, 1xx ones left out."""
        return message_of(self.answer)

    @property
    def request(self) -> Message | None:
        """The request as the service got it."""
        return message_of(self.upstream)


def message_of(data: bytes) -> Message | None:
    """The first message of ``data`` that is no 1xx; None when its head is not complete."""
    while (end := data.find(b"\r\n\r\n") + 4) > 3:
        message = Message(data[:end])
        data = data[end:]
        if message.start.startswith(b"HTTP/1.1 1") and not message.start.startswith(b"HTTP/1.1 101"):
            continue
        steps, need = content(message), None
        with suppress(StopIteration, AssertionError, ValueError):
            need = next(steps)
            while True:
                size = len(data) if need is None else need if isinstance(need, int) else data.find(need) + len(need)
                if size > len(data) or (isinstance(need, bytes) and need not in data):
                    break
                piece, data = data[:size], data[size:]
                need = steps.send(piece)
        return message
    return None


class Service:
    """The service behind the gateway: answers each request when that is complete.

    ``script``: with what, a piece in each turn of the loop; b"" hangs up.
    """

    def __init__(self) -> None:
        self.script: list[bytes] = [ANSWER]
        self.received = bytearray()
        """What came in the present exchange."""
        self.taken = 0
        """How many bytes came, ever."""
        self.answered = 0
        """How many bytes it has answered, ever."""
        self.drinks = False
        """True: it takes anything and keeps nothing."""

    def connected(self, protocol: asyncio.Protocol) -> FakeTransport:
        """Its end of a new connection."""
        return _Connection(self, protocol).transport


class _Connection:
    """One connection to the service."""

    def __init__(self, service: Service, protocol: asyncio.Protocol) -> None:
        self._service = service
        self._protocol = protocol
        self._request = bytearray()
        self._wanted = -1
        """Bytes of the request that comes in; 0: it is chunked, or drunk; -1: not known yet."""
        self.transport = FakeTransport(protocol, (SERVICE, 80), self._wrote)

    def _wrote(self, data: Any) -> None:
        self._service.received += data
        self._service.taken += len(data)
        request = self._request
        request += data
        if self._service.drinks:
            del request[: max(0, len(request) - 8)]  # only the end matters
            self._wanted = 0
        if self._wanted < 0 and (head := request.find(b"\r\n\r\n") + 4) > 3:
            fields = bytes(request[:head]).lower()
            at = fields.find(b"\r\ncontent-length:")
            length = int(fields[at + 17 : fields.index(b"\r\n", at + 2)]) if at >= 0 else 0
            self._wanted = 0 if b"\r\ntransfer-encoding:" in fields else head + length
        if self._wanted == 0:
            whole = request.endswith(b"0\r\n\r\n")
        else:
            whole = 0 < self._wanted <= len(request)
        if whole:
            request.clear()
            self._wanted = -1
            asyncio.get_running_loop().call_soon(self._answer, list(self._service.script))

    def _answer(self, pieces: list[bytes]) -> None:
        if not pieces or self.transport.is_closing():
            return
        if not pieces[0]:
            self.transport.close()
        elif self.transport.paused:
            asyncio.get_running_loop().call_later(0.001, self._answer, pieces)
        else:
            self._service.answered += len(pieces[0])
            self._protocol.data_received(pieces.pop(0))
            if pieces:
                asyncio.get_running_loop().call_soon(self._answer, pieces)


class Client:
    """A client's end of a connection."""

    def __init__(self, wires: Wires, peer: tuple[str, int] = CLIENT) -> None:
        self.received = bytearray()
        self.gone = asyncio.get_running_loop().create_future()
        """Done once the gateway has closed the connection."""
        self._protocol = wires.client()
        self._transport = FakeTransport(self._protocol, peer, self._wrote)
        close = self._transport.close

        def closed() -> None:
            close()
            if not self.gone.done():
                self.gone.set_result(None)

        self._transport.close = self._transport.abort = closed  # type: ignore[method-assign]

    def _wrote(self, data: Any) -> None:
        self.received += data

    @property
    def open(self) -> bool:
        """False once the connection is closed."""
        return not self._transport.is_closing()

    @property
    def paused(self) -> bool:
        """True while the gateway does not want to read."""
        return self._transport.paused

    def feed(self, data: bytes) -> None:
        """Sends ``data``, if the connection is still open."""
        if self.open:
            self._protocol.data_received(data)

    def leave(self) -> None:
        """Closes the connection in the middle of whatever goes on."""
        if self.open:
            self._transport.close()


def post(body: Iterable[bytes] = (b"{}",), target: bytes = b"/users") -> list[bytes]:
    """A POST in pieces: its head, then a chunk for each of ``body`` and the end."""
    head = (
        b"POST %b HTTP/1.1\r\nHost: api.example\r\nContent-Type: application/json\r\n"
        b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n" % target
    )
    return [head, *(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in body if piece), b"0\r\n\r\n"]


def carrying(request: bytes, fields: Mapping[str, str]) -> bytes:
    """``request`` with those of ``fields`` besides whose names it does not have."""
    line, end, rest = request.partition(b"\r\n")
    there = {each.partition(b":")[0].lower() for each in rest.partition(b"\r\n\r\n")[0].split(b"\r\n")}
    missing = [(name.encode(), value.encode()) for name, value in fields.items() if name.lower().encode() not in there]
    return line + end + b"".join(b"%b: %b\r\n" % each for each in missing) + rest if end else request


__all__ = ["ANSWER", "CLIENT", "GET", "Client", "Passed", "Service", "carrying", "message_of", "post"]
