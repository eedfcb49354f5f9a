"""Laws about the life of an instance: what it starts it stops, also when it only half started."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from inspect import iscoroutine
from types import CoroutineType
from typing import Any, Final

from spork_core.errors import ConfigError
from spork_core.metrics import Metric
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.laws.beginning import process
from spork_core.testing.leftovers import descriptors, named, opened, tasks, thread_names, threads, timers
from spork_core.testing.places import place_of, place_raised
from spork_core.testing.requests import ugly
from spork_core.testing.rig import LONG, Rig, alone, prepared, run, started
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_MOST: Final = 12
"""Awaits of a startup at which it fails."""
_TURNS: Final = 20
_EACH: Final = 16
"""Every so many-th of the ugly requests is sent before it is shut down."""
_IN_SHUTDOWN: Final = "stop it in shutdown: task.cancel(), then await it; thread.join() in a thread; close()"

Work = Callable[[Rig, "_Starting"], Awaitable[None]]


@law()
def shutdown_leaves_nothing(subject: Subject) -> None:
    """After its shutdown no task, timer, thread, socket or file of it is left, and the process is as it was.

    Each reload that changes its config shuts an instance down and starts another. What one leaves behind adds up, and a
    task that goes on works with connections and settings that are no longer in use. What it sets for the process, such
    as a handler of the root logger, is set for everybody.
    """
    changed = subject.changed

    async def work(rig: Rig, _: "_Starting") -> None:
        before = process()
        async with started(rig, *prepared(rig)):
            async for _passed in rig.drive(ugly()[::_EACH]):
                pass
        after = process()
        changed.extend(what for what in before if before[what] != after[what] and what not in changed)

    left = _left_by(subject, _Starting(), work)
    if left:
        raise Broken(f"{_blamed(subject, 'startup')}: after shutdown there is still {', '.join(left)}", _IN_SHUTDOWN)
    if changed:
        raise Broken(
            f"{_blamed(subject, 'startup')}: after shutdown {', '.join(changed)} is not as it was before startup",
            "change nothing of the process, or put it back in shutdown",
        )


@law(hooks=("startup", "shutdown"))
def half_started_shuts_down(subject: Subject) -> None:
    """A startup that fails or is cancelled at any of its awaits, or was never called, is cleaned up by shutdown.

    The kernel calls shutdown after a startup that failed half-way, on an instance in which half of the attributes are
    still what `__init__` made them. A shutdown that fails then hides why the startup did, and a reload that was
    refused, which should change nothing, leaves a connection open each time.
    """
    if _left_by(subject, _Starting(), _whole):
        return  # what is left even so is the other law's
    for number in range(_MOST):
        for error in (OSError("a law lets this await fail"), None):
            starting = _Starting(number, error)
            left = _left_by(subject, starting, _broken_start)
            _check_shutdown(subject, starting, left)
            if number and starting.count < number:
                return


@law(hooks=("health", "describe", "collect"))
def tells_about_itself(subject: Subject) -> None:
    """`health` gives None or a sentence, `describe` a mapping that is JSON and `collect` Metrics, at any time after
    startup.

    The admin listener and `spork plugins` ask every instance, before its first exchange too. One that fails there hides
    what the others say just when somebody looks for what is wrong.
    """

    async def work(rig: Rig) -> None:
        await _ask(rig, "before the first exchange")
        await rig.send(rig.get)
        await _ask(rig, "after an exchange")

    run(subject, work)


async def _ask(rig: Rig, when: str) -> None:
    for hook in _TELLS:
        impl = rig.instance.impls.get(hook)
        if impl is None:
            continue
        where, remedy = place_of(getattr(rig.subject.plugin_class, hook)), _TELLS[hook]
        try:
            answer: Any = impl.function(*(rig.gateway.view() for _ in impl.argnames))
            if iscoroutine(answer):
                answer = await answer
            if hook == "collect":
                answer = tuple(answer)
                well = all(isinstance(each, Metric) for each in answer)
            else:
                well = answer is None or isinstance(answer, str) if hook == "health" else isinstance(answer, Mapping)
                if well:
                    json.dumps(dict(answer) if isinstance(answer, Mapping) else answer)
        except Exception as error:
            where = place_raised(error, rig.subject.folder) or where
            raise Broken(f"{where}: {hook}, {when}, raises {type(error).__name__}: {error}", remedy) from error
        if not well:
            raise Broken(f"{where}: {hook}, {when}, answers with {type(answer).__name__}", remedy)


_TELLS: Final = {
    "health": "return None when well, else a sentence",
    "describe": "return a dict of texts, numbers, lists and dicts; write str(…) around what is none of these",
    "collect": "yield Metric(name, kind, help, labels, samples), from a def",
}


class _Starting(Watch):
    """Lets the startup fail at its await number ``at`` (0: before the first): with ``error``; None: by cancellation."""

    def __init__(self, at: int = -1, error: Exception | None = None) -> None:
        super().__init__()
        self.at = at
        self.error = error
        self.count = 0
        if at == 0:
            self.instead = {"startup": self._fails}

    def _fails(self, _: Call) -> Any:
        raise self.error or asyncio.CancelledError

    def suspended(self, call: Call, coroutine: "CoroutineType[Any, Any, Any]") -> BaseException | None:
        if call.hook == "startup":
            self.count += 1
            if self.count == self.at:
                if self.error is not None:
                    return self.error
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
        return None


async def _whole(rig: Rig, _: _Starting) -> None:
    async with started(rig, *prepared(rig)):
        await asyncio.sleep(0)


async def _broken_start(rig: Rig, _: _Starting) -> None:
    async def start() -> None:
        async with started(rig, *prepared(rig)):
            pass

    try:
        await asyncio.create_task(start())
    except (ConfigError, asyncio.CancelledError):
        pass
    await asyncio.sleep(LONG)


def _left_by(subject: Subject, starting: "_Starting", work: Work) -> list[str]:
    """What is left when ``work`` is over."""
    files, running = descriptors(), threads()
    rig = Rig(subject, starting)
    left: list[str] = []

    async def main() -> None:
        await work(rig, starting)
        for _ in range(_TURNS):
            await asyncio.sleep(0)  # what was cancelled ends
        left.extend(named(tasks()) + timers(subject.owns))

    alone(main, rig.wires)
    left += thread_names(threads() - running)
    return left + opened(files, descriptors())


def _check_shutdown(subject: Subject, starting: _Starting, left: list[str]) -> None:
    if starting.at == 0:
        when = "when startup was never called"
    elif starting.count < starting.at:
        return  # it has no such await
    else:
        how = "is cancelled" if starting.error is None else "fails"
        when = f"when startup {how} at its await number {starting.at}"
    shutdown = next((call for call in starting.calls if call.hook == "shutdown"), None)
    if shutdown is not None and shutdown.error is not None:
        error = shutdown.error
        where = place_raised(error, subject.folder) or place_of(shutdown.function)
        raise Broken(
            f"{where}: {when}, shutdown raises {type(error).__name__}: {error}",
            "set every attribute in __init__, to None, and let shutdown skip what is None",
        )
    if left:
        raise Broken(
            f"{_blamed(subject, 'startup')}: {when}, shutdown leaves {', '.join(left)}",
            "keep each thing on self as soon as it is open, and let shutdown close what is there",
        )


def _blamed(subject: Subject, hook: str) -> str:
    return place_of(getattr(subject.plugin_class, hook, None) if hook in subject.hooks else subject.plugin_class)


LAWS: Final[tuple[Law, ...]] = (shutdown_leaves_nothing, half_started_shuts_down, tells_about_itself)
