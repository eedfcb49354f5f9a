"""Which endpoint a request goes to, and whether it is let in, while something is not as usual.

Rules of this file
1. The endpoints' circuits steer: an endpoint whose circuit lets nobody in is passed over. The service's refuses.
2. A permit that a request was given here is noted in its ``Pass`` at once, whatever happens next.
3. There are never silently no endpoints: when all are shut, ``all_open`` says what happens. One that an operator holds
   open is not used even then.
"""

from collections.abc import Collection, Iterable, Sequence

from spork_circuit_breaker.board import Spot
from spork_circuit_breaker.circuit import Circuit, Entry
from spork_core.api import Attempt, Endpoint


class Pass:
    """How the current attempt of an exchange was let in."""

    __slots__ = ("attempt", "broke", "cleared", "probing")

    def __init__(self) -> None:
        self.attempt: Attempt | None = None
        """The attempt that the rest is about."""
        self.cleared: Circuit | None = None
        """The endpoint's circuit, when it was asked as the endpoint was chosen."""
        self.probing: list[Circuit] = []
        """The circuits whose permits it holds."""
        self.broke = False
        """True once the break in its answer's content was counted."""

    def ask(self, circuit: Circuit, now: int) -> bool:
        """True when ``circuit`` lets the attempt in."""
        entry = circuit.enter(now)
        if entry is Entry.PROBE:
            self.probing.append(circuit)
        return entry is not Entry.REFUSE


def steered(
    choices: Sequence[tuple[Endpoint, Spot]], tried: Iterable[Endpoint | None], passing: Pass, now: int, *, panic: bool
) -> Endpoint | None:
    """The endpoint for an attempt that begins at ``now``; None when none is to be used. ``tried``: those that the
    exchange has tried; they come last. ``panic``: use one whose circuit is open rather than none."""
    before = set(map(id, tried))
    willing = [each for each in choices if not _shut(each[1], now)]
    for endpoint, spot in _in_turn(willing, before):
        own = spot.own
        if own is None or own.usual or passing.ask(own, now):
            passing.cleared = own
            return endpoint
    if panic:
        # One that is on its way back, though it has had its share, rather than one that is known to be broken.
        for endpoint, spot in _in_turn(willing or [each for each in choices if not _held_open(each[1])], before):
            passing.cleared = spot.own
            return endpoint
    return None


def last_resort(own: Circuit, choices: Iterable[Spot], now: int) -> bool:
    """True when an endpoint may be used though its circuit is open, ``own``: those of all ``choices`` are."""
    return own.forced != "open" and all(_shut(spot, now) for spot in choices)


def _held_open(spot: Spot) -> bool:
    return spot.own is not None and spot.own.forced == "open"


def _shut(spot: Spot, now: int) -> bool:
    return spot.own is not None and spot.own.shut(now)


def _in_turn(choices: list[tuple[Endpoint, Spot]], last: Collection[int]) -> Iterable[tuple[Endpoint, Spot]]:
    """The choices one after another, those whose ``id`` is in ``last`` after the others, else by smooth weighted round
    robin. Most callers are content with the first."""
    for group in (
        [each for each in choices if id(each[0]) not in last],
        [each for each in choices if id(each[0]) in last],
    ):
        while group:
            best = group[0]
            total = 0
            for each in group:
                spot = each[1]
                spot.turn += spot.weight
                total += spot.weight
                if spot.turn > best[1].turn:
                    best = each
            best[1].turn -= total
            yield best
            group.remove(best)
