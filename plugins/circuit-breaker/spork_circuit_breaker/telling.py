"""What operators and collectors of metrics are told of the circuits."""

from collections.abc import Iterable
from typing import Final

from spork_circuit_breaker.board import Board
from spork_circuit_breaker.circuit import Circuit, State
from spork_core.api import Metric

_NUMBERS: Final = {State.CLOSED: 0, State.OPEN: 1, State.HALF_OPEN: 2, State.RAMP: 2}
_FORCED: Final = {"closed": 0, "open": 1}
_LABELS: Final = ("instance", "service", "endpoint")


def metrics(instance: str, board: Board) -> Iterable[Metric]:
    """The state of each circuit, and what it did. The label ``endpoint`` is "" for the circuit of a whole service."""
    circuits = {(instance, each.service, each.endpoint): each for each in board}
    yield Metric(
        "circuit_breaker_state",
        "gauge",
        "0: closed, all requests pass. 1: open, none does. 2: half-open or on the ramp, some do.",
        _LABELS,
        {name: _number(each) for name, each in circuits.items()},
        across="max",
    )
    yield Metric(
        "circuit_breaker_transitions",
        "counter",
        "How often a circuit opened and closed.",
        (*_LABELS, "to"),
        {
            (*name, to): count
            for name, each in circuits.items()
            for to, count in (("open", each.opened), ("closed", each.closed))
        },
    )
    yield Metric(
        "circuit_breaker_rejected",
        "counter",
        "Requests that a circuit kept away: refused by a service's, passed on to another endpoint by an endpoint's.",
        _LABELS,
        {name: each.rejected for name, each in circuits.items()},
    )


def _number(circuit: Circuit) -> int:
    return _NUMBERS[circuit.state] if circuit.forced is None else _FORCED[circuit.forced]


def told(circuit: Circuit, now: int) -> dict[str, object]:
    """A circuit as JSON. ``now``: ``Clock.monotonic_ns``."""
    totals = circuit.window.totals(now)
    return {
        "service": circuit.service,
        "endpoint": circuit.endpoint or None,
        "state": circuit.state.value,
        "forced": circuit.forced,
        "for_seconds": round((now - circuit.since) / 1e9, 3) if circuit.opened else None,
        "tried_again_in_seconds": round(circuit.waits(now), 3) if circuit.state is State.OPEN else None,
        "why": circuit.why or None,
        "calls": totals.calls,
        "failures": totals.failures,
        "slow": totals.slow,
        "failures_in_a_row": circuit.window.streak,
        "probing": circuit.probing,
        "opened": circuit.opened,
        "closed": circuit.closed,
        "rejected": circuit.rejected,
    }
