"""Tell operators: what the gateway has to say about itself is posted to a chat, a pager or whatever takes JSON."""

import asyncio
import json
from typing import Any, ClassVar

from attrs import asdict, frozen

from spork_core.api import (
    BytesBody,
    Event,
    GatewayView,
    Headers,
    OnFailure,
    Plugin,
    Problem,
    Request,
    hookimpl,
    setting,
)

KINDS = ("quarantined", "restored", "skipped", "denied", "blocked")
JSON = {"Content-Type": "application/json"}


@frozen
class TellOperatorsConfig:
    """Who is told of what."""

    service: str = setting("The service of the config that events are posted to.")
    path: str = setting("Where it takes them.", default="/")
    kinds: tuple[str, ...] = setting("What it is told of.", default=KINDS)


class TellOperators(Plugin[TellOperatorsConfig]):
    """Posts events as JSON, one after the other, from a task of its own."""

    Config: ClassVar[type] = TellOperatorsConfig
    on_failure: ClassVar[OnFailure] = "open"

    def __init__(self, config: TellOperatorsConfig, name: str) -> None:
        super().__init__(config, name)
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(maxsize=100)
        self._task: asyncio.Task[None] | None = None
        self._counts = {"told": 0, "failed": 0, "dropped": 0}

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self._task = asyncio.create_task(self._tell(gateway))

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    @hookimpl
    def on_event(self, gateway: GatewayView, event: Event) -> None:
        if event.kind in self.config.kinds:
            if self._waiting.full():
                self._waiting.get_nowait()  # the oldest: it is the one that matters least
                self._counts["dropped"] += 1
            self._waiting.put_nowait(event)

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        return dict(self._counts)

    async def _tell(self, gateway: GatewayView) -> None:
        while True:
            content = json.dumps(asdict(await self._waiting.get()), default=str).encode()
            request = Request("POST", self.config.path, headers=Headers(JSON), body=BytesBody(content))
            try:
                answer = await gateway.send(self.config.service, request)
                answer.body.discard()
                self._counts["told" if answer.status < 400 else "failed"] += 1
            except (Problem, KeyError):  # KeyError: the config has no such service
                self._counts["failed"] += 1
