"""What a scripted upstream can do: each function gives a script for ``upstream(…)`` or ``gateway(upstream=…)``.

Most give a ``Turn``, which plays one request after the other on a connection, and which ``sequence``, ``storm`` and
every ``then=`` can play for a single request. Waits are the loop's: ``gw.clock.advance`` makes them pass.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from typing import Final

from spork_core.errors import phrase
from spork_core.testing.upstreams import Script, always
from spork_core.testing.wire import Message, Wire

Fields = Mapping[str, str] | Sequence[tuple[str, str]]

_WITHOUT_CONTENT: Final = (204, 304)


class Turn:
    """A script that plays request after request, and can be asked for a single one.

    ``play``: plays one request of a connection; True when the connection goes on after it.
    """

    def __init__(self, play: Callable[[Wire], Awaitable[bool]]) -> None:
        self.once = play

    async def __call__(self, wire: Wire) -> None:
        while await wire.begun() and await self.once(wire):
            pass


def turn(script: Script | bytes) -> Turn:
    """``script`` as a Turn: bytes answer one request, a script of another kind takes over the whole connection."""
    if isinstance(script, Turn):
        return script
    if isinstance(script, bytes):
        return _answering(lambda _: script)
    taking_over = script

    async def play(wire: Wire) -> bool:
        await taking_over(wire)
        return False

    return Turn(play)


def _answering(render: Callable[[Message], bytes]) -> Turn:
    async def play(wire: Wire) -> bool:
        await wire.send(render(await wire.message()))
        return True

    return Turn(play)


def http(status: int = 200, body: bytes | str = b"", headers: Fields = (), *, length: int | None = None) -> bytes:
    """An answer as bytes, framed by ``Content-Length``. ``length``: what that field says; None: the truth."""
    content = body.encode() if isinstance(body, str) else body
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    if status >= 200 and status not in _WITHOUT_CONTENT:
        pairs.append(("Content-Length", str(len(content) if length is None else length)))
    return _head(status, pairs) + content


def _head(status: int, pairs: Sequence[tuple[str, str]]) -> bytes:
    lines = [f"HTTP/1.1 {status} {phrase(status)}", *(f"{name}: {value}" for name, value in pairs)]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("utf-8", "surrogateescape")


# -- well-behaved -------------------------------------------------------------------------------------


def answer(status: int = 200, body: bytes | str = b"", headers: Fields = ()) -> Turn:
    """Reads each request to its end, then answers it."""
    whole, head = http(status, body, headers), http(status, b"", headers, length=len(body))
    return _answering(lambda request: head if request.start.startswith(b"HEAD ") else whole)


def ok(body: bytes | str = "ok", headers: Fields = ()) -> Turn:
    """``answer`` with 200."""
    return answer(200, body, headers)


def echo() -> Turn:
    """Answers each request with its own content."""

    def render(request: Message) -> bytes:
        kind = request.headers.get("Content-Type", "application/octet-stream")
        return http(200, request.body, {"Content-Type": kind})

    return _answering(render)


def trailers(body: bytes | str = "ok", fields: Fields = (("X-Checksum", "1"),), headers: Fields = ()) -> Turn:
    """Answers in chunks, with ``fields`` behind the content (RFC 9112 section 7.1.2)."""
    content = body.encode() if isinstance(body, str) else body
    pairs = list(headers.items() if isinstance(headers, Mapping) else headers)
    behind = list(fields.items() if isinstance(fields, Mapping) else fields)
    names = ", ".join(name for name, _ in behind)
    head = _head(200, [*pairs, ("Transfer-Encoding", "chunked"), ("Trailer", names)])
    tail = "".join(f"{name}: {value}\r\n" for name, value in behind).encode()
    chunk = b"%x\r\n%b\r\n" % (len(content), content) if content else b""
    return turn(head + chunk + b"0\r\n" + tail + b"\r\n")


def informational(status: int = 103, headers: Fields = (), then: Script | bytes | None = None) -> Turn:
    """Sends a 1xx answer as soon as a request begins, then plays ``then`` (None: ``ok()``)."""
    early, final = http(status, b"", headers), turn(ok() if then is None else then)

    async def play(wire: Wire) -> bool:
        await wire.send(early)
        return await final.once(wire)

    return Turn(play)


# -- slow ---------------------------------------------------------------------------------------------


def slow_head(seconds: float, then: Script | bytes | None = None) -> Turn:
    """Waits ``seconds`` once a request has begun, then plays ``then`` (None: ``ok()``)."""
    final = turn(ok() if then is None else then)

    async def play(wire: Wire) -> bool:
        await asyncio.sleep(seconds)
        return await final.once(wire)

    return Turn(play)


def slow_body(body: bytes | str = "slow", *, size: int = 1, every: float = 1.0, headers: Fields = ()) -> Turn:
    """Sends the head at once and the content in pieces of ``size`` bytes, with ``every`` seconds before each."""
    content = body.encode() if isinstance(body, str) else body
    head = http(200, b"", headers, length=len(content))

    async def play(wire: Wire) -> bool:
        await wire.message()
        await wire.send(head)
        for at in range(0, len(content), size):
            await asyncio.sleep(every)
            await wire.send(content[at : at + size])
        return True

    return Turn(play)


def stalls(after: int = 0, response: bytes = http(200, "stalled")) -> Turn:
    """Reads a request, sends ``after`` bytes of ``response``, and then nothing more until the other side gives up."""

    async def play(wire: Wire) -> bool:
        await wire.message()
        await wire.send(response[:after])
        await wire.forever()
        return False

    return Turn(play)


def never() -> Script:
    """Accepts connections, reads what comes, and says nothing."""
    return Wire.forever


# -- broken -------------------------------------------------------------------------------------------


def closes_at_once() -> Script:
    """Ends each connection as soon as it is there (in a ``sequence``: when the request begins)."""

    async def script(wire: Wire) -> None:
        wire.close()

    return script


def reset(after: int = 0, response: bytes = http(200, "reset")) -> Turn:
    """Reads a request, sends ``after`` bytes of ``response``, and breaks the connection with a RST."""
    return _breaks(after, response, Wire.reset)


def truncated(after: int | None = None, response: bytes = http(200, "cut", length=100)) -> Turn:
    """Reads a request, sends ``after`` bytes of ``response`` (None: all of it, which announces more than it has), and
    ends the connection."""
    return _breaks(len(response) if after is None else after, response, Wire.close)


def half_close(response: bytes = http(200, "ok")) -> Turn:
    """Answers, ends its side of the connection, and goes on reading."""

    async def play(wire: Wire) -> bool:
        await wire.message()
        await wire.send(response)
        wire.half_close()
        await wire.forever()
        return False

    return Turn(play)


def early_answer(status: int = 413, body: bytes | str = b"", headers: Fields = ()) -> Turn:
    """Answers as soon as a request's head is there, and reads no byte of its content."""
    response = http(status, body, headers)

    async def play(wire: Wire) -> bool:
        await wire.head()
        await wire.send(response)
        wire.writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket: it reads
        await asyncio.Event().wait()
        return False

    return Turn(play)


