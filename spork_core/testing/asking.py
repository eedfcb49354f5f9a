"""A client of raw bytes that can also speak HTTP: what a test sends stands on the wire as it was written."""

import asyncio
import json as _json
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlsplit

from spork_core.testing.answers import Answer
from spork_core.testing.wire import Message, Wire

Fields = Mapping[str, str] | Sequence[tuple[str, str]]
Content = bytes | str | AsyncIterable[bytes]

HOST: Final = "gateway.test"
"""The Host of a request that does not say another."""
_WITH_CONTENT: Final = ("POST", "PUT", "PATCH")


class NoAnswer(ConnectionError):
    """The gateway ended the connection without an answer."""


class Asks(ABC):
    """What can be asked with HTTP's methods. All of them take the keywords of ``request``."""

    @abstractmethod
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
        """Sends one request and gives its answer, with what came of it when it is cut off.

        ``target``: a path and query, or a whole ``http://`` URL, whose host becomes the ``Host`` field. ``headers``:
        sent as they are, ``Host`` and the framing added where they are missing. ``body``: bytes and text are sent with
        their length, an async iterable in chunks, while the answer is awaited; with ``Expect: 100-continue``, once a
        100 has come. ``json``: sent as JSON in place of a body; None: none. ``bytewise``: each byte is sent alone.
        Raises NoAnswer, and TimeoutError after 10 s.
        """

    async def get(self, target: str = "/", **more: Any) -> Answer:
        """A GET request."""
        return await self.request("GET", target, **more)

    async def head(self, target: str = "/", **more: Any) -> Answer:
        """A HEAD request."""
        return await self.request("HEAD", target, **more)

    async def options(self, target: str = "/", **more: Any) -> Answer:
        """An OPTIONS request."""
        return await self.request("OPTIONS", target, **more)

    async def post(self, target: str = "/", **more: Any) -> Answer:
        """A POST request."""
        return await self.request("POST", target, **more)

    async def put(self, target: str = "/", **more: Any) -> Answer:
        """A PUT request."""
        return await self.request("PUT", target, **more)

    async def patch(self, target: str = "/", **more: Any) -> Answer:
        """A PATCH request."""
        return await self.request("PATCH", target, **more)

    async def delete(self, target: str = "/", **more: Any) -> Answer:
        """A DELETE request."""
        return await self.request("DELETE", target, **more)


class Client(Asks):
    """One connection to a gateway, for requests one after the other, or for bytes: ``wire``.

    ``context``: what a failing assertion about an answer shows besides it; None: nothing. ``over``: called after each
    answer, returns when the gateway is done with the exchange; None: nobody waits for that.
    """

    def __init__(
        self,
        wire: Wire,
        context: Callable[[], str] | None = None,
        over: Callable[[], Awaitable[object]] | None = None,
    ) -> None:
        self.wire = wire
        self._context = context
        self._over = over

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        self.wire.close()

    @property
    def closed(self) -> bool:
        """True when this side has ended or broken off the connection."""
        return self.wire.writer.transport.is_closing()

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
        head, content = _rendered(method, target, headers, body, json)
        wanted = asyncio.Event()
        if b"\r\nexpect:" not in head.lower():
            wanted.set()
        sending = asyncio.get_running_loop().create_task(self._send(head, content, bytewise, wanted))
        try:
            answer = await self._answer(method, f"{method} {target}", wanted)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        if self._over is not None:
            await self._over()
        return answer

    async def _send(
        self, head: bytes, content: bytes | AsyncIterable[bytes], bytewise: bool, wanted: asyncio.Event
    ) -> None:
        """``wanted``: set when the content may be sent: at once, or (RFC 9110 section 10.1.1) when a 100 has come."""
        try:
            if isinstance(content, bytes) and wanted.is_set():
                await self.wire.send(head + content, bytewise=bytewise)
                return
            await self.wire.send(head, bytewise=bytewise)
            await wanted.wait()
            if isinstance(content, bytes):
                await self.wire.send(content, bytewise=bytewise)
                return
            async for piece in content:
                if piece:
                    await self.wire.send(b"%x\r\n%b\r\n" % (len(piece), piece), bytewise=bytewise)
            await self.wire.send(b"0\r\n\r\n", bytewise=bytewise)
        except ConnectionError:
            pass  # the gateway has answered before it read all, or has gone: who reads finds out which

    async def _answer(self, method: str, asked: str, wanted: asyncio.Event) -> Answer:
        wire = self.wire
        informational: list[Answer] = []
        while True:
            try:
                message = Message(await wire.head())
            except (asyncio.IncompleteReadError, ConnectionError) as error:
                raise NoAnswer(f"{asked}: the gateway ended the connection; it said {wire.seen!r}") from error
            if not 100 <= message.status < 200 or message.status == 101:
                break
            message.complete = True
            wanted.set()
            informational.append(Answer(message, asked=asked, context=self._context))
        try:
            await wire.fill(message, bodiless=method == "HEAD")
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # ``complete`` says so
        return Answer(message, informational, asked=asked, context=self._context)


def _rendered(
    method: str, target: str, headers: Fields, body: Content | None, json: Any
) -> tuple[bytes, bytes | AsyncIterable[bytes]]:
    """The head and the content of a request."""
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    said = {name.lower() for name, _ in pairs}
    host = HOST
    if target.startswith(("http://", "https://")):
        url = urlsplit(target)
        host = url.netloc
        target = (url.path or "/") + (f"?{url.query}" if "?" in target else "")
    if "host" not in said:
        pairs.insert(0, ("Host", host))
    if json is not None:
        body = _json.dumps(json)
        if "content-type" not in said:
            pairs.append(("Content-Type", "application/json"))
    content = body.encode() if isinstance(body, str) else b"" if body is None else body
    if said.isdisjoint(("content-length", "transfer-encoding")):
        if not isinstance(content, bytes):
            pairs.append(("Transfer-Encoding", "chunked"))
        elif content or method in _WITH_CONTENT:
            pairs.append(("Content-Length", str(len(content))))
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in pairs)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape"), content
