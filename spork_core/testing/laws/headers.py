"""The law about header fields: what hooks set can stand in a message, once, and is the plugin's to set."""

import re
from collections import Counter
from contextlib import suppress
from inspect import isawaitable
from typing import Any, Final

from spork_core.errors import Problem
from spork_core.exchange import Attempt, Response
from spork_core.headers import FIELD_VALUE, KERNELS_OWN, TOKEN, Headers
from spork_core.hookspecs import KINDS
from spork_core.testing.findings import request_line
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.requests import ODD_ANSWERS, some
from spork_core.testing.rig import ANSWER, Passed, Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

SINGLE: Final = frozenset(
    "access-control-allow-origin age authorization content-disposition content-length content-location "
    "content-security-policy content-type date etag expires from host last-modified location max-forwards origin "
    "referer referrer-policy retry-after server strict-transport-security user-agent x-content-type-options "
    "x-frame-options x-request-id".split()
)
"""Fields that mean nothing, or two things, when they are there twice."""
_SEVERAL: Final = ("set-cookie", "link", "www-authenticate")
"""Fields of an answer that mean something several times."""
_DOUBLES: Final = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nSet-Cookie: spoon=1\r\nSet-Cookie: knife=2; HttpOnly\r\n"
    b"Link: </a>; rel=next\r\nLink: </b>; rel=prev\r\n\r\n"
)
_TARGET: Final = re.compile(r"[!-~]+")

Items = Counter[tuple[str, Any]]


@law(hooks=KINDS)
def leaves_headers_clean(subject: Subject) -> None:
    """The fields it sets are fields: no line ends, no NUL, nothing that belongs to the connection, nothing twice.

    A value taken from a request can carry a line end that begins a field, or a whole message, of the client's choosing.
    The kernel catches that and answers 500, which is safe and still an outage on order. A field that is there twice is
    read one way by the service and the other way by the next cache.
    """
    run(subject, _all, watch=_Fields())


class _Fields(Watch):
    """Looks at what each call has added."""

    def __init__(self) -> None:
        super().__init__()
        self.found: tuple[Call, str, str] | None = None

    def before(self, call: Call) -> None:
        super().before(call)
        if call.hook in KINDS:
            exchange = call.exchange
            call.notes = (_items(exchange.request.headers), _of(exchange.response), exchange.upstream_target)

    def after(self, call: Call) -> None:
        if call.hook not in KINDS or self.found is not None:
            return
        exchange, error, answer = call.exchange, call.error, call.answer
        sent, answered, target = call.notes
        looks = [("the request", exchange.request.headers, sent)]
        for response in {id(each): each for each in (exchange.response, answer) if isinstance(each, Response)}.values():
            looks.append(("the response", response.headers, answered | sent if response is answer else answered))
            if not isinstance(response.reason, str) or not FIELD_VALUE.fullmatch(response.reason):
                self.found = call, "gives the response a reason phrase with a control character", "drop it: reason=None"
        if isinstance(error, Problem):
            looks.append((f"its {type(error).__name__}", Headers(error.headers), Counter()))
        for what, headers, before in looks:
            wrong = _wrong(headers, before) or _lost(headers, before)
            if wrong is not None:
                self.found = call, f"sets on {what} {wrong[0]}", wrong[1]
        if exchange.upstream_target not in (None, target) and not _TARGET.fullmatch(str(exchange.upstream_target)):
            remedy = "percent-encode it: urllib.parse.quote(path)"
            self.found = call, f"sets upstream_target to {exchange.upstream_target!r}", remedy


def _items(headers: Headers) -> Items:
    return Counter((name.lower(), value) for name, value in headers.items())


def _of(response: Response | None) -> Items:
    return Counter() if response is None else _items(response.headers)


