"""The paths on the admin listener: purge, stats, inspect. Answers are JSON, for the command and for scripts."""

import json
import re
from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from spork_cache import rules
from spork_cache.core import Core
from spork_cache.entry import Entry
from spork_cache.purges import Kind, Purge
from spork_core.api import BadRequest, Exchange, LocalRoute, Response, StoreDown

_LARGEST: Final = 65_536
_LONGEST: Final = 8192
_URL: Final = re.compile(r"(https?)://([^/?#@\s]+)((?:[/?][^#\s]*)?)(?:#.*)?", re.IGNORECASE)
_MOST: Final = 200
"""Entries that ``inspect`` shows."""
_FRESH: Final = {"Cache-Control": "no-store"}
_WAYS: Final[dict[str, Kind]] = {"url": "url", "prefix": "prefix", "tag": "tag"}
_EXAMPLE: Final = 'send {"url": "http://api.example.com/users/1"}, {"prefix": …}, {"tag": …} or {"all": true}'


class Admin:
    """What operators may ask of one instance."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> Iterable[LocalRoute]:
        """The paths, below ``/plugins/NAME/``."""
        base = f"/plugins/{self._core.name}"
        return (
            LocalRoute(f"{base}/purge", self._purge, methods=("POST",)),
            LocalRoute(f"{base}/stats", self._stats),
            LocalRoute(f"{base}/inspect", self._inspect),
        )

    def stats(self) -> dict[str, Any]:
        """What there is and what was done."""
        core = self._core
        memory, numbers, shared, config = core.memory, core.numbers, core.shared, core.config
        found: dict[str, Any] = {
            "store": config.store,
            "memory": {
                "entries": len(memory),
                "bytes": memory.size,
                "max_bytes": config.max_size,
                "evicted": memory.evicted,
            },
            "requests": numbers.results(),
            "stored": numbers.stored,
            "invalidated": numbers.invalidated,
            "refreshes": {
                "running": core.refreshing,
                "begun": numbers.refreshes,
                "failed": numbers.refresh_failures,
            },
            "under_way": {"flights": len(core.flights), "streams": len(core.streams)},
        }
        if shared is not None:
            found["shared"] = {
                "problem": shared.problem(),
                "failures": shared.failures,
                "unreadable": shared.unreadable,
                "writing": shared.writing,
                "skipped": shared.skipped,
                "messages_lost": numbers.lost,
            }
        return found

    def _stats(self, _: Exchange) -> Response:
        return Response.json(self.stats(), headers=_FRESH)

    async def _purge(self, exchange: Exchange) -> Response:
        purge = _read(await exchange.request.body.read(_LARGEST))
        reach = "everywhere" if self._core.shared is not None else "this process"
        try:
            count = await self._core.purge(purge)
        except StoreDown:
            body = {"purged": purge.kind, "reach": "this process", "problem": "the store does not answer"}
            return Response.json(body, 503, _FRESH)
        return Response.json({"purged": purge.kind, "entries": count, "reach": reach}, headers=_FRESH)

    def _inspect(self, exchange: Exchange) -> Response:
        query = dict(parse_qsl(exchange.request.query or "", max_num_fields=10))
        memory = self._core.memory
        if "url" in query:
            found = memory.at(canonical(query["url"]))
        elif "tag" in query:
            found = memory.tagged(query["tag"])
        else:
            found = memory.below(canonical(query["prefix"])) if "prefix" in query else list(memory)
        now = self._core.now()
        shown = [_told(entry, now) for entry in found[:_MOST]]
        return Response.json({"entries": shown, "count": len(found)}, headers=_FRESH)


def canonical(text: str) -> str:
    """The URI that entries lie under for what an operator writes. Raises BadRequest."""
    found = _URL.fullmatch(text) if len(text) <= _LONGEST and text.isprintable() else None
    if found is None:
        raise BadRequest("A URL here has a scheme and a host, such as http://api.example.com/users/1.")
    scheme, host, target = found.groups()
    return rules.uri(scheme.lower(), host, target)


def _read(data: bytes) -> Purge:
    """The purge that a request asks for. Raises BadRequest."""
    try:
        said = json.loads(data)
    except ValueError:
        raise BadRequest(f"That is no JSON; {_EXAMPLE}.") from None
    if not isinstance(said, dict):
        raise BadRequest(f"That is no object; {_EXAMPLE}.")
    soft = said.pop("soft", False)
    if len(said) != 1 or not isinstance(soft, bool):
        raise BadRequest(f'Say one thing, and by choice "soft": true; {_EXAMPLE}.')
    ((way, what),) = said.items()
    if way == "all" and what is True:
        return Purge("all", soft=soft)
    if way not in _WAYS or not isinstance(what, str) or not what:
        raise BadRequest(f"That is nothing to purge; {_EXAMPLE}.")
    if way == "tag":
        if not what.isprintable() or len(what) > _LONGEST:
            raise BadRequest("A tag is printable text.")
        return Purge("tag", what, soft)
    return Purge(_WAYS[way], canonical(what), soft)


def _told(entry: Entry, now: float) -> dict[str, Any]:
    stored = entry.stored
    told: dict[str, Any] = {
        "url": entry.uri,
        "status": stored.status,
        "bytes": len(entry.content),
        "age": stored.age(now),
        "ttl": stored.ttl(now),
        "stale_while_revalidate": max(0, int(stored.stale_while_revalidate_until - max(stored.fresh_until, now))),
        "stale_if_error": max(0, int(stored.stale_if_error_until - max(stored.fresh_until, now))),
        "vary": list(stored.vary),
        "etag": stored.etag,
        "tags": sorted(stored.tags),
    }
    return told