def garbage(data: bytes = b"\x16\x03\x01 this is no HTTP\r\n\r\n") -> Turn:
    """Reads a request, answers something that is no HTTP, and ends the connection."""
    return _breaks(len(data), data, Wire.close)


def huge_headers(size: int = 1_000_000, count: int = 1) -> Turn:
    """Answers with ``count`` fields of ``size`` bytes each."""
    return answer(200, "huge", [(f"X-Huge-{number}", "x" * size) for number in range(count)])


def _breaks(after: int, response: bytes, how: Callable[[Wire], None]) -> Turn:
    async def play(wire: Wire) -> bool:
        await wire.message()
        await wire.send(response[:after])
        how(wire)
        return False

    return Turn(play)


# -- by request ---------------------------------------------------------------------------------------


def sequence(*scripts: Script | bytes, then: Script | bytes | None = None) -> Turn:
    """The first request is played the first script, the second the second and so on, over all connections; what comes
    after the last is played ``then`` (None: the last again)."""
    turns = [turn(script) for script in scripts]
    rest = turns[-1] if then is None else turn(then)
    remaining = iter(turns)

    async def play(wire: Wire) -> bool:
        return await next(remaining, rest).once(wire)

    return Turn(play)


def storm(
    times: int | None = None,
    *,
    share: float = 1.0,
    status: int = 503,
    then: Script | bytes | None = None,
    chance: Random | None = None,
) -> Turn:
    """Fails with ``status``: the first ``times`` requests (None: without end), of those a ``share``; the others are
    played ``then`` (None: ``ok()``). ``chance``: decides which; None: ``Random(0)``, the same in every run."""
    fails, works = answer(status, "storm"), turn(ok() if then is None else then)
    dice = Random(0) if chance is None else chance  # noqa: S311  no secret
    left = times

    async def play(wire: Wire) -> bool:
        nonlocal left
        raging = left is None or left > 0
        if left is not None:
            left -= 1
        return await (fails if raging and dice.random() < share else works).once(wire)

    return Turn(play)


__all__ = [
    "Turn",
    "always",
    "answer",
    "closes_at_once",
    "early_answer",
    "echo",
    "garbage",
    "half_close",
    "http",
    "huge_headers",
    "informational",
    "never",
    "ok",
    "reset",
    "sequence",
    "slow_body",
    "slow_head",
    "stalls",
    "storm",
    "trailers",
    "truncated",
    "turn",
]
