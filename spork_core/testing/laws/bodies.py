"""Laws about bodies: a plugin does with them what it declares, at any pace, and with bounded memory."""

from functools import partial
from typing import Any, Final

from spork_core.body import StreamBody
from spork_core.exchange import Response
from spork_core.hookspecs import KINDS, Kind
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.requests import ugly
from spork_core.testing.rig import Passed, Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_CONTENT: Final = b'{"id": 1, "name": "musical spork", "tags": ["a", "b"], "bytes": "\xc3\xbc"}'
_ANSWER: Final = b'{"answer": 42, "name": "spork"}'
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
_SHORT: Final = 120
_PIECE: Final = 262_144
_PIECES: Final = 128
"""32 MiB in all: more than any plugin should hold of one message."""
_MOST: Final = 16 * 1024 * 1024


@law(hooks=KINDS)
def uses_bodies_as_declared(subject: Subject) -> None:
    """It reads and changes bodies only where `request_body` and `response_body` say so.

    With `none`, the default, a body streams through at the speed of its sender and is never held in memory; with `read`
    the same bytes go on; only with `change` may others. Who reads a body that should have been left alone makes each
    upload wait for its last byte, and whatever limits and retries rely on the declaration go wrong.
    """
    run(subject, _declared, watch=_Bodies(subject))
    run(subject, _odd, watch=_Bodies(subject))


@law(hooks=KINDS)
def pace_changes_nothing(subject: Subject) -> None:
    """A body that comes byte by byte gives the same result as one that comes whole.

    Networks cut messages anywhere: in the middle of a character, of a number, of a multipart boundary. A hook that
    looks at one chunk as if it were all of it works on every developer's machine, and for small bodies.
    """
    try:
        run(subject, _declared, watch=_Bodies(subject))
    except Broken:
        return  # what it does to bodies without declaring it is the other law's
    whole, again = _result(subject, [_CONTENT], [_ANSWER]), _result(subject, [_CONTENT], [_ANSWER])
    for name, content, answer in (
        ("the request comes byte by byte", _bytes(_CONTENT), [_ANSWER]),
        ("the answer comes byte by byte", [_CONTENT], _bytes(_ANSWER)),
    ):
        result = _result(subject, content, answer)
        for part, mine, other, same in zip(_PARTS, result[0], whole[0], again[0], strict=True):
            if mine != other and other == same:  # what differs each time anyway is chance
                blamed = _blamed(subject, part, result[1])
                raise Broken(
                    f"{blamed}: when {name}, {part} is {_short(mine)}, and when it comes whole {_short(other)}",
                    "join chunks before looking at them, await body.read(limit), or keep what is cut off for the next",
                )


@law(hooks=KINDS, when=lambda subject: {_uses(subject, "request_body"), _uses(subject, "response_body")} != {"none"})
def holds_little_of_a_body(subject: Subject) -> None:
    """Of a body that never ends it holds little: it streams it, or refuses it past a limit.

    Whoever can make a gateway hold 32 MiB can make it hold a thousand times as much, and one client takes the memory of
    all. `await body.read(limit)` refuses what is longer; a body that is transformed goes chunk by chunk.
    """
    if _uses(subject, "request_body") != "none":
        run(subject, partial(_endless_request, announced=False))
        run(subject, partial(_endless_request, announced=True))
    if _uses(subject, "response_body") != "none":
        run(subject, _endless_answer)


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}…"


def _uses(subject: Subject, which: str) -> str:
    return str(getattr(subject.plugin_class, which))


