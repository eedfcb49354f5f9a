"""A flaky link: a proxy between a plugin and what it depends on, whose faults a test switches on and off.

Rules of this file
1. A fault holds from the next byte on, for open connections and for those to come, until ``heal``.
2. What is not passed on is not read, but for a few chunks: a stalled link pushes back on who writes into it.
3. A connection's sockets and tasks end with it, and all of them with the link.
"""

import asyncio
import re
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from random import Random
from shutil import rmtree
from time import monotonic
from typing import Any

from spork_core.testing.link_ways import End, Ended, Ending, Flow, Way, turn_every, turn_first


class Link:
    """A running link; ``flaky`` makes it. Each fault changes both ways; ``up.change`` and ``down.change`` only one.

    ``port`` is where it listens on 127.0.0.1, ``path`` its unix socket ("" where it has a port). ``connections``
    counts those it was asked for since it began, ``unreached`` those of them for which there was no dependency.
    """

    def __init__(self, host: str, port: int | None, path: str, chance: Random) -> None:
        self.up = Way()
        self.down = Way()
        self.connections = 0
        self.unreached = 0
        self.path = path
        self._target = (host, port)
        self._chance = chance
        self._carrying: dict[asyncio.Task[None], _Connection] = {}
        self._bound: socket.socket | None = None if path else _bind("127.0.0.1", 0)
        """Holds the port, also while nobody listens on it."""
        self.port: int = 0 if self._bound is None else self._bound.getsockname()[1]
        self._listening: socket.socket | None = None
        self._refusing = False
        self._listen()

    def __repr__(self) -> str:
        host, port = self._target
        state = f"{self.connections} connections, {self.up.carried} bytes up, {self.down.carried} down"
        return f"<Link {self.path or self.port} to {host}{'' if port is None else f':{port}'}: {state}>"

    @property
    def open(self) -> int:
        """Connections that it carries now."""
        return len(self._carrying)

    @property
    def asked(self) -> float | None:
        """When the dependency was last sent something that it has not answered yet, or a connection was begun, as
        ``time.monotonic`` says; None when it has nothing to answer."""
        return max((at for each in self._carrying.values() if (at := each.asked) is not None), default=None)

    def url(self, target: str) -> str:
        """The URL ``target`` of the dependency, with the link's address in place of that one's."""
        if self.path:
            return target.replace(self._target[0], self.path)
        return re.sub(r"(?<=://)((?:[^/?#]*@)?)[^/?#]*", rf"\g<1>127.0.0.1:{self.port}", target, count=1)

    # -- faults -----------------------------------------------------------------------------------------

    def slow(self, seconds: float, jitter: float = 0.0) -> None:
        """Each byte takes ``seconds``, and up to ``jitter`` more, each way; the order stays."""
        self._change(latency=seconds, jitter=jitter)

    def throttle(self, rate: float) -> None:
        """Each connection carries ``rate`` bytes per second each way."""
        self._change(rate=rate)

    def stall(self) -> None:
        """Connections are accepted and kept, and nothing passes."""
        self._change(stalled=True)

    def corrupt(self, *, first: int = 0, every: int = 0) -> None:
        """Turns bytes over: the ``first`` ones that come by from now on each way, or one of ``every``."""
        for way in (self.up, self.down):
            way.change(tamper=turn_first(first) if first else turn_every(every))

    def reset(self, after: int | None = None) -> None:
        """Ends the open connections with RST now; or each, also those to come, ``after`` more bytes from the
        dependency."""
        self._end("reset", after)

    def cut(self, after: int | None = None) -> None:
        """As ``reset``, with FIN."""
        self._end("cut", after)

    def half_close(self, after: int = 0) -> None:
        """The dependency seems to end its side ``after`` more bytes (0: in place of the next); what is sent to it still
        passes."""
        self.down.change(end=End("half-closed", after))

    def refuse(self) -> None:
        """As when the dependency has died: open connections are reset, new ones refused (by a unix socket, which stays
        in its place: ended at once)."""
        self._refusing = True
        if self._bound is not None:
            self._deaf()
        self.reset()

    def heal(self) -> None:
        """No faults any more. Connections that were ended stay so."""
        self.up.heal()
        self.down.heal()
        self._refusing = False
        if self._listening is None:
            self._listen()

    def slowed(self, seconds: float, jitter: float = 0.0) -> AbstractAsyncContextManager[None]:
        """``slow`` inside an ``async with``, at whose end the link heals."""
        return self._during(partial(self.slow, seconds, jitter))

    def throttled(self, rate: float) -> AbstractAsyncContextManager[None]:
        """``throttle`` inside an ``async with``."""
        return self._during(partial(self.throttle, rate))

    def stalled(self) -> AbstractAsyncContextManager[None]:
        """``stall`` inside an ``async with``."""
        return self._during(self.stall)

    def corrupted(self, *, first: int = 0, every: int = 0) -> AbstractAsyncContextManager[None]:
        """``corrupt`` inside an ``async with``."""
        return self._during(partial(self.corrupt, first=first, every=every))

    def resetting(self, after: int = 0) -> AbstractAsyncContextManager[None]:
        """``reset`` after some bytes, inside an ``async with``."""
        return self._during(partial(self.reset, after))

    def refused(self) -> AbstractAsyncContextManager[None]:
        """``refuse`` inside an ``async with``."""
        return self._during(self.refuse)

    @asynccontextmanager
    async def _during(self, fault: Callable[[], None]) -> AsyncIterator[None]:
        fault()
        try:
            yield
        finally:
            self.heal()

    def _change(self, **terms: Any) -> None:
        self.up.change(**terms)
        self.down.change(**terms)

    def _end(self, how: Ending, after: int | None) -> None:
        if after is not None:
            self.down.change(end=End(how, after))
            return
        for task, connection in self._carrying.items():
            connection.how = how
            task.cancel()

    # -- connections ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        self._listening = _bind(self.path or "127.0.0.1", self.port)
        self._listening.listen()
        asyncio.get_running_loop().add_reader(self._listening, self._accept)

    def _deaf(self) -> None:
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._listening.close()
            self._listening = None

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            client, _ = self._listening.accept()
        except OSError:
            return  # it has left again
        if self._refusing:
            client.close()
            return
        client.setblocking(False)
        _at_once(client)
        self.connections += 1
        connection = _Connection(self, client)
        task = asyncio.get_running_loop().create_task(connection.carry(*self._target, self._chance))
        self._carrying[task] = connection
        task.add_done_callback(self._carrying.pop)

    async def hang_up(self) -> None:
        """Ends the open connections with FIN, and waits until they are gone."""
        self.cut()
        if self._carrying:
            await asyncio.wait(tuple(self._carrying))

    async def close(self) -> None:
        """Ends its connections, and itself."""
        self._deaf()
        if self._bound is not None:
            self._bound.close()
        await self.hang_up()


