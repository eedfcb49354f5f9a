"""Messages: one connection that listens to every channel that somebody subscribed to.

It is made when the first subscribes, and made anew with growing pauses when it breaks. Whoever subscribed before it
came back is told that messages may have been missed.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from hiredis import HiredisError, Reader, ReplyError

from spork_core.api import Chance, Subscription
from spork_redis.config import RedisConfig
from spork_redis.lane import HEARTBEAT, STEADY, Connect, words_of
from spork_redis.line import SILENCE, pack

log = logging.getLogger("spork_redis.channels")

Listener = Callable[[bytes], object]
_MISSING: Final = object()


class _Listening(Subscription):
    """One listener of one channel."""

    def __init__(
        self, channels: "Channels", channel: str, listener: Listener, lost: Callable[[], object] | None
    ) -> None:
        self._channels = channels
        self._channel = channel
        self.listener: Listener | None = listener
        self.lost = lost

    def close(self) -> None:
        """Listens no more."""
        self.listener = self.lost = None
        self._channels.forget(self._channel, self)


class _Ear(asyncio.Protocol):
    """The connection: what it hears goes to ``hear``."""

    def __init__(self, writer: asyncio.StreamWriter, hear: Callable[[Any], object]) -> None:
        self._writer = writer
        self._transport: asyncio.WriteTransport = writer.transport
        self._reader = Reader(replyError=ReplyError, notEnoughData=_MISSING)
        self._hear = hear
        self.heard = 0
        """Bytes."""
        self.gone: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """Why it is gone, once it is."""
        self._transport.set_protocol(self)

    def say(self, *words: str) -> None:
        """Sends a command, whose reply comes among the messages."""
        self._transport.write(pack(words))

    def data_received(self, data: bytes) -> None:
        self.heard += len(data)
        try:
            self._reader.feed(data)
            while (said := self._reader.gets()) is not _MISSING:
                self._hear(said)
        except HiredisError as error:
            self.close(f"the server broke the protocol: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self.close(str(exc) if exc else "the server closed the connection")

    def close(self, why: str) -> None:
        """Ends it at once."""
        self._transport.abort()
        if not self.gone.done():
            self.gone.set_result(why)


class Channels:
    """Who listens to what. ``connect`` makes the connection."""

    def __init__(self, connect: Connect, config: RedisConfig, chance: Chance) -> None:
        self._connect = connect
        self._config = config
        self._chance = chance
        self._listeners: dict[str, list[_Listening]] = {}
        self._ear: _Ear | None = None
        self._task: asyncio.Task[None] | None = None
        self._behind: set[_Listening] = set()
        """Who subscribed while nothing was listened to, and has missed what came since."""
        self.problem: str | None = None
        """Why nothing is heard; None: all is, or nobody listens."""
        self._closed = False
        self.connections = 0
        self.messages = 0

    def __len__(self) -> int:
        return len(self._listeners)

    def subscribe(self, channel: str, listener: Listener, lost: Callable[[], object] | None) -> Subscription:
        """As Store.subscribe, with the whole name of the channel."""
        listening = _Listening(self, channel, listener, lost)
        mine = self._listeners.setdefault(channel, [])
        mine.append(listening)
        if self._ear is not None and len(mine) == 1:
            self._ear.say("SUBSCRIBE", channel)
        if self.problem is not None:
            self._behind.add(listening)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._listen())
        return listening

    def forget(self, channel: str, listening: _Listening) -> None:
        """Takes one listener out."""
        self._behind.discard(listening)
        mine = self._listeners.get(channel)
        if mine is not None and listening in mine:
            mine.remove(listening)
            if not mine:
                del self._listeners[channel]
                if self._ear is not None:
                    self._ear.say("UNSUBSCRIBE", channel)

    async def stop(self) -> None:
        """Nobody is told anything any more."""
        self._closed = True
        self._listeners.clear()
        self._behind.clear()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _listen(self) -> None:
        breaker = self._config.breaker
        loop = asyncio.get_running_loop()
        pause = 0.0
        while not self._closed:
            since = loop.time()
            try:
                async with asyncio.timeout(self._config.connect_timeout):
                    writer = await self._connect()
            except Exception as error:  # whatever it is: one that is not tried again never comes back
                why = words_of(error)
            else:
                why = await self._hear_out(_Ear(writer, self._heard))
                if loop.time() - since >= STEADY:
                    pause = 0.0
            self.problem = why
            self._behind.update(each for mine in self._listeners.values() for each in mine)
            await asyncio.sleep(pause * (0.5 + self._chance.random() / 2))
            pause = min(max(pause * 2, breaker.first_pause), breaker.longest_pause)

    async def _hear_out(self, ear: _Ear) -> str:
        """Listens until the connection is gone, and says why that is."""
        self.connections += 1
        try:
            for channel in self._listeners:
                ear.say("SUBSCRIBE", channel)
            self._ear = ear
            ear.say("PING")
            self.problem = None
            self._tell_who_missed()
            while True:
                heard = ear.heard
                done, _ = await asyncio.wait((ear.gone,), timeout=HEARTBEAT)
                if not done and heard == ear.heard:
                    ear.say("PING")
                    done, _ = await asyncio.wait((ear.gone,), timeout=SILENCE)
                    if not done and heard == ear.heard:
                        ear.close("the server says nothing")
                if ear.gone.done():
                    return ear.gone.result()
        finally:
            self._ear = None
            ear.close("closed")

    def _tell_who_missed(self) -> None:
        behind, self._behind = self._behind, set()
        for listening in behind:
            if listening.lost is not None:
                _call(listening.lost)

    def _heard(self, said: Any) -> None:
        """One push of the server; a message is ``[b"message", channel, content]``."""
        if not isinstance(said, list) or said[0] != b"message":
            if isinstance(said, ReplyError) and self._ear is not None:
                self._ear.close(str(said))
            return
        self.messages += 1
        for listening in tuple(self._listeners.get(said[1].decode("utf-8", "surrogateescape"), ())):
            if listening.listener is not None:
                _call(listening.listener, said[2])


def _call(listener: Callable[..., object], *arguments: bytes) -> None:
    try:
        listener(*arguments)
    except Exception:
        log.exception("a listener of the store's messages failed")
