"""A gateway whose config has ``explain``, requests that ask it to, and what tests read in its explanations."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from spork_core.api import Exchange, Identity, NoConfig, Plugin, hookimpl
from spork_core.clock import Clock
from spork_core.config.fields import Secret
from spork_core.config.policy import ExplainConfig
from spork_core.explain import tokens
from tests.wire.conftest import Running, Upstream, gateway

SECRET = "0123456789abcdef" * 2
EXPLAIN = ExplainConfig(Secret(SECRET))
NOW = 1_800_000_000.0
STILL = Clock(time=lambda: NOW)

Explained = dict[str, Any]


@asynccontextmanager
async def explaining(backend: Upstream | None = None, **more: Any) -> AsyncIterator[Running]:
    """A gateway whose config has ``explain``, at a time that stands still."""
    async with gateway(backend, explain=EXPLAIN, clock=STILL, **more) as gate:
        yield gate


def token(lifetime: float = 60.0, **binding: str) -> str:
    return tokens.make(SECRET, NOW, lifetime, **binding)


def request(head: str = "GET /x", *lines: str, explain: str | None = None) -> bytes:
    given = f"X-Spork-Explain: {token() if explain is None else explain}"
    return "\r\n".join((f"{head} HTTP/1.1", "Host: a", *lines, given, "", "")).encode("latin-1")


async def explained(gate: Running, head: str = "GET /x", *lines: str) -> Explained:
    """The explanation of a request, which must be one."""
    message = await gate.ask(request(head, *lines))
    assert message.status == 200, message
    found: Explained = json.loads(message.body)
    return found


def decisions(found: Explained) -> list[str]:
    """``hook instance kind`` of every step that was called, ``hook instance –`` of the others."""
    return [
        f"{step['hook']} {step['instance']} {step['decision']['kind'] if step['reached'] else '–'}"
        for step in found["steps"]
    ]


def whys(found: Explained) -> dict[str, str]:
    """Why each hook that was not reached was not, by instance and hook."""
    return {f"{step['hook']} {step['instance']}": step["why"] for step in found["steps"] if not step["reached"]}


def plugin(**hooks: Callable[..., Any]) -> type[Plugin[Any]]:
    """A plugin with these hooks; each takes the exchange, or whatever it names."""
    marked = {name: hookimpl(function) for name, function in hooks.items()}
    return type("Made", (Plugin,), {**marked, "Config": NoConfig})


class Knows(Plugin[NoConfig]):
    """Knows every caller."""

    provides: ClassVar[tuple[str, ...]] = ("identity",)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity:
        return Identity("alice", "key")
