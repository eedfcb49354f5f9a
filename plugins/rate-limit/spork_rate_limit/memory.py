"""Counting in this process: the states of callers, in a memory with a bound."""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from itertools import islice
from typing import Any, Final

from spork_rate_limit.policies import Plan
from spork_rate_limit.windows import decide, decide_one

_GLANCE: Final = 2
"""Of so many callers that stand first those go whose windows have ended, each time that a new one comes: the memory
holds what is in use."""
_SEARCH: Final = 64
"""So many are looked at when there is no room for a new one."""
_TO_GO: Final = 8
"""So many of these go then, those that used least: who floods the memory with callers of one request each loses these,
not the count of one that is at its limit."""

States = OrderedDict[Hashable, Any]
"""Caller → its state, or its states where there are several windows. Not a dict: to find its first item takes longer
the more were taken from its front, 300 µs in a flood of new callers where this takes 8."""

Kept = tuple[tuple[str, ...], States]
"""The kinds of the windows, and the states."""


class Counters:
    """The states of the callers of one plan. Times are whole microseconds of a clock that never goes back."""

    def __init__(self, plan: Plan, most: int) -> None:
        """``most``: callers that are remembered at once."""
        self.plan = plan
        self._windows = plan.windows
        self._one = plan.one
        self._most = most
        self._states: States = OrderedDict()
        self.state: Callable[[Hashable], Any] = self._states.get
        """Gives the state of a caller; None when it is not remembered."""
        self.evicted = 0
        """Callers that were forgotten before their windows had ended."""

    def __len__(self) -> int:
        return len(self._states)

    def take(self, who: Hashable, cost: int, now: int) -> Sequence[int]:
        """Counts ``cost`` for ``who``, or does not; answers as ``windows.decide``."""
        state = self._states.get(who)
        if state is None:
            one = self._one
            new = one.new(now) if one is not None else tuple([window.new(now) for window in self._windows])
            state = self._remember(who, new, now)
        one = self._one
        if one is not None:
            return decide_one(one, state, now, cost)
        return decide(self._windows, state, (now,) * len(state), cost)

    def note(self, who: Hashable, answer: Sequence[int], now: int) -> None:
        """Goes on from what a store has just answered, in case it is the last time: whoever has little left there has
        no more here."""
        states = [window.seen(now, answer[2 * at], answer[2 * at + 1]) for at, window in enumerate(self._windows, 1)]
        state = states[0] if self._one is not None else tuple(states)
        if who in self._states:
            self._states[who] = state
        else:
            self._remember(who, state, now)

    def states(self) -> Kept:
        """What ``adopt`` takes over."""
        return self.plan.kinds, self._states

    def adopt(self, kept: Kept) -> None:
        """Goes on with the callers of counters before these, if their windows were of the same kinds. Exchanges that
        still run on the instance of those are counted here, too."""
        if kept[0] == self.plan.kinds:
            self._states = kept[1]
            self.state = self._states.get

    def _remember(self, who: Hashable, state: Any, now: int) -> Any:
        if len(self._states) < self._most:
            self._glance(now)
        else:
            self._make_room(now)
        self._states[who] = state
        return state

    def _glance(self, now: int) -> None:
        states = self._states
        for who in list(islice(states, _GLANCE)):
            if self._used(states[who], now):
                states.move_to_end(who)  # the next glance is at others
            else:
                del states[who]

    def _make_room(self, now: int) -> None:
        states = self._states
        used = {who: self._used(state, now) for who, state in islice(states.items(), _SEARCH)}
        going = frozenset(sorted(used, key=used.__getitem__)[:_TO_GO])
        for who, units in used.items():
            if units and who not in going:
                states.move_to_end(who)
            else:
                del states[who]
                self.evicted += units > 0

    def _used(self, state: Any, now: int) -> int:
        """Units of the fullest window; 0 when all have ended."""
        one = self._one
        if one is not None:
            return one.limit - one.room(state, now)
        return max(window.limit - window.room(each, now) for window, each in zip(self._windows, state, strict=True))
