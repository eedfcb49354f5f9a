"""One connection's life: it is up, and commands pass; or down, and they are refused at once until it is up again.

Rules of this file
1. No command of an exchange is ever a probe. While the lane is down one task tries to bring it back: it connects where
   that is needed, waits for a PONG, and pauses for longer each time.
2. A server that is slow is left alone on the connection that it has; only one that is gone gets a new one.
3. What goes down and comes back soon after goes on with the longer pause: who flaps is not tried more often.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from spork_core.api import Chance, StoreDown
from spork_redis.config import RedisConfig
from spork_redis.counts import Counts
from spork_redis.line import Answer, Line, Refused, pack

STEADY: Final = 10.0
"""Seconds without a failure after which the next one counts as the first."""
HEARTBEAT: Final = 15.0
"""Seconds between two looks at whether an idle connection still is one."""
PING: Final = pack(("PING",))

Connect = Callable[[], Awaitable[asyncio.StreamWriter]]
"""Makes a connection that is logged in. Raises OSError or StoreDown, whose text names no secret."""


class Lane:
    """A connection to one server, made by ``connect`` and kept.

    ``counts``: where it counts, with others. ``changed``: called when it has gone down or has come up.
    """

    def __init__(
        self, config: RedisConfig, chance: Chance, counts: Counts, connect: Connect, changed: Callable[[], object]
    ) -> None:
        self._connect = connect
        self._config = config
        self._chance = chance
        self._counts = counts
        self._changed = changed
        self.ask: Callable[[bytes], Answer] = self._refuse
        """What the server replies to one command: an answer, Refused or StoreDown."""
        self.problem: str | None = "not connected yet"
        """Why it is down; None: it is up."""
        self._line: Line | None = None
        self._bringing: asyncio.Task[None] | None = None
        self._heart: asyncio.TimerHandle | None = None
        self._beats_at = -1
        self._closed = False
        self._misses = 0
        """Commands in a row without an answer in time."""
        self._pause = 0.0
        """The next one, in seconds; 0: none, but try at once."""
        self._up_since = 0.0

    def __repr__(self) -> str:
        return f"<Lane {self.problem or 'up'}>"

    @property
    def connected(self) -> bool:
        """True when there is a connection, whether or not it answers."""
        return self._line is not None

    @property
    def waiting(self) -> int:
        """Commands without a reply."""
        return 0 if self._line is None else self._line.waiting

    async def start(self) -> None:
        """The first attempt to connect; where it fails, the next ones are made beside the caller."""
        try:
            await self._bring()
        except (OSError, StoreDown) as error:
            self._down(words_of(error))

    async def stop(self) -> None:
        """Ends the connection and whatever tries to bring it back."""
        self._closed = True
        self.ask = self._refuse
        self.problem = "closed"
        if self._heart is not None:
            self._heart.cancel()
            self._heart = None
        task, self._bringing = self._bringing, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        if self._line is not None:
            self._line.close("closed")

    def fail(self, why: str) -> None:
        """Makes it connect anew: the server says that it is not the one to ask."""
        if self._line is not None:
            self._line.close(why)

    def _refuse(self, _: bytes) -> NoReturn:
        self._counts.refused += 1
        raise StoreDown(reason=self.problem or "")

    # -- what a line tells ----------------------------------------------------------------------------

    def in_time(self) -> None:
        """Somebody got an answer in time."""
        self._misses = 0

    def too_late(self, count: int) -> None:
        """``count`` commands in a row got none."""
        self._counts.timeouts += count
        self._misses += count
        if self._misses >= self._config.breaker.failures and self.problem is None:
            self._down(f"{self._misses} commands in a row without an answer in time")

    def lost(self, line: Line, why: str) -> None:
        """The connection is gone."""
        if line is self._line:
            self._line = None
            if self.problem is None and not self._closed:
                self._down(why)

    # -- down and up ----------------------------------------------------------------------------------

    def _down(self, why: str) -> None:
        self.ask = self._refuse
        was_up = self.problem is None
        self.problem = self._counts.last_problem = why
        loop = asyncio.get_running_loop()
        if was_up and loop.time() - self._up_since >= STEADY:
            self._pause = 0.0
        if self._bringing is None and not self._closed:
            self._bringing = loop.create_task(self._bring_back())
        self._changed()

    async def _bring_back(self) -> None:
        breaker = self._config.breaker
        while not self._closed:  # also looked at because redis-py may swallow a cancellation
            if self._line is not None or self._pause:  # the first try of a new connection is made at once
                pause = max(self._pause, breaker.first_pause)
                await asyncio.sleep(pause * (0.5 + self._chance.random() / 2))
            self._pause = min(max(self._pause * 2, breaker.first_pause), breaker.longest_pause)
            try:
                await self._bring()
            except Exception as error:  # whatever it is: one that is not tried again never comes back
                self.problem = self._counts.last_problem = words_of(error)
            else:
                return

    async def _bring(self) -> None:
        """Connects where there is no connection, and waits for a PONG. Raises OSError or StoreDown."""
        config = self._config
        loop = asyncio.get_running_loop()
        if self._line is None:
            try:
                async with asyncio.timeout(config.connect_timeout):
                    writer = await self._connect()
            except TimeoutError as error:
                raise StoreDown(reason=f"no connection within {config.connect_timeout:g} s") from error
            line = Line(loop, config.command_timeout, config.max_waiting, self, self._counts)
            line.use(writer)
            self._line = line
            self._counts.connections += 1
        line = self._line
        try:
            await line.ask(PING)
        except Refused as error:
            line.close(str(error))
            raise StoreDown(reason=str(error)) from error
        if self._line is not line or self._closed:
            raise StoreDown(reason="the connection broke")
        self._misses = 0
        self._up_since = loop.time()
        self.problem = self._bringing = None
        self.ask = line.ask
        self._beat()
        self._changed()

    def _beat(self) -> None:
        """Asks a connection on which nothing happened whether it is still there."""
        if self._heart is not None:
            self._heart.cancel()
        line = self._line
        if line is not None and self.problem is None:
            if line.sent == self._beats_at and not line.waiting:
                line.ask(PING).add_done_callback(_heard)
            self._beats_at = line.sent
        self._heart = asyncio.get_running_loop().call_later(HEARTBEAT, self._beat)


def _heard(answer: Answer) -> None:
    """Takes the error, if it is one: the line has told the lane."""
    if not answer.cancelled():
        answer.exception()


def words_of(error: BaseException) -> str:
    """Why there is no connection."""
    reason = error.reason if isinstance(error, StoreDown) else ""
    return reason or str(error) or type(error).__name__