class _Bodies(Watch):
    """Looks at what each call did to the bodies."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._request = _uses(subject, "request_body")
        self._response = _uses(subject, "response_body")
        self.found: tuple[str, str] | None = None

    def before(self, call: Call) -> None:
        super().before(call)
        if call.hook in KINDS:
            exchange = call.exchange
            answered = None if exchange.response is None else exchange.response.body
            call.notes = exchange.request.body, answered, _pulled(exchange.request.body), _pulled(answered)

    def after(self, call: Call) -> None:
        if call.hook not in KINDS or self.found is not None:
            return
        request, answered, request_pulled, answer_pulled = call.notes
        exchange = call.exchange
        self._look(call, "request", self._request, request, exchange.request.body, request_pulled)
        changes = KINDS[call.hook].kind in (Kind.MAP, Kind.WATCH)
        response = call.answer if isinstance(call.answer, Response) else exchange.response
        if changes and answered is not None and response is not None:
            self._look(call, "response", self._response, answered, response.body, answer_pulled)

    def _look(self, call: Call, which: str, declared: str, before: Any, after: Any, was: bool) -> None:
        if declared != "none":
            return
        where = f"{place_of(call.function)}: {call.hook}"
        if _pulled(before) and not was:
            self.found = f"{where} reads the {which}'s body", f'declare it: {which}_body = "read", or leave it alone'
        elif after is not before:
            self.found = f"{where} replaces the {which}'s body", f'declare it: {which}_body = "change"'


def _pulled(body: object) -> bool:
    return type(body) is StreamBody and body.pulled


async def _declared(rig: Rig) -> None:
    rig.service.script = [_HEAD, *_chunks([_ANSWER]), b"0\r\n\r\n"]
    passed = await rig.send(*rig.post([_CONTENT[:20], _CONTENT[20:]]))
    watch = rig.watch
    assert isinstance(watch, _Bodies)
    if watch.found is not None:
        raise Broken(*watch.found)
    request, answer = passed.request, passed.message
    name = rig.subject.plugin_class.__name__
    if _uses(rig.subject, "request_body") != "change" and request is not None and request.body != _CONTENT:
        raise Broken(
            f"{_blamed(rig.subject, 'the request', passed)}: the service gets {_short(request.body)} for a body of "
            f"{_short(_CONTENT)}",
            f'put back what it reads: request.body = BytesBody(data); or declare {name}.request_body = "change"',
        )
    made = any(isinstance(call.answer, Response) or call.error is not None for call in passed.calls)
    if _uses(rig.subject, "response_body") == "change" or made or not passed.upstream or answer is None:
        return
    if answer.status == 200 and answer.body != _ANSWER:
        raise Broken(
            f"{_blamed(rig.subject, 'the answer', passed)}: the client gets {_short(answer.body)} for an answer of "
            f"{_short(_ANSWER)}",
            f'put back what it reads: response.body = BytesBody(data); or declare {name}.response_body = "change"',
        )


async def _odd(rig: Rig) -> None:
    async for _ in rig.drive(each for each in ugly() if not each.endswith(b"\r\n\r\n")):
        watch = rig.watch
        assert isinstance(watch, _Bodies)
        if watch.found is not None:
            raise Broken(*watch.found)
        watch.calls.clear()


_PARTS: Final = ("the status", "the request", "the answer")


def _result(subject: Subject, content: list[bytes], answer: list[bytes]) -> tuple[tuple[Any, ...], Passed]:
    async def one(rig: Rig) -> Passed:
        rig.service.script = [_HEAD, *_chunks(answer), b"0\r\n\r\n"]
        return await rig.send(*rig.post(content))

    passed = run(subject, one)
    request, message = passed.request, passed.message
    bodies = (None if request is None else request.body, None if message is None else message.body)
    return (passed.status, *bodies), passed


def _chunks(pieces: list[bytes]) -> list[bytes]:
    return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]


def _bytes(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def _blamed(subject: Subject, part: str, passed: Passed) -> str:
    """The hook that most likely did it: the last that was called on that side."""
    ways = ("pre_auth", "authenticate", "authorize", "on_request", "serve", "before_attempt")
    seen = [call for call in passed.calls if (call.hook in ways) is (part != "the answer")] or passed.calls
    seen = [call for call in seen if call.hook != "on_complete"] or seen
    return place_of(seen[-1].function if seen else subject.plugin_class)


async def _endless_request(rig: Rig, announced: bool) -> None:
    rig.service.drinks = True
    client, head = rig.client(), rig.post()[0]
    chunk, fed = b"x" * _PIECE, 0
    if announced:
        head = head.replace(b"Transfer-Encoding: chunked", b"Content-Length: %d" % (_PIECE * (_PIECES + 1)))
    else:
        chunk = b"%x\r\n%b\r\n" % (_PIECE, chunk)
    client.feed(head)
    for _ in range(_PIECES):
        if not client.open or not await rig.reads(client):
            break
        client.feed(chunk)
        fed += len(chunk)
        await rig.turn()
        held = fed - rig.service.taken
        if held > _MOST and not client.received:
            raise Broken(
                f"{place_of(_last(rig))}: {_last_hook(rig)} holds {held >> 20} MiB of a request's body",
                "give a limit: await exchange.request.body.read(limit), or wrap the body and pass chunks on",
            )
    client.leave()
    await rig.settled()


async def _endless_answer(rig: Rig) -> None:
    chunk = b"%x\r\n%b\r\n" % (_PIECE, b"x" * _PIECE)
    rig.service.script = [_HEAD, *[chunk] * _PIECES]
    client = rig.client()
    client.feed(rig.post()[0] + rig.post()[-1])
    for _ in range(_PIECES * 4):
        await rig.turn()
        held = rig.service.answered - len(client.received)
        if held > _MOST and not (client.received and rig.gateway.snapshot.running == 0):
            raise Broken(
                f"{place_of(_last(rig))}: {_last_hook(rig)} holds {held >> 20} MiB of an answer's body",
                "give a limit: await exchange.response.body.read(limit), or wrap the body and pass chunks on",
            )
    client.leave()
    await rig.settled()


def _last(rig: Rig) -> Any:
    return rig.watch.calls[-1].function if rig.watch.calls else rig.subject.plugin_class


def _last_hook(rig: Rig) -> str:
    return rig.watch.calls[-1].hook if rig.watch.calls else "it"


LAWS: Final[tuple[Law, ...]] = (uses_bodies_as_declared, pace_changes_nothing, holds_little_of_a_body)
