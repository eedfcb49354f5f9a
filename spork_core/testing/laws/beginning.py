"""The law about beginning: it starts, which is what every law that runs it needs."""

import asyncio
import io
from typing import Final

from spork_core.testing.imported import state
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.rig import DoesNotStart, Rig, alone, prepared, started
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Watch


@law()
def starts_each_time(subject: Subject) -> None:
    """It starts with the config of its contract, and once it has been shut down another instance starts.

    All that runs it needs that. Each reload that changes its config starts an instance in the same process: what
    registers a name for good, or keeps a port, works until the first of them.
    """
    for when in ("", ", after another was shut down"):
        try:
            changed = _life(subject)
        except DoesNotStart as error:
            subject.starts = False
            raise Broken(f"it does not start{when}: {error.problems[0].message}", _AGAIN if when else _FIRST) from error
        subject.changed += [what for what in changed if what not in subject.changed]


def process() -> dict[str, object]:
    """What belongs to all of the process."""
    loop = asyncio.get_running_loop()
    found = {what: value for what, value in state(io.StringIO()).items() if what not in _NOT_ITS_OWN}
    handler, factory = loop.get_exception_handler(), loop.get_task_factory()
    return {**found, "the loop's exception handler": handler, "the loop's task factory": factory}


_NOT_ITS_OWN: Final = (
    *("the threads", "the open files and sockets", "the child processes"),  # looked at when all is over
    *("the filters of warnings", "what runs at exit", "what is printed"),  # libraries do that when they are imported
)
_FIRST: Final = (
    "give it what it depends on, by a fixture that starts that before the tests (scope=module, autouse=True), by a "
    "config that points to one that runs, or by others={name: settings}; or let it start without, and tell health"
)
_AGAIN: Final = "give back in shutdown what startup takes, and register nothing for good"


def _life(subject: Subject) -> list[str]:
    """From startup to shutdown; what of the process is not as it was. Raises DoesNotStart."""
    rig = Rig(subject, Watch())

    async def main() -> list[str]:
        before = process()
        async with started(rig, *prepared(rig, bare=True)):
            await asyncio.sleep(0)
        after = process()
        return [what for what in before if before[what] != after[what]]

    return alone(main, rig.wires)


def tried(each: Law, subject: Subject) -> bool:
    """Checks a law. False when it could not be tried, since the plugin does not start, as the law about that says.

    Raises Broken, also when the plugin does start, but not there.
    """
    if not subject.starts and each is not starts_each_time:
        return False
    try:
        each.check(subject)
    except DoesNotStart as error:
        try:
            starts_each_time.check(subject)
        except Broken:
            return False
        raise Broken(f"it does not start here: {error.problems[0].message}", _AGAIN) from error
    return True


LAWS: Final[tuple[Law, ...]] = (starts_each_time,)
