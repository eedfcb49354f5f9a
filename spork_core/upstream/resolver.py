"""Host names to addresses: looked up off the loop, kept for a while, refreshed behind the requests that use them."""

import asyncio
import socket
from ipaddress import ip_address


class Resolver:
    """Addresses by name. A name that was found once keeps its last addresses while lookups fail."""

    def __init__(self, refresh: float) -> None:
        """``refresh``: seconds after which the next use of a name looks it up again, without waiting for it."""
        self._refresh = refresh
        self._known: dict[str, tuple[float, tuple[str, ...]]] = {}
        self._running: dict[str, asyncio.Task[tuple[str, ...]]] = {}
        self._turns: dict[str, int] = {}

    async def addresses(self, host: str) -> tuple[str, ...]:
        """The addresses of ``host``, another one first each time. Raises OSError when it was never found."""
        try:
            ip_address(host)
        except ValueError:
            pass
        else:
            return (host,)
        loop = asyncio.get_running_loop()
        known = self._known.get(host)
        if known is None:
            found = await self._first_found(host)
        else:
            due, found = known
            if loop.time() >= due:
                self._look_up(host)
        first = self._turns[host] = (self._turns.get(host, -1) + 1) % len(found)
        return found[first:] + found[:first]

    async def _first_found(self, host: str) -> tuple[str, ...]:
        lookup = self._look_up(host)
        try:
            return await asyncio.shield(lookup)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if lookup.cancelled() and not (task is not None and task.cancelling()):  # not who asks was cancelled: close
                raise OSError(f"{host} was not looked up: the resolver is closed") from None
            raise

    def _look_up(self, host: str) -> asyncio.Task[tuple[str, ...]]:
        """One lookup of ``host`` at a time, whoever asks."""
        running = self._running.get(host)
        if running is None:
            running = asyncio.get_running_loop().create_task(self._ask(host))
            self._running[host] = running
            running.add_done_callback(lambda task: self._done(host, task))
        return running

    async def _ask(self, host: str) -> tuple[str, ...]:
        try:
            infos = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError as error:
            raise OSError(f"{host!r} is not a host name") from error
        found = tuple(dict.fromkeys(str(info[4][0]) for info in infos))
        if not found:
            raise OSError(f"{host} has no address")
        return found

    def _done(self, host: str, task: asyncio.Task[tuple[str, ...]]) -> None:
        del self._running[host]
        if not task.cancelled() and task.exception() is None:
            self._known[host] = (asyncio.get_running_loop().time() + self._refresh, task.result())
        elif host in self._known:  # keep what was good, ask again at the next refresh
            self._known[host] = (asyncio.get_running_loop().time() + self._refresh, self._known[host][1])

    def close(self) -> None:
        """Ends running lookups."""
        for task in self._running.values():
            task.cancel()
