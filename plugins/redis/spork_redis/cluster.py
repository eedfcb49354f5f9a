"""A cluster: which node has a key, and what is done when it moves.

Rules of this file
1. The nodes tell who has which slots; they are asked when something does not fit any more: a node that is down, a slot
   that has moved. One task asks, again and again with growing pauses, until everything fits.
2. A command that a node sends elsewhere was not done: it is sent there, in the time that is left.
3. Nodes are found by the hosts of the config where no node that is known answers.
"""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final

from spork_core.api import Chance, StoreDown
from spork_redis.config import MOST_TIME, RedisConfig
from spork_redis.lane import Connect, Lane, words_of
from spork_redis.line import Refused, pack
from spork_redis.servers import QUICK, OneServer

SLOTS: Final = 16384
_LOOK_UP: Final = pack(("CLUSTER", "SLOTS"))
_ASKING: Final = pack(("ASKING",))
_HOPS: Final = 3

Address = tuple[str, int]


def slot_of(key: str) -> int:
    """The slot of a key: of what stands between its first braces, if there is something, else of all of it."""
    begin = key.find("{")
    if begin >= 0:
        end = key.find("}", begin + 1)
        if end > begin + 1:
            key = key[begin + 1 : end]
    return crc_hqx(key.encode("utf-8", "surrogateescape"), 0) % SLOTS


