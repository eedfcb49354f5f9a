"""One request, and what its client saw: every byte of the answer is looked at, and time is the loop's."""

import asyncio
import json
import re
from typing import Final

import attrs

from spork_core.headers import TOKEN
from spork_core.testing.faults.samples import Sample
from spork_core.testing.wire import Message, Wire, connect

LONGEST: Final = 600.0
"""Seconds that a client waits for the rest of an answer that has begun."""

_STATUS_LINE: Final = re.compile(rb"HTTP/1\.1 [1-5]\d\d [\t\x20-\x7e\x80-\xff]*")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_TOKEN: Final = re.compile(TOKEN.pattern.encode())


@attrs.frozen
class Seen:
    """What a client saw.

    ``status``: None when there was no answer. ``code``, ``source``: of its problem+json, else "". ``waited``: seconds
    up to its end. ``whole``: all of it came. ``hung``: it was still waited for when the client gave up. ``malformed``:
    what is wrong with its form, or "". ``asked``: how often it was; then this is the worst, the time the longest.
    ``reached``: requests that got to the service.
    """

    status: int | None = None
    code: str = ""
    source: str = ""
    waited: float = 0.0
    whole: bool = False
    hung: bool = False
    malformed: str = ""
    asked: int = 1
    reached: int = 0
    body: bytes = b""

    @property
    def fine(self) -> bool:
        """A well-formed answer, whole or honestly cut."""
        return self.status is not None and not self.hung and not self.malformed


async def ask(address: tuple[str, int], sample: Sample, patience: float) -> Seen:
    """Sends ``sample`` on a new connection. ``patience``: seconds that the client waits for the head."""
    loop = asyncio.get_running_loop()
    wire = Wire(*await connect(*address))
    begun = loop.time()
    try:
        seen = await _listen(wire, sample, patience)
    finally:
        if not wire.writer.is_closing():
            wire.writer.transport.abort()
    return attrs.evolve(seen, waited=loop.time() - begun)


async def _listen(wire: Wire, sample: Sample, patience: float) -> Seen:
    message: Message | None = None
    try:
        async with asyncio.timeout(patience):
            await wire.send(sample.render())
            message = Message(await wire.head())
            while message.start.startswith(b"HTTP/1.1 1"):
                message = Message(await wire.head())
        async with asyncio.timeout(LONGEST):
            await wire.fill(message, bodiless=sample.method == "HEAD")
    except TimeoutError:
        return Seen(hung=True) if message is None else attrs.evolve(_seen(message), hung=True)
    except (asyncio.IncompleteReadError, ConnectionError):
        if message is None:
            return Seen(malformed=f"the connection ended after {wire.seen[:40]!r}" if wire.seen else "")
    except (AssertionError, ValueError, asyncio.LimitOverrunError):
        return Seen(malformed=f"its framing breaks off at {wire.seen[-40:]!r}")
    return _seen(message)


def _seen(message: Message) -> Seen:
    wrong = _wrong(message)
    if wrong:
        return Seen(malformed=wrong)
    problem: dict[str, object] = {}
    if message.complete and b"application/problem+json" in message.values(b"content-type"):
        try:
            problem = json.loads(message.body)
        except ValueError:
            return Seen(message.status, malformed="its problem+json is no JSON")
    return Seen(
        message.status,
        str(problem.get("code", "")),
        str(problem.get("source", "")),
        whole=message.complete,
        body=message.body,
    )


def _wrong(message: Message) -> str:
    """What is wrong with the form of an answer's head; "" when nothing is."""
    if not _STATUS_LINE.fullmatch(message.start):
        return f"its status line is {message.start[:80]!r}"
    for line in message.lines:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            return f"it has the line {line[:80]!r}"
    if len(message.values(b"content-length")) + len(message.values(b"transfer-encoding")) > 1:
        return "its framing is said twice"
    return ""
