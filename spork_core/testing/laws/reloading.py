"""The law about reloads: state goes on where it is handed over, and nowhere else."""

from functools import partial
from typing import Any, Final

from spork_core.errors import ConfigError
from spork_core.plugin import Plugin
from spork_core.testing.fingerprint import Table, changes, fingerprint
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.requests import ugly
from spork_core.testing.rig import Rig, prepared, run
from spork_core.testing.subject import Subject

_EACH: Final = 4
"""Every so many-th of the ugly requests is sent, too."""
_ADDRESS: Final = 2**24
"""Numbers from here on are where an object lies, not how much it holds."""
_OTHER: Final = "61s"
"""A time-out no test waits for: with it the config of the instance is another, and its settings are the same."""


@law()
def state_survives_as_declared(subject: Subject) -> None:
    """Over a reload that changes its config, what `export_state` gives goes on in the next instance, and nothing else.

    An instance whose config did not change lives on. One whose config did is a new one: counters of a limit may go on,
    if the plugin hands them over; what stays behind by itself, in a module or on the class, belongs to a config that is
    no longer there, and to every other instance too.
    """
    old, new = run(subject, partial(_reloaded, used=True), bare=True)
    if isinstance(new, str):
        where = place_of(subject.plugin_class.import_state)
        raise Broken(f"{where}: {new}", "take over whatever export_state of this version gives")
    if old is not None:
        lost = changes(old, new)
        if lost:
            raise Broken(
                f"{place_of(_door(subject))}: after a reload the new instance exports another state "
                f"than the old one did: {', '.join(lost[:3])}",
                "let import_state take over all that export_state gives",
            )
        return
    (_, fresh), (_, another) = (run(subject, partial(_reloaded, used=False), bare=True) for _ in range(2))
    assert not isinstance(fresh, str)
    assert not isinstance(another, str)
    chance = changes(fresh, another)
    kept = [path for path in changes(fresh, new) if path not in chance and not _just_another(fresh, new, path)]
    if kept:
        raise Broken(
            f"{place_of(subject.plugin_class)}: after a reload the new instance begins with something of the old one: "
            f"{kept[0]}",
            "keep state on self, or hand it over with export_state and import_state",
        )


def _just_another(one: Table, other: Table, path: str) -> bool:
    """True for two tasks, loggers and the like, of which a fingerprint knows only which they are."""
    match one.get(path), other.get(path):
        case (str(kind), int(first)), (str(same), int(second)) if kind == same != "int":
            return min(first, second) >= _ADDRESS
    return False


def _door(subject: Subject) -> Any:
    """``import_state``, or where that is the kernel's, ``export_state``."""
    cls = subject.plugin_class
    return cls.export_state if cls.import_state is Plugin.import_state else cls.import_state


async def _use(rig: Rig) -> None:
    async for _ in rig.drive(ugly()[::_EACH]):
        pass


async def _reloaded(rig: Rig, *, used: bool) -> tuple[Table | None, Table | str]:
    """What the old instance exported and what the new one does; None and the new one's fingerprint where nothing is.

    ``used``: the old one has seen exchanges. A text in the second place says why the reload failed.
    """
    if used:
        await _use(rig)
    old = rig.instance.plugin
    state = old.export_state()
    exported = None if state is None else fingerprint(state, "state")
    try:
        await rig.gateway.reload(prepared(rig, bare=True, timeout=_OTHER)[0])
    except ConfigError as error:
        return None, str(error.problems[0])
    new = rig.instance.plugin
    return exported, fingerprint(new) if exported is None else fingerprint(new.export_state(), "state")


LAWS: Final[tuple[Law, ...]] = (state_survives_as_declared,)
