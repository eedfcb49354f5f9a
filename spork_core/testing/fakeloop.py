"""A loop on which a gateway serves without sockets, and on which nobody waits.

Rules of this file
1. The gateway is started as always. Only its own connections are replaced: what a plugin opens itself is real.
2. Time that nobody works in is skipped: a hook that waits for an hour is asked again at once. A thread or a real socket
   that may still have something to say gets a moment of real time. An open socket alone holds nothing up: a pool of
   connections to a database has some for as long as it lives, and they say nothing until they are asked.
"""

import asyncio
import selectors
import threading
import time
from collections.abc import Callable
from typing import Any, Final

SERVICE: Final = "192.0.2.1"
"""The address (RFC 5737: nobody's) of the service whose connections are fake."""
_MOMENT: Final = 0.02
"""Real seconds that a thread gets to say something before time is skipped."""
_ANSWERS: Final = 0.1
"""Real seconds that whoever is behind an open socket gets, from the last thing that was done on the loop."""

Factory = Callable[[], asyncio.Protocol]


class FakeTransport(asyncio.Transport):
    """A connection without a socket; its other end is ``on_write``, which is told all that is written.

    ``peer``: address and port of the other end.
    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        peer: tuple[str, int] = ("127.0.0.1", 50000),
        on_write: Callable[[Any], object] = len,
    ) -> None:
        super().__init__({"peername": peer})
        self.paused = False
        """True while the gateway does not want to read."""
        self.write = on_write  # type: ignore[method-assign,assignment]  # one call less for each write
        self._protocol = protocol
        self._closing = False
        protocol.connection_made(self)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            asyncio.get_running_loop().call_soon(self._protocol.connection_lost, None)

    abort = close

    def is_reading(self) -> bool:
        return not self.paused

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no buffer."""


class FakeServer:
    """What the gateway gets from ``create_server``."""

    sockets = ()

    def close(self) -> None:
        """Nothing is open."""


class Wires:
    """What a gateway asked its loop to open.

    ``connected``: makes the other end of a new upstream connection. ``host``: to which address connections are fake;
    None: to all.
    """

    def __init__(
        self, connected: Callable[[asyncio.Protocol], FakeTransport] = FakeTransport, host: str | None = SERVICE
    ) -> None:
        self.accept: Factory | None = None
        self.connected = connected
        self.host = host

    def client(self) -> asyncio.Protocol:
        """The gateway's side of a new client's connection."""
        assert self.accept is not None, "the gateway does not listen"
        return self.accept()


def fake_loop(wires: Wires, base: type = asyncio.SelectorEventLoop, *given: Any) -> asyncio.AbstractEventLoop:
    """A loop of the class ``base`` whose listener and upstream connections are those of ``wires``."""

    async def create_server(loop: Any, factory: Factory, *more: Any, sock: Any = None, **options: Any) -> Any:
        if sock is None or sock.getsockname()[1] != 0:
            return await base.create_server(loop, factory, *more, sock=sock, **options)  # type: ignore[attr-defined]
        wires.accept = factory
        return FakeServer()

    async def create_connection(loop: Any, factory: Factory, host: Any = None, *more: Any, **options: Any) -> Any:
        if wires.host not in (None, host):
            return await base.create_connection(loop, factory, host, *more, **options)  # type: ignore[attr-defined]
        protocol = factory()
        return wires.connected(protocol), protocol

    made = type("FakeLoop", (base,), {"create_server": create_server, "create_connection": create_connection})
    loop: asyncio.AbstractEventLoop = made(*given)
    return loop


class SkippingLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer when there is nothing else to do."""

    def __init__(self) -> None:
        self.skipped = 0.0
        """Seconds that nobody had to wait for."""
        self._jobs = 0
        self._stirred = time.monotonic()
        self._threads = threading.active_count()
        super().__init__(_Skipping(self))

    def time(self) -> float:
        return super().time() + self.skipped

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # passed on
        future = super().run_in_executor(executor, func, *args)
        self._jobs += 1
        future.add_done_callback(self._done)
        return future

    def _done(self, _: object) -> None:
        self._jobs -= 1

    def stir(self) -> None:
        """Something was done, or came in: somebody may have been asked something."""
        self._stirred = time.monotonic()

    def patience(self, selector: selectors.BaseSelector, seconds: float) -> float:
        """How long to wait in real time when the next timer is due in ``seconds``."""
        if self._jobs:
            return seconds
        if len(selector.get_map()) > 1:  # the one is the loop's own
            return min(seconds, max(0.0, self._stirred + _ANSWERS - time.monotonic()))
        return min(seconds, _MOMENT) if threading.active_count() > self._threads else 0.0


class _Skipping(selectors.DefaultSelector):
    def __init__(self, loop: SkippingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            self._loop.stir()
            return super().select(timeout)
        patience = self._loop.patience(self, timeout)
        found = super().select(patience)
        if found:
            self._loop.stir()
        else:
            self._loop.skipped += timeout - patience
        return found


__all__ = ["SERVICE", "FakeServer", "FakeTransport", "SkippingLoop", "Wires", "fake_loop"]
