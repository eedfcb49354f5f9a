"""One structured line for every exchange, written beside the event loop."""

import asyncio
import random
from typing import Any, ClassVar, Final

from spork_access_log.config import AccessLogConfig, Only
from spork_access_log.fields import FIELDS
from spork_access_log.lines import Lines
from spork_access_log.redact import HEADERS, QUERY, all_but, names_only, no_query
from spork_access_log.writer import Writer
from spork_core.api import Exchange, GatewayView, OnFailure, Outcome, Plugin, SporkError, hookimpl, statuses_of

__all__ = ["AccessLog", "AccessLogConfig", "Only"]

_BATCH: Final = 64
"""Lines that are made together, …"""
_WITHIN: Final = 0.05
"""… and the seconds after which they are made when there are fewer."""


class AccessLog(Plugin[AccessLogConfig]):
    """Takes what it needs when an exchange ends, makes lines in batches, and hands them to the writer's thread."""

    Config: ClassVar[type] = AccessLogConfig
    on_failure: ClassVar[OnFailure] = "open"

    def __init__(self, config: AccessLogConfig, name: str) -> None:
        super().__init__(config, name)
        self.reads_timings = config.timings
        self._writer = Writer(config.path, config.buffer)
        self._put = self._writer.put
        self._lines = _lines(config)
        self._make = self._lines.make
        self._take = self._lines.take
        self._taken: list[tuple[Any, ...]] = []
        """What lines are made of that are not made yet."""
        self._timer: asyncio.TimerHandle | None = None
        only = config.only
        self._every = only is None and config.sample == 1
        self._all = only is None
        self._statuses = frozenset[int]() if only is None else statuses_of(only.statuses)
        self._slow_ns = None if only is None or only.min_duration is None else int(only.min_duration * 1e9)
        self._errors = only is not None and only.errors
        self._sample = config.sample
        self._chance = random.Random().random  # noqa: S311  picks lines, guards nothing

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self._lines.use(gateway.clock.time)
        self._take = self._lines.take
        self._chance = random.Random(gateway.chance.hex(32)).random  # noqa: S311  25 ns, the system's takes 500
        try:
            await asyncio.to_thread(self._writer.start, gateway.log.getChild(self.name))
        except OSError as exc:
            raise SporkError(
                f"{self.name}: cannot write to {self.config.path}: {exc.strerror}; "
                "name a file in a folder that exists and that the gateway may write to"
            ) from exc

    @hookimpl
    async def shutdown(self, gateway: GatewayView) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._make_lines()
        await asyncio.to_thread(self._writer.stop)

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        if self._every or self._wanted(exchange.outcome):
            taken = self._taken
            taken.append(self._take(exchange))
            if len(taken) >= _BATCH:
                self._make_lines()
            elif self._timer is None:
                self._timer = asyncio.get_running_loop().call_later(_WITHIN, self._due)

    def _due(self) -> None:
        self._timer = None
        self._make_lines()

    def _make_lines(self) -> None:
        """Makes the lines of what was taken, and hands them to the writer."""
        taken, self._taken = self._taken, []
        if taken:
            self._put(self._make(taken), len(taken))

    def _wanted(self, outcome: Outcome | None) -> bool:
        assert outcome is not None
        error = outcome.status >= 500 or not outcome.complete
        if not (
            self._all
            or outcome.status in self._statuses
            or (self._slow_ns is not None and outcome.duration_ns >= self._slow_ns)
            or (self._errors and error)
        ):
            return False
        return error or self._sample == 1 or self._chance() < self._sample

    @hookimpl
    def describe(self, gateway: GatewayView) -> dict[str, Any]:
        writer = self._writer
        return {
            "path": writer.path,
            "written": writer.written,
            "dropped": writer.dropped,
            "lost": writer.lost,
            "waiting_bytes": writer.waiting,
            "error": writer.error,
        }


def _lines(config: AccessLogConfig) -> Lines:
    own = frozenset(name.lower() for name in config.redact)
    queries = {"none": no_query, "names": names_only, "all": all_but(QUERY | own)}
    return Lines(
        json=config.format == "json",
        fields=config.fields or tuple(FIELDS),
        names=config.rename,
        request_headers=config.request_headers,
        response_headers=config.response_headers,
        hidden=HEADERS | own,
        query=queries[config.query],
        timings=config.timings,
    )
