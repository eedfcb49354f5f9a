"""Puts the hooks that were not reached among those that were, and says of each why not."""

from collections.abc import Collection, Sequence
from typing import Final

from attrs import evolve

from spork_core.exchange import Exchange
from spork_core.explain.facts import ATTEMPT, BEFORE_SENDING
from spork_core.explain.model import Step

_LAST: Final = "on_complete"
_ON_THE_WAY_IN: Final = (*BEFORE_SENDING, *ATTEMPT)


def account(
    expected: Sequence[Step], made: Sequence[Step], exchange: Exchange, forgiven: Collection[str]
) -> tuple[Step, ...]:
    """The calls as they were ``made``, and between them those of ``expected`` that were not. ``forgiven``: the
    instances whose failures are passed over."""
    place = {(step.hook, step.instance): at for at, step in enumerate(expected)}
    known = {(step.hook, step.instance) for step in made}
    steps = list(made)
    decisive = [one for one in made if _decided(one, forgiven)]
    for at, step in enumerate(expected):
        if (step.hook, step.instance) in known:
            continue
        missed = evolve(step, reached=False, why=_why(step, decisive, exchange))
        earlier = (i for i, one in enumerate(steps) if place.get((one.hook, one.instance), at) < at)
        steps.insert(max(earlier, default=-1) + 1, missed)
    return tuple(steps)


def _why(step: Step, decisive: Sequence[Step], exchange: Exchange) -> str:
    hook = step.hook
    if hook == _LAST:
        return "it is called when the answer is out"
    same = next((one for one in reversed(decisive) if one.hook == hook), None)
    if same is not None:
        return f"{same.instance} {_word(same)} before it"
    if hook == "on_error":
        return "there was no problem" if exchange.error is None else "the problem came up on the way out"
    if hook == "should_retry" and exchange.attempts:
        last = exchange.attempts[-1]
        if last.error is not None or (last.status or 0) >= 500:
            return "what was sent cannot be sent again"
        if last.status is not None:
            return "the attempt did not fail"
    stop = next((one for one in reversed(decisive) if one.hook in _ON_THE_WAY_IN and _stops(one)), None)
    if stop is not None:
        return f"{stop.instance} {_word(stop)} in {stop.hook}"
    if exchange.error is not None:
        return f"the exchange ended in {exchange.error.status} {exchange.error.code}"
    return "nothing was asked of a service"


def _decided(step: Step, forgiven: Collection[str]) -> bool:
    """Whether the instances behind this one were not asked."""
    decision = step.decision
    if decision is None or step.kind not in ("gate", "first") or decision.kind == "none":
        return False
    if decision.kind == "held":
        return decision.status is not None
    return decision.kind != "failure" or step.instance not in forgiven


def _stops(step: Step) -> bool:
    """Whether the exchange went no further on its way in."""
    return step.decision is not None and step.decision.kind in ("response", "problem", "failure", "held")


def _word(step: Step) -> str:
    decision = step.decision
    assert decision is not None
    if decision.kind in ("problem", "held"):
        return f"refused ({decision.status} {decision.value})"
    return "failed" if decision.kind == "failure" else "answered"
