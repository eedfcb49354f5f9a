"""The law about refusals: what a hook means to refuse is refused."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from opcode import opname
from types import FrameType
from typing import Any, Final

from attrs import define

from spork_core.errors import Forbidden, Problem
from spork_core.exchange import Response
from spork_core.hookspecs import KINDS
from spork_core.testing.findings import is_async, request_line
from spork_core.testing.law import REQUEST_HOOKS, Broken, Law, law
from spork_core.testing.places import place, place_of
from spork_core.testing.requests import some
from spork_core.testing.rig import Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_ANSWERING: Final = (*REQUEST_HOOKS, "on_error")
"""The hooks that answer by what they return."""


@law(hooks=_ANSWERING)
def refusals_are_honoured(subject: Subject) -> None:
    """What it refuses is refused: a Problem is raised, an answer is returned, and the client gets it while the service
    gets nothing.

    A hook refuses in two ways only: it raises a Problem, or it returns a Response. One that builds either and drops it,
    returns the Problem, or assigns `exchange.response` looks in review as if it refused, and lets everything pass.
    """
    run(subject, _all, watch=_Refusals(subject))
    for hook in (hook for hook in REQUEST_HOOKS if hook in subject.hooks):
        _check_forced(subject, hook)


@define
class _Made:
    """A Problem or a Response that the plugin's code has made, where, and whether it went nowhere at once."""

    what: Any
    place: str
    dropped: bool


class _Refusals(Watch):
    """Keeps what the plugin's code makes during a call, and looks afterwards what has become of it."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self._owned: dict[str, bool] = {}
        self._made: list[_Made] = []
        self.found: tuple[Call, str, str] | None = None

    @contextmanager
    def making(self) -> Iterator[None]:
        """Problems and Responses that are made inside are kept for the call."""
        problem, response = Problem.__init__, Response.__init__
        Problem.__init__, Response.__init__ = self._noting(problem), self._noting(response)  # type: ignore[method-assign]
        try:
            yield
        finally:
            Problem.__init__, Response.__init__ = problem, response  # type: ignore[method-assign]

    def _noting(self, made: Callable[..., None]) -> Callable[..., None]:
        def noting(what: Any, *given: Any, **more: Any) -> None:
            made(what, *given, **more)
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_name == "__init__":
                frame = frame.f_back  # a Problem of the plugin's own
            if frame is not None and self._owns(frame.f_code.co_filename):
                line = place(frame.f_code.co_filename, frame.f_lineno)
                self._made.append(_Made(what, line, dropped=_is_dropped(frame)))

        return noting

    def _owns(self, file: str) -> bool:
        known = self._owned.get(file)
        if known is None:
            known = self._owned[file] = self._subject.owns(file)
        return known

    def before(self, call: Call) -> None:
        super().before(call)
        if call.hook in KINDS:
            call.notes = call.exchange.response
            self._made.clear()

    def after(self, call: Call) -> None:
        if call.hook not in KINDS or self.found is not None:
            return
        answer, exchange = call.answer, call.exchange
        if isinstance(answer, Problem):
            where = next((made.place for made in self._made if made.what is answer), place_of(call.function))
            what = f"{where}: {call.hook} returns {type(answer).__name__}, which refuses nothing"
            self.found = call, what, f"raise it: raise {type(answer).__name__}(…)"
            return
        if call.hook in _ANSWERING and exchange.response is not call.notes and exchange.response is not answer:
            where = next((made.place for made in self._made if made.what is exchange.response), place_of(call.function))
            what = f"{where}: {call.hook} assigns exchange.response, which is overwritten"
            self.found = call, what, "return the Response: return Response(…)"
            return
        for made in self._made:
            if made.dropped:
                name = type(made.what).__name__
                self.found = (
                    call,
                    f"{made.place}: {call.hook} makes a {name} and drops it",
                    _MEANT[isinstance(made.what, Problem)] % name,
                )


_MEANT: Final = {True: "raise it: raise %s(…)", False: "return it: return %s(…)"}


def _is_dropped(frame: FrameType) -> bool:
    """True when the call that ``frame`` is at is a statement of its own, whose value goes nowhere."""
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and opname[code[at]] == "CACHE":
        at += 2
    return at < len(code) and opname[code[at]] == "POP_TOP"


async def _all(rig: Rig) -> None:
    watch = rig.watch
    assert isinstance(watch, _Refusals)
    with watch.making():
        for pieces in rig.traffic(some(rig.subject.effort.examples)):
            passed = await rig.send(*pieces)
            if watch.found is not None:
                raise Broken(f"{watch.found[1]}, at {request_line(pieces[0])}", watch.found[2])
            refused = next((call for call in passed.calls if _refuses(call)), None)
            if refused is not None and passed.upstream:
                raise Broken(
                    f"{place_of(refused.function)}: {refused.hook} refuses, and the request reaches the service, "
                    f"at {request_line(pieces[0])}",
                    "refuse before anything is sent with gateway.send or gateway.dispatch",
                )
            watch.calls.clear()


def _refuses(call: Call) -> bool:
    return call.hook in REQUEST_HOOKS[:-1] and isinstance(call.error, Problem)


def _check_forced(subject: Subject, hook: str) -> None:
    """The plugin with a refusal in place of one hook: its other hooks must leave it one."""

    def refuse(_: Call) -> Any:
        raise Forbidden("Refused by a law.")

    async def refuse_async(call: Call) -> Any:
        refuse(call)

    async def one(rig: Rig) -> None:
        passed = await rig.send(rig.get)
        if passed.status and passed.status < 400 and any(call.hook == hook for call in passed.calls):
            blamed = next((each for each in ("on_error", "on_response") if each in subject.hooks), hook)
            raise Broken(
                f"{place_of(getattr(subject.plugin_class, blamed))}: when {hook} refuses with 403, {blamed} makes it a "
                f"{passed.status}",
                "leave the status of a refusal as it is: response.status = error.status",
            )

    run(subject, one, watch=Watch({hook: refuse_async if is_async(subject, hook) else refuse}))


LAWS: Final[tuple[Law, ...]] = (refusals_are_honoured,)