def _wrong(headers: Headers, before: Items) -> tuple[str, str] | None:
    """What is wrong with what was added since ``before``, and the remedy."""
    after = _items(headers)
    for (name, value), times in (after - before).items():
        if not TOKEN.fullmatch(name):
            return f"a field named {name!r}, which is no token", "use letters, digits and hyphens"
        if not isinstance(value, str):
            return f"{name} to {type(value).__name__}, which is no text", f"write str(...) around the value of {name}"
        if not FIELD_VALUE.fullmatch(value):
            return (
                f"{name} to {value[:60]!r}, which holds a control character",
                f"check what goes into {name} with FIELD_VALUE.fullmatch, or percent-encode it",
            )
        if name in KERNELS_OWN:
            return (
                f"{name}, which the gateway itself writes",
                f"drop {name}: it is taken out again before the message goes",
            )
        others = sum(count for (other, _), count in after.items() if other == name)
        if others > 1 and (name in SINGLE or times + before[name, value] > 1):
            return (
                f"{name} a second time" if name in SINGLE else f"{name}: {value[:60]} twice",
                f'replace it: headers["{name}"] = …; headers.add(…) only adds',
            )
    return None


def _lost(headers: Headers, before: Items) -> tuple[str, str] | None:
    """What is wrong when a field that was there several times is there less often."""
    after = _items(headers)
    for name in _SEVERAL:
        were, are = (sum(count for (each, _), count in items.items() if each == name) for items in (before, after))
        if 0 < are < were:
            return (
                f"{name} {are} times, which was there {were} times",
                f'write headers.add("{name}", …); headers["{name}"] = … and a dict keep one field of each name',
            )
    return None


async def _all(rig: Rig) -> None:
    rig.service.script = [_DOUBLES]
    await rig.send(rig.get)
    await _attempt_again(rig)
    _check(rig, rig.get)
    rig.service.script = [ANSWER]
    for pieces in rig.traffic(some(rig.subject.effort.examples)):
        passed = await rig.send(*pieces)
        _check(rig, pieces[0])
        _check_length(passed, pieces[0])
        rig.watch.calls.clear()
    for answer in ODD_ANSWERS:
        rig.service.script = [answer, b""]
        await rig.send(rig.get)
        _check(rig, rig.get)


async def _attempt_again(rig: Rig) -> None:
    """Calls the hook before an attempt once more for the same exchange, as when an attempt is repeated."""
    call = next((call for call in rig.watch.calls if call.hook == "before_attempt"), None)
    watch = rig.watch
    assert isinstance(watch, _Fields)
    if call is None or watch.found is not None:
        return
    headers = call.exchange.request.headers
    before = Counter(name.lower() for name, _ in headers.items())
    impl = rig.instance.impls["before_attempt"]
    given = {"exchange": call.exchange, "attempt": Attempt(2, 0)}
    with suppress(Exception):  # what it raises is another law's
        done: Any = impl.function(*(given[name] for name in impl.argnames))
        if isawaitable(done):
            await done
    for name, times in Counter(name.lower() for name, _ in headers.items()).items():
        if times > before[name] >= 1 and watch.found is None:
            remedy = f'replace it: headers["{name}"] = …; headers.add(…) only adds'
            watch.found = call, f"sets {name} once more for each attempt", remedy


def _check(rig: Rig, request: bytes) -> None:
    watch = rig.watch
    assert isinstance(watch, _Fields)
    if watch.found is not None:
        call, what, remedy = watch.found
        raise Broken(f"{place_of(call.function)}: {call.hook} {what}, at {request_line(request)}", remedy)


def _check_length(passed: Passed, request: bytes) -> None:
    message = passed.message
    if message is None or passed.hung or message.complete or request.startswith(b"HEAD "):
        return
    answered = [call for call in passed.calls if isinstance(call.answer, Response)] or passed.calls
    if answered:
        announced = b", ".join(message.values(b"content-length")).decode() or "chunked"
        raise Broken(
            f"{place_of(answered[-1].function)}: {answered[-1].hook} makes an answer of {announced} bytes, of which "
            f"{len(message.body)} come, at {request_line(request)}",
            "leave length out of IteratorBody unless it is exact",
        )


LAWS: Final[tuple[Law, ...]] = (leaves_headers_clean,)