class Cluster:
    """The primaries of a cluster.

    ``to`` connects to an address, ``make`` gives a lane from what connects it and from whom it tells of its changes,
    ``changed`` is called when something went down or came up.
    """

    def __init__(
        self,
        to: Callable[[str, int], Awaitable[asyncio.StreamWriter]],
        make: Callable[[Connect, Callable[[], object]], Lane],
        config: RedisConfig,
        chance: Chance,
        changed: Callable[[], object],
    ) -> None:
        self._to = to
        self._make = make
        self._config = config
        self._chance = chance
        self._changed = changed
        self._nodes: dict[Address, OneServer] = {}
        self._slots: list[OneServer | None] = [None] * SLOTS
        self._problem: str | None = "the nodes of the cluster are not known yet"
        self._looking: asyncio.Task[None] | None = None
        self._closed = False

    def __repr__(self) -> str:
        return f"<Cluster of {len(self._nodes)} nodes{', closed' if self._closed else ''}>"

    @property
    def lanes(self) -> Iterator[Lane]:
        """Those of all nodes."""
        return (lane for node in self._nodes.values() for lane in node.lanes)

    async def start(self) -> None:
        """Finds the nodes; where none can be reached, goes on trying beside the caller."""
        try:
            await self._look_up()
        except StoreDown as error:
            self._problem = error.reason
            self._look_soon()

    async def stop(self) -> None:
        """Ends all connections."""
        self._closed = True
        task, self._looking = self._looking, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for node in self._nodes.values():
            await node.stop()

    def problem(self) -> str | None:
        """Why not every key can be asked for."""
        return self._problem or next((problem for node in self._nodes.values() if (problem := node.problem())), None)

    def elsewhere(self, why: str) -> None:
        """A node said that it is no primary any more."""
        self._look_soon()

    def together(self, keys: Sequence[str]) -> list[list[int]]:
        """Those of one slot."""
        groups: dict[int, list[int]] = {}
        for at, key in enumerate(keys):
            groups.setdefault(slot_of(key), []).append(at)
        return list(groups.values())

    async def to_any(self) -> asyncio.StreamWriter:
        """A connection to some node: messages reach all of them. Raises StoreDown."""
        last = StoreDown(reason="the cluster has no nodes")
        for host, port in (*(address for address, node in self._nodes.items() if not node.problem()), *self._seeds):
            try:
                return await self._to(host, port)
            except StoreDown as error:
                last = error
        raise last

    # -- commands -------------------------------------------------------------------------------------

    async def ask(self, lane: int, key: str, packed: bytes) -> Any:
        """The reply of the node that has ``key``."""
        node = self._slots[slot_of(key)]
        if node is None:
            raise StoreDown(reason=self._problem or "no node has the slot")
        due = asyncio.get_running_loop().time() + MOST_TIME
        try:
            return await node.lanes[lane].ask(packed)
        except Refused as error:
            if _elsewhere(error) is None:
                raise
            answer = error
        try:
            async with asyncio.timeout_at(due):
                return await self._follow(node, lane, packed, answer)
        except TimeoutError as error:
            raise StoreDown(reason="no answer in time") from error

    async def _follow(self, node: OneServer, lane: int, packed: bytes, error: Refused) -> Any:
        for _ in range(_HOPS):
            found = _elsewhere(error)
            if found is None:
                raise error
            moved, slot, (host, port) = found
            target = await self._node((host or self._host_of(node), port))
            node = target
            if moved:
                self._slots[slot] = target
                self._look_soon()
            try:
                if not moved:
                    target.lanes[lane].ask(_ASKING).add_done_callback(_heard)
                return await target.lanes[lane].ask(packed)
            except Refused as another:
                error = another
        raise StoreDown(reason="the nodes send a command from one to the other")

    async def _node(self, address: Address) -> OneServer:
        """The node at ``address``, connected if it can be."""
        node = self._nodes.get(address)
        if node is None:
            node = self._nodes[address] = OneServer(
                partial(self._make, partial(self._to, *address), self._lane_changed)
            )
            await node.start()
        return node

    def _host_of(self, node: OneServer) -> str:
        return next((host for (host, _), each in self._nodes.items() if each is node), "")

    # -- who has what ---------------------------------------------------------------------------------

    @property
    def _seeds(self) -> tuple[Address, ...]:
        return self._config.place.hosts

    def _lane_changed(self) -> None:
        if any(lane.problem is not None for lane in self.lanes):
            self._look_soon()
        self._changed()

    def _look_soon(self) -> None:
        if self._looking is None and not self._closed:
            self._looking = asyncio.get_running_loop().create_task(self._look_until_it_fits())

    async def _look_until_it_fits(self) -> None:
        breaker = self._config.breaker
        pause = breaker.first_pause
        while not self._closed:
            try:
                await self._look_up()
            except Exception as error:  # whatever it is: it is tried again, and what was known goes on being used
                self._problem = self._problem and words_of(error)
            if self.problem() is None:
                break
            await asyncio.sleep(pause * (0.5 + self._chance.random() / 2))
            pause = min(pause * 2, breaker.longest_pause)
        self._looking = None
        self._changed()

    async def _look_up(self) -> None:
        """Asks the first node that answers. Raises StoreDown."""
        why = "no node of the cluster answers"
        for address in (*self._nodes, *(seed for seed in self._seeds if seed not in self._nodes)):
            node = await self._node(address)
            try:
                told = await node.lanes[QUICK].ask(_LOOK_UP)
            except StoreDown as error:
                why = error.reason
            except Refused as error:
                why = str(error)
            else:
                await self._take(told, address[0])
                return
        raise StoreDown(reason=why)

    async def _take(self, told: Any, host: str) -> None:
        """``told``: lists of first slot, last slot, primary, replicas; a server without a name is the one at
        ``host``."""
        slots: list[OneServer | None] = [None] * SLOTS
        primaries: set[Address] = set()
        for first, last, primary, *_ in told:
            address = ((primary[0] or b"").decode() or host, int(primary[1]))
            primaries.add(address)
            slots[first : last + 1] = [await self._node(address)] * (last + 1 - first)
        missing = slots.count(None)
        self._slots = slots
        self._problem = f"no node has {missing} of the {SLOTS} slots" if missing else None
        for address in [address for address in self._nodes if address not in primaries and primaries]:
            await self._nodes.pop(address).stop()


def _elsewhere(error: Refused) -> tuple[bool, int, Address] | None:
    """Where a node sends a command: moved for good?, its slot, the address; None: it refuses it otherwise."""
    kind, _, rest = str(error).partition(" ")
    if kind not in ("MOVED", "ASK"):
        return None
    slot, _, address = rest.partition(" ")
    host, _, port = address.rpartition(":")
    return kind == "MOVED", int(slot), (host.strip("[]"), int(port))


def _heard(answer: "asyncio.Future[Any]") -> None:
    """Takes the error, if it is one: the command that follows has the same."""
    if not answer.cancelled():
        answer.exception()
