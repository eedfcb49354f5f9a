"""What is wrong with a call of a hook, in words, and where: what the laws that run a plugin have in common."""

import asyncio
from inspect import iscoroutine, iscoroutinefunction
from typing import Final

from spork_core.errors import Problem
from spork_core.hookspecs import KINDS, Kind
from spork_core.testing.law import Broken
from spork_core.testing.places import place_of, place_raised
from spork_core.testing.rig import Passed, Rig
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, hooks_of

WAY_IN: Final = ("pre_auth", "authenticate", "authorize", "on_request", "serve")
"""The hooks that are called before the service is asked, in order."""
WAY_OUT: Final = ("on_response", "on_error", "on_complete")
"""Those that are called for every exchange, whatever became of it."""
_SHORT: Final = 160


def fault_of(call: Call) -> tuple[str, str] | None:
    """What the kernel counts as a failure of the hook, and the remedy; None when it did as it may.

    A Problem that was returned is not looked at: it is a refusal that went wrong, and the law about those says so.
    """
    kind, error, answer = KINDS[call.hook], call.error, call.answer
    if error is not None:
        return _fault_raised(error, kind.kind, call.cancelled)
    if iscoroutine(answer):
        return "returned a coroutine from a def", "write async def, or await what it calls"
    if kind.kind is Kind.WATCH or answer is None or isinstance(answer, Problem):
        return None
    if isinstance(answer, kind.answer) and not isinstance(answer, bool):
        return None
    wanted = " or ".join((*(each.__name__ for each in kind.answer), "None"))
    return f"answered with {type(answer).__name__}", f"return {wanted}"


def _fault_raised(error: BaseException, kind: Kind, cancelled: bool) -> tuple[str, str] | None:
    name = type(error).__name__
    if cancelled or isinstance(error, GeneratorExit):
        return None
    if isinstance(error, Problem):
        if kind is not Kind.WATCH:
            return None
        return f"raised {name}, which nobody hears", "refuse in a hook before the answer; this one only watches"
    if isinstance(error, asyncio.CancelledError):
        return "raised CancelledError though nobody cancelled it", "catch what its own task was cancelled with"
    if isinstance(error, SystemExit):
        return "called sys.exit", "raise a Problem, or SporkError in startup: the gateway serves others too"
    if not isinstance(error, Exception):
        return f"raised {name}, which is no Exception", "raise a Problem, such as Forbidden or InternalError"
    said = f"{name}: {error}"[:_SHORT] if str(error) else name
    return f"raised {said}", "handle it there, or raise the Problem that the client should see"


def place_of_call(subject: Subject, call: Call) -> str:
    """The plugin's line that raised, or else its hook."""
    raised = "" if call.error is None else place_raised(call.error, subject.folder)
    return raised or place_of(call.function)


def told(subject: Subject, call: Call, what: str) -> str:
    """``file:line: on_request raised …``."""
    return f"{place_of_call(subject, call)}: {call.hook} {what}"


def went_whole_way(subject: Subject, calls: list[Call]) -> bool:
    """True when each of the plugin's hooks of the way in was called and let the request go on."""
    passed = {
        call.hook for call in calls if call.error is None and (call.answer is None or call.hook == "authenticate")
    }
    return passed.issuperset(hook for hook in WAY_IN if hook in subject.hooks)


def is_async(subject: Subject, hook: str) -> bool:
    """True when the plugin's hook is ``async def``."""
    return any(name == hook and iscoroutinefunction(function) for _, name, function in hooks_of(subject.plugin_class))


def request_line(request: bytes) -> str:
    """The beginning of a request, fit to print."""
    return ascii(request.partition(b"\r\n")[0][:80].decode("latin-1"))


def check_ended(rig: Rig, passed: Passed, request: bytes) -> None:
    """Raises Broken when the exchange hung."""
    if passed.hung:
        last = next((call for call in reversed(passed.calls) if call.cancelled or not call.over), None)
        what = "it waits for something that never comes" if last is None else told(rig.subject, last, "never ended")
        raise Broken(
            f"{what}, at {request_line(request)}", "wait no longer than a time limit: asyncio.timeout(seconds)"
        )


__all__ = [
    "WAY_IN",
    "WAY_OUT",
    "check_ended",
    "fault_of",
    "is_async",
    "place_of_call",
    "request_line",
    "told",
    "went_whole_way",
]