@asynccontextmanager
async def flaky(host: str, port: int | None = None, *, chance: Random | None = None) -> AsyncIterator[Link]:
    """A link to ``host:port``, or to the unix socket ``host`` when there is no port, on an address of its own.

    ``chance``: decides the jitter; None: a Random that is the same in each run.
    """
    async with AsyncExitStack() as stack:
        path = ""
        if port is None:
            folder = await asyncio.to_thread(tempfile.mkdtemp, prefix="link-")
            stack.push_async_callback(asyncio.to_thread, rmtree, folder)
            path = f"{folder}/link"
        link = Link(host, port, path, chance or Random(0))  # noqa: S311  no secret
        stack.push_async_callback(link.close)
        yield link


class _Connection:
    """One connection through a link. ``how``: how it ends when nothing else decides that. ``asked``: as of the link."""

    def __init__(self, link: Link, client: socket.socket) -> None:
        self.how: Ending = "cut"
        self.asked: float | None = monotonic()
        self._link = link
        self._client = client

    async def carry(self, host: str, port: int | None, chance: Random) -> None:
        """From the first byte to the last."""
        client, server = self._client, None
        try:
            server = await self._reach(host, port)
            up = Flow(self._link.up, client, server, chance, went=self._ask)
            down = Flow(self._link.down, server, client, chance, came=self._answer)
            async with asyncio.TaskGroup() as group:
                for part in (up.read, up.write, down.read, down.write):
                    group.create_task(part())
        except* Ended as ended:
            self.how = ended.exceptions[0].args[0]
        except* OSError:
            self.how = "reset"  # as the other end has done, or because there is none
        finally:
            for sock in (client, server):
                if sock is not None:
                    if self.how == "reset":
                        _linger(sock)
                    sock.close()

    async def _reach(self, host: str, port: int | None) -> socket.socket:
        try:
            return await _connect(host, port)
        except OSError:
            self._link.unreached += 1
            raise
        finally:
            self._answer()

    def _ask(self) -> None:
        self.asked = monotonic()

    def _answer(self) -> None:
        self.asked = None


def _bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, or to a path. Two may be bound to one port: who holds it need not listen."""
    sock = socket.socket(socket.AF_UNIX if host.startswith("/") else socket.AF_INET)
    sock.setblocking(False)
    if sock.family == socket.AF_INET:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((host, port) if sock.family == socket.AF_INET else host)
    return sock


async def _connect(host: str, port: int | None) -> socket.socket:
    """A connection to the dependency. Raises OSError."""
    loop = asyncio.get_running_loop()
    found: list[tuple[int, Any]] = [(socket.AF_UNIX, host)]
    if port is not None:
        infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        found = [(family, address) for family, _, _, _, address in infos]
    for at, (family, address) in enumerate(found, 1):
        sock = socket.socket(family)
        sock.setblocking(False)
        try:
            await loop.sock_connect(sock, address)
            _at_once(sock)
        except BaseException as error:
            sock.close()
            if at == len(found) or not isinstance(error, OSError):
                raise
        else:
            return sock
    raise OSError(f"{host} has no address")


def _at_once(sock: socket.socket) -> None:
    """Small pieces go when they come: the latency of a link is what it was told, not Nagle's."""
    if sock.family != socket.AF_UNIX:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _linger(sock: socket.socket) -> None:
    """Makes ``close`` send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
