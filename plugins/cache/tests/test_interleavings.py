"""Whatever clients and the service do, and in whatever order: everybody who stays gets a right answer, and soon."""

import asyncio
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spork_core.testing import Client, Harness, Message, Wire, gateway, scripts
from spork_core.testing.patience import settle

FRESH = {"Cache-Control": "max-age=2, stale-if-error=9, stale-while-revalidate=2", "ETag": '"v"'}
PATIENT = {"up": {"timeouts": {"response": "1h", "idle": "1h"}}}
WAYS = ("ok", "bit-by-bit", "no-store", "private-bit-by-bit", "breaks", "breaks-in-the-middle", "503")

steps = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.integers(0, 1)),
        st.tuples(st.just("leave"), st.integers(0, 9)),
        st.tuples(st.just("answer"), st.sampled_from(WAYS)),
        st.tuples(st.just("go on"), st.integers(0, 3)),
        st.tuples(st.just("time"), st.sampled_from([0.5, 2.5, 3, 6])),
    ),
    max_size=24,
)


class Puppet:
    """A service whose every answer is told when, and how."""

    def __init__(self) -> None:
        self.pending: list[asyncio.Future[str]] = []
        self.halves: list[asyncio.Future[None]] = []
        self.made: set[bytes] = set()
        self.easy = False

    async def __call__(self, wire: Wire) -> None:
        while await wire.begun():
            request = await wire.message()
            way = "ok" if self.easy else await self._told(self.pending)
            if not await self._answer(wire, request, way):
                wire.close()
                return

    async def _answer(self, wire: Wire, request: Message, way: str) -> bool:
        target = request.start.split(b" ")[1]
        body = b"%b %d|" % (target, len(self.made)) * 20
        self.made.add(body)
        headers = {"Cache-Control": "no-store"} if way in ("no-store", "private-bit-by-bit") else FRESH
        if way == "breaks":
            return False
        if way == "503":
            await wire.send(scripts.http(503, b"busy"))
        elif way in ("ok", "no-store"):
            await wire.send(scripts.http(200, body, headers))
        else:
            whole = scripts.http(200, body, headers)
            await wire.send(whole[:-50])
            if not self.easy:
                await self._told(self.halves)
            if way == "breaks-in-the-middle":
                return False
            await wire.send(whole[-50:])
        return True

    async def _told(self, queue: "list[asyncio.Future[Any]]") -> Any:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        queue.append(future)
        return await future

    def tell(self, queue: "list[asyncio.Future[Any]]", what: Any = None) -> None:
        if queue:
            future = queue.pop(0)
            if not future.done():
                future.set_result(what)


class Play:
    """Clients that ask, and some that leave."""

    def __init__(self, gw: Harness, puppet: Puppet) -> None:
        self.gw = gw
        self.puppet = puppet
        self.clients: list[tuple[Client, asyncio.Task[Any], int]] = []
        self.failed = self.broke = False

    async def step(self, what: str, which: Any) -> None:
        if what == "ask":
            client = await self.gw.connect()
            task = asyncio.ensure_future(client.get(f"/{which}"))
            self.clients.append((client, task, which))
        elif what == "leave" and which < len(self.clients):
            client, task, _ = self.clients.pop(which)
            client.wire.reset()
            await asyncio.gather(task, return_exceptions=True)
        elif what == "answer":
            self.failed |= which in ("breaks", "503")
            self.broke |= which == "breaks-in-the-middle"
            self.puppet.tell(self.puppet.pending, which)
        elif what == "go on":
            self.puppet.tell(self.puppet.halves)
        elif what == "time":
            self.gw.clock.advance(which)
        await settle()

    async def end(self) -> None:
        """From now on the service is well, and everybody who has stayed must have an answer."""
        self.puppet.easy = True
        while self.puppet.pending or self.puppet.halves:
            self.puppet.tell(self.puppet.pending, "ok")
            self.puppet.tell(self.puppet.halves)
            await settle()
        async with asyncio.timeout(5):
            for client, task, which in self.clients:
                self._judge(await task, which)
                client.close()

    def _judge(self, answer: Any, which: int) -> None:
        if not answer.complete:
            assert self.broke
        elif answer.status == 200:
            assert answer.body in self.puppet.made
            assert answer.body.startswith(b"/%d " % which)
        else:
            assert answer.status in (502, 503)
            assert self.failed


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps, st.sampled_from(["memory", "shared"]))
async def test_everybody_who_stays_gets_a_right_answer(todo: list[tuple[str, Any]], store: str) -> None:
    puppet = Puppet()
    async with gateway(
        plugins={"cache": {"use": "cache", "max_entry": "64KiB", "store": store}}, upstream=puppet, services=PATIENT
    ) as gw:
        play = Play(gw, puppet)
        for what, which in todo:
            await play.step(what, which)
        await play.end()
        plugin: Any = gw.gateway.snapshot.instances["cache"].plugin
        await settle()
        assert not plugin._core.flights.current
        assert not plugin._core.streams
