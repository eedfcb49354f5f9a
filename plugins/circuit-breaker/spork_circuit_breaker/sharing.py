"""What operators want, told to all workers and machines that have the same store.

Rules of this file
1. What is shared is one document: every circuit that is held, and how. Whoever changes it writes the whole and sends it
   to the others, which then hold these circuits and no others.
2. The store is asked at the start and when an operator asks, never for an exchange. While it is down, each worker does
   what it was told last.
"""

import asyncio
import json
from collections.abc import Callable, Mapping
from logging import Logger
from typing import Final, cast, get_args

from spork_circuit_breaker.board import Name
from spork_circuit_breaker.circuit import Forced
from spork_core.api import Store, StoreDown, Subscription

Held = Mapping[Name, Forced]
_STATES: Final = get_args(Forced)


class Sharing:
    """One instance's share of the document. ``adopt``: holds exactly the circuits it is given."""

    def __init__(self, instance: str, store: Store, adopt: Callable[[Held], object], log: Logger) -> None:
        self._key = f"circuit-breaker:{instance}:held"
        self._store = store
        self._adopt = adopt
        self._log = log
        self._subscription: Subscription | None = None
        self._reading: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Listens from now on, and does what is written already."""
        self._subscription = self._store.subscribe(self._key, self._hear, self._missed)
        await self._read()

    async def end(self) -> None:
        """Listens no more."""
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.wait([reading])

    async def tell(self, held: Held) -> bool:
        """Tells the others. False: the store is down, and only this worker knows."""
        document = json.dumps([[*name, state] for name, state in held.items()]).encode()
        try:
            await self._store.set(self._key, document)
            await self._store.publish(self._key, document)
        except StoreDown as down:
            self._log.warning("other workers cannot be told which circuits are held: %s", down.reason or down)
            return False
        return True

    async def _read(self) -> None:
        try:
            document = await self._store.get(self._key)
        except StoreDown as down:
            self._log.warning("cannot read which circuits are held: %s", down.reason or down)
            return
        if document is not None:
            self._hear(document)

    def _hear(self, document: bytes) -> None:
        held = _read(document)
        if held is None:
            self._log.warning("what is written about held circuits cannot be understood")
        else:
            self._adopt(held)

    def _missed(self) -> None:
        """The connection was gone for a while."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read())


def _read(document: bytes) -> Held | None:
    """None when it is no such document."""
    try:
        items = json.loads(document)
        held = {(service, endpoint): state for service, endpoint, state in items}
    except (ValueError, TypeError, RecursionError):
        return None
    names = all(isinstance(part, str) for name in held for part in name)
    return cast(Held, held) if names and all(state in _STATES for state in held.values()) else None
