"""The law about cancellation: a client that leaves takes nothing with it, and leaves nothing behind."""

import asyncio
import gc
from types import CoroutineType
from typing import Any, Final

from spork_core.hookspecs import KINDS
from spork_core.testing.findings import is_async
from spork_core.testing.fingerprint import fingerprint
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.leftovers import named, tasks
from spork_core.testing.places import place, place_of
from spork_core.testing.rig import ANSWER, LONG, Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_MOST: Final = 12
"""Suspensions of one exchange at which it is cancelled."""


def _awaits(subject: Subject) -> bool:
    """True when something of it can be cancelled: a coroutine, or a body that it makes."""
    makes = {subject.plugin_class.request_body, subject.plugin_class.response_body} != {"none"}
    return makes or any(is_async(subject, hook) for hook in subject.exchange_hooks)


@law(hooks=KINDS, when=_awaits)
def cancellation_goes_through(subject: Subject) -> None:
    """Cancelled at any of its awaits, a hook ends with CancelledError and leaves no task, lock or slot behind.

    A client that closes its connection cancels its exchange, at whatever await that is just then. A hook that catches
    the cancellation works on for nobody; one that takes a slot and gives it back outside of `finally` loses one each
    time, until a limit of 100 has none left and everything is refused. A body that it makes ends in the middle when the
    client leaves there, and holds to the same.
    """
    run(subject, _each_await, watch=_Cancelling(subject))
    run(subject, _each_body)


class _Cancelling(Watch):
    """Cancels the exchange at the suspension number ``at``; 0: at none, and counts them."""

    def __init__(self, subject: Subject) -> None:
        super().__init__()
        self._subject = subject
        self.at = 0
        self.count = 0
        self.struck: Call | None = None
        """The call that was cancelled."""
        self.place = ""
        """Where it waited."""

    def aim(self, at: int) -> None:
        """Begins the next exchange."""
        self.at, self.count, self.struck, self.place = at, 0, None, ""
        self.calls.clear()

    def suspended(self, call: Call, coroutine: "CoroutineType[Any, Any, Any]") -> None:
        if call.hook not in KINDS:
            return
        self.count += 1
        if self.count == self.at:
            self.struck, self.place = call, self._where(coroutine)
            task = asyncio.current_task()
            assert task is not None
            task.cancel()

    def _where(self, coroutine: Any) -> str:
        """The plugin's innermost line that waits."""
        found = ""
        while isinstance(coroutine, CoroutineType):
            frame = coroutine.cr_frame
            if frame is not None and self._subject.owns(frame.f_code.co_filename):
                found = place(frame.f_code.co_filename, frame.f_lineno)
            coroutine = coroutine.cr_await
        return found


async def _each_await(rig: Rig) -> None:
    watch = rig.watch
    assert isinstance(watch, _Cancelling)
    for pieces in ([rig.get], rig.post([b'{"id":', b"1}"])):
        watch.aim(0)
        started = tasks()
        await rig.send(*pieces)
        await _quiet()
        leaks = not tasks() <= started  # also when nobody cancels: another law's
        before = fingerprint(rig.instance.plugin)
        for at in range(1, min(watch.count, _MOST) + 1):
            watch.aim(at)
            started = tasks()
            await rig.send(*pieces)
            struck = watch.struck
            if struck is not None:
                where = watch.place or place_of(struck.function)
                _check_cancelled(struck, where)
                told = f"{where}: {struck.hook} is cancelled here and leaves"
                await _check_left(rig, told, None if leaks else started, before)


async def _each_body(rig: Rig) -> None:
    """The client leaves while its body comes in, and while the answer's goes out."""
    for pieces, script, which in (
        (rig.post([b"{"])[:2], [ANSWER], "request"),
        ([rig.get], [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"], "answer"),
    ):
        rig.service.script, started = [ANSWER], tasks()
        await rig.send(*rig.post())
        await _quiet()
        leaks = not tasks() <= started
        started, before = tasks(), fingerprint(rig.instance.plugin)
        rig.service.script = script
        client, first = rig.client(), len(rig.watch.calls)
        for piece in pieces:
            client.feed(piece)
            await rig.turn()
        await rig.turn()
        client.leave()
        calls = (await rig.rest(client, first)).calls
        gc.collect()  # ends what still waits to be asked for the next piece
        blamed = next(
            (call.function for call in reversed(calls) if call.hook != "on_complete"), rig.subject.plugin_class
        )
        told = f"{place_of(blamed)}: the client leaves in the middle of the {which}'s body, which leaves"
        await _check_left(rig, told, None if leaks else started, before)


def _check_cancelled(call: Call, where: str) -> None:
    if call.error is None:
        raise Broken(
            f"{where}: {call.hook} is cancelled here and goes on as if it were not",
            "let CancelledError pass: clean up in finally, or write raise at the end of the except",
        )
    if not isinstance(call.error, asyncio.CancelledError):
        raise Broken(
            f"{where}: {call.hook} is cancelled here and raises {type(call.error).__name__} in its place",
            "let CancelledError pass: catch Exception, not BaseException, and raise nothing in finally",
        )


async def _check_left(rig: Rig, told: str, started: "set[asyncio.Task[Any]] | None", before: dict[str, Any]) -> None:
    """``told``: the beginning of what is said. ``started``: the tasks there were; None: do not look at them."""
    await _quiet()
    left = set() if started is None else tasks() - started
    if left:
        raise Broken(
            f"{told} {', '.join(named(left))}", "cancel what it starts in finally, or start it with asyncio.TaskGroup"
        )
    for path, value in fingerprint(rig.instance.plugin).items():
        taken = path.endswith(".locked") and value == ("bool", True) and before.get(path) == ("bool", False)
        if taken or (path.endswith("._value") and _less(value, before.get(path))):
            raise Broken(
                f"{told} {path.rpartition('.')[0]} taken",
                "write async with around what needs it, or release() in finally",
            )


def _less(value: Any, before: Any) -> bool:
    """True for a semaphore with fewer free slots than before."""
    return (
        isinstance(value, tuple)
        and isinstance(before, tuple)
        and (value[0], before[0]) == ("int", "int")
        and value[1] < before[1]
    )


async def _quiet() -> None:
    """What was started in passing may end; the time for it is skipped."""
    await asyncio.sleep(LONG)


LAWS: Final[tuple[Law, ...]] = (cancellation_goes_through,)
