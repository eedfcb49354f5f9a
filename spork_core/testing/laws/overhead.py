"""The law about cost: an exchange takes no more of the plugin's time than it declares."""

from typing import Final

from spork_core.hookspecs import KINDS
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.rig import GET, Rig, run
from spork_core.testing.subject import Subject

_BATCHES: Final = 12
_EXCHANGES: Final = 20
"""In each batch; the fastest batch counts, so that a busy machine breaks no law."""


@law(hooks=KINDS)
def costs_what_it_declares(subject: Subject) -> None:
    """All its hooks together take no more of an exchange's time than `overhead` says, waiting left out.

    The chain of a route is the sum of its plugins, and each microsecond of one is paid by every request. Who declares
    what a plugin costs notices when a change makes it ten times dearer, and who composes a chain can add up.
    """
    took, by_hook = min(run(subject, _measured, bare=True))
    declared = subject.plugin_class.overhead
    if took > declared:
        dearest = max(by_hook, key=lambda hook: by_hook[hook])
        function = getattr(subject.plugin_class, dearest, subject.plugin_class)
        raise Broken(
            f"{place_of(function)}: its hooks take {took * 1e6:.0f} µs of an exchange, {dearest} "
            f"{by_hook[dearest] * 1e6:.0f} µs of it; overhead declares {declared * 1e6:.0f} µs",
            f"do at load what can be done at load, or declare it: overhead = {_round_up(took):.0e}",
        )


async def _measured(rig: Rig) -> "list[_Batch]":
    """Seconds for each exchange, of the batches."""
    batches = []
    for _ in range(_BATCHES):
        before = {hook: stats.own for hook, stats in rig.instance.stats.items()}
        for _ in range(_EXCHANGES):
            await rig.send(GET)
        by_hook = {hook: (stats.own - before[hook]) / _EXCHANGES for hook, stats in rig.instance.stats.items()}
        batches.append(_Batch((sum(by_hook.values()), by_hook)))
    return batches


class _Batch(tuple[float, dict[str, float]]):
    """Compared by its time alone."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _Batch)
        return self[0] < other[0]


def _round_up(seconds: float) -> float:
    return seconds * 1.5


LAWS: Final[tuple[Law, ...]] = (costs_what_it_declares,)
