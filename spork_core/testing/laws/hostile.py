"""The law about requests that nobody should send."""

import asyncio
import logging
from typing import Any, Final

from spork_core.errors import Problem
from spork_core.exchange import Exchange
from spork_core.headers import HeaderInjection
from spork_core.hookspecs import KINDS
from spork_core.testing.findings import WAY_OUT, check_ended, fault_of, request_line, told, went_whole_way
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_raised
from spork_core.testing.requests import ODD_ANSWERS, some, ugly
from spork_core.testing.rig import Passed, Rig, run
from spork_core.testing.subject import Subject

_BYTEWISE: Final = 400
"""Requests up to this many bytes are sent byte by byte, too."""


@law(hooks=(*KINDS, "local_routes"))
def raises_nothing_but_problems(subject: Subject) -> None:
    """Whatever clients send, whole or byte by byte, and services answer: its hooks raise only Problems, and answer
    with the right types.

    Header values are not always text, numbers not always numbers, paths not always paths. What a hook lets escape is a
    failure of the plugin: the client gets a 500 it did not earn, the operator a trace, and with `on_failure: open`
    anybody who knows which request crashes the plugin can walk past it.
    """
    run(subject, _all)


async def _all(rig: Rig) -> None:
    unexpected = _Unexpected()
    kernel, loop = logging.getLogger("spork_core"), asyncio.get_running_loop()
    loop.set_exception_handler(unexpected.told)
    kernel.addHandler(unexpected)
    try:
        for request in rig.both(some(rig.subject.effort.examples)):
            _check(rig, await rig.send(request), request, unexpected)
            if len(request) <= _BYTEWISE:
                _check(rig, await rig.send(*(request[at : at + 1] for at in range(len(request)))), request, unexpected)
            rig.watch.calls.clear()
        for path in _own_paths(rig):
            for request in rig.both(ugly(path)):
                _check(rig, await rig.send(request), request, unexpected)
            rig.watch.calls.clear()
        for answer in ODD_ANSWERS:
            rig.service.script = [answer, b""]
            _check(rig, await rig.send(rig.get), rig.get, unexpected)
            _check(rig, await rig.send(*rig.post()), rig.get, unexpected)
    finally:
        kernel.removeHandler(unexpected)


def _own_paths(rig: Rig) -> list[bytes]:
    """The public paths that the plugin answers itself."""
    impl = rig.instance.impls.get("local_routes")
    routes: Any = () if impl is None else impl.function(*(rig.gateway.view() for _ in impl.argnames))
    return [route.path.encode() for route in routes if route.listener == "public" and "{" not in route.path]


def _check(rig: Rig, passed: Passed, request: bytes, unexpected: "_Unexpected") -> None:
    subject = rig.subject
    check_ended(rig, passed, request)
    whole_way = went_whole_way(subject, passed.calls)
    for call in passed.calls:
        if call.hook in WAY_OUT and not whole_way:
            continue  # that they stand alone is a law of its own
        fault = fault_of(call)
        if fault is not None:
            raise Broken(f"{told(subject, call, fault[0])}, at {request_line(request)}", fault[1])
    unexpected.errors += [cause for call in passed.calls[-1:] for cause in _broken_uploads(call.exchange)]
    for error in unexpected.errors:
        place = place_raised(error, subject.folder)
        if place:
            raise Broken(
                f"{place}: {type(error).__name__}: {error}, outside of a hook, at {request_line(request)}",
                "handle it where it is raised: a body, a task or a callback has nobody to tell",
            )
    unexpected.errors.clear()


def _broken_uploads(exchange: Exchange) -> list[BaseException]:
    """What went wrong in the request's body as it was sent; what a client breaks off is a Problem."""
    causes = [attempt.error.__cause__ for attempt in exchange.attempts if attempt.error is not None]
    return [cause for cause in causes if cause is not None and not isinstance(cause, (Problem, OSError))]


class _Unexpected(logging.Handler):
    """What nobody expected: in a body that a plugin made, in a task or a callback of its own."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.errors: list[BaseException] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Takes a record of the kernel's log."""
        if record.name.startswith("spork_core.") and record.name != "spork_core.pipeline" and record.exc_info:
            self._keep(record.exc_info[1])

    def told(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Takes what the loop tells its exception handler."""
        self._keep(context.get("exception"))

    def _keep(self, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, (Problem, HeaderInjection)):
            self.errors.append(error)


LAWS: Final[tuple[Law, ...]] = (raises_nothing_but_problems,)
