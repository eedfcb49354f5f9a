"""A short life of a plugin, from startup to shutdown, for laws that look at what it leaves and says on the way."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from inspect import isawaitable
from typing import Any, Final

from attrs import define, field

from spork_core.config import GatewayConfig
from spork_core.errors import Problem
from spork_core.testing.rig import ANSWER, SUBJECT, Rig, alone, registry_of, started, whole_config
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Watch, watched

_FIELDS: Final = (
    b"",
    b"Authorization: Bearer eyJhbGciOiJub25lIn0.e30.\r\n",
    b"Authorization: Basic dXNlcjpwYXNzd29yZA==\r\n",
    b"X-Api-Key: 0123456789abcdef\r\nCookie: session=1; csrf=2\r\n",
    b"Origin: https://app.example\r\nX-Request-Id: a b\r\nX-Forwarded-For: 203.0.113.9\r\n",
)
_TARGETS: Final = (b"/users/1", b"/users/%20?q=%ff&token=1", b"*")
_FAILED: Final = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"


@define
class Heard:
    """What came of it. ``clients``: the bytes that clients got. ``said``: what describe and health answered.
    ``problems``: that hooks raised."""

    config: GatewayConfig
    plugin: Any = None
    clients: list[bytes] = field(factory=list)
    said: list[object] = field(factory=list)
    problems: list[Problem] = field(factory=list)


def live(subject: Subject, around: Callable[[GatewayConfig], AbstractContextManager[Any]] | None = None) -> Heard:
    """Starts the plugin, sends it ordinary and odd requests, asks it about itself, and stops it.

    ``around``: a context in which all that happens, made of the config; None: none.
    """
    rig = Rig(subject, Watch())
    registry = registry_of(subject, watched(subject.plugin_class, rig.watch))
    config = whole_config(subject, registry)
    heard = Heard(config)

    async def main() -> None:
        async with started(rig, config, registry):
            heard.plugin = rig.instance.plugin
            await _exchanges(rig, heard)
            for hook in ("describe", "health"):
                impl = rig.instance.impls.get(hook)
                if impl is not None:
                    said = impl.function(*[rig.gateway.view()][: len(impl.argnames)])
                    heard.said.append(await said if isawaitable(said) else said)

    if around is None:
        alone(main, rig.wires)
    else:
        with around(config):
            alone(main, rig.wires)
    heard.problems += [call.error for call in rig.watch.calls if isinstance(call.error, Problem)]
    return heard


async def _exchanges(rig: Rig, heard: Heard) -> None:
    for fields in _FIELDS:
        for target in _TARGETS:
            method = b"OPTIONS" if target == b"*" else b"GET"
            request = b"%b %b HTTP/1.1\r\nHost: api.example\r\nConnection: close\r\n%b\r\n" % (method, target, fields)
            for each in rig.both([request]):
                heard.clients.append((await rig.send(each)).answer)
    heard.clients.append((await rig.send(rig.get)).answer)
    heard.clients.append((await rig.send(*rig.post((b'{"a":', b"1}")))).answer)
    rig.service.script = [_FAILED]
    heard.clients.append((await rig.send(*rig.post())).answer)
    rig.service.script = [ANSWER]


__all__ = ["SUBJECT", "Heard", "live"]
