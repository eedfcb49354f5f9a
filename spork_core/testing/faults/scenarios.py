"""The faults that are tried, as tables: those of a service, and those of what a plugin depends on."""

from collections.abc import Callable
from typing import Final, Literal

import attrs

from spork_core.testing import scripts
from spork_core.testing.link import Link
from spork_core.testing.link_ways import turn_every
from spork_core.testing.scripts import Turn
from spork_core.testing.upstreams import Script

Dead = Literal["none", "first", "all"]
"""Which endpoints of a service refuse connections."""
Limit = Literal["connect", "response", "idle"]

PAGE: Final = b'{"page": "%b"}' % (b"x" * 200)
_JSON: Final = {"Content-Type": "application/json"}
_HALF: Final = len(scripts.http(200, PAGE, _JSON)) - 100
"""Bytes of an answer up to the middle of its content."""


def works() -> Turn:
    """The script of a healthy service."""
    return scripts.answer(200, PAGE, _JSON)


def _page(after: int | None = None) -> bytes:
    return scripts.http(200, PAGE, _JSON)[:after]


@attrs.frozen
class Scenario:
    """One fault of a service.

    ``what``: a sentence. ``script``: makes what the endpoints play. ``dead``: which of them refuse. ``times``: how
    often it is asked; 0: twice for each endpoint. ``partial``: no whole content comes from the service, so a whole 200
    would be a lie. ``limit``: the time limit that decides how long a client waits.
    """

    name: str
    what: str
    script: Callable[[], Script]
    dead: Dead = "none"
    times: int = 1
    partial: bool = False
    limit: Limit = "response"


HEALTHY: Final = Scenario("healthy", "The service answers at once.", works)

SERVICE: Final = (
    HEALTHY,
    Scenario("refused", "Nobody listens.", works, dead="all", limit="connect"),
    Scenario("one endpoint dead", "Nobody listens at the first.", works, dead="first", times=0, limit="connect"),
    Scenario("reset", "The connection is reset before the head.", scripts.reset, partial=True),
    Scenario("silent", "Connections are accepted, and nothing is said.", scripts.never, partial=True),
    Scenario("slow head", "The head comes after 5 s.", lambda: scripts.slow_head(5, works())),
    Scenario(
        "slow body",
        "The content comes in pieces, one a second.",
        lambda: scripts.slow_body(PAGE, size=50, headers=_JSON),
        limit="idle",
    ),
    Scenario(
        "stalled body",
        "Half of the content comes, and nothing more.",
        lambda: scripts.stalls(_HALF, _page()),
        partial=True,
        limit="idle",
    ),
    Scenario(
        "truncated body",
        "The connection ends in the middle of the content.",
        lambda: scripts.truncated(_HALF, _page()),
        partial=True,
    ),
    Scenario(
        "reset body",
        "The connection is reset in the middle of the content.",
        lambda: scripts.reset(_HALF, _page()),
        partial=True,
    ),
    Scenario("garbage", "The answer is no HTTP.", scripts.garbage, partial=True),
    Scenario("huge headers", "The head of the answer is a megabyte.", scripts.huge_headers),
    Scenario("5xx storm", "Every answer is a 503, twenty times.", scripts.storm, times=20),
    Scenario(
        "500, then 200",
        "The first answer is a 500, the next a 200.",
        lambda: scripts.sequence(scripts.answer(500, "broken"), works()),
    ),
    Scenario("early answer", "It answers before it has read all.", lambda: scripts.early_answer(200, PAGE, _JSON)),
    Scenario("half-close", "It ends its side with the answer.", lambda: scripts.half_close(_page())),
    Scenario("103, then 200", "Early hints come first.", lambda: scripts.informational(103, then=works())),
    Scenario("trailers", "Fields follow the content.", lambda: scripts.trailers(PAGE, headers=_JSON)),
)
"""In the order they are tried. The first is what the others are compared with."""


@attrs.frozen
class Weather:
    """One fault of a dependency. ``set_in``: makes it, on the link between it and the plugin."""

    name: str
    what: str
    set_in: Callable[[Link], object]


DEPENDENCY: Final = (
    Weather("healthy", "It works.", Link.heal),
    Weather("refused", "Nobody listens, and its connections are reset.", Link.refuse),
    Weather("stalled", "Connections are accepted, and nothing passes.", Link.stall),
    Weather("reset", "Connections are reset when it answers.", lambda link: link.reset(after=0)),
    Weather("slow", "Its answers take 2 s.", lambda link: link.down.change(latency=2.0)),
    Weather("bad bytes", "Every third byte it says is wrong.", lambda link: link.down.change(tamper=turn_every(3))),
)
