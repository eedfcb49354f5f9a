"""One circuit: the state machine that decides whether a service, or one of its endpoints, is sent requests.

Rules of this file
1. Everything that changes the state of a circuit is here, and ``TRANSITIONS`` has all the ways from one state to
   another. Nothing here reads a clock, waits or logs: the time comes in, decisions go out.
2. Time moves lazily: an open circuit turns half-open when the next request asks, not by a timer.
3. A request that begins while the circuit is half-open is a probe and holds a permit, of which there are ``probes``. A
   permit comes back exactly once: by ``record``, or by ``give_back`` when nothing became of the request.
4. What began before the present state did says nothing about it and is not counted.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final, Literal

from attrs import frozen

from spork_circuit_breaker.windows import CountWindow, Kept, TimeWindow, Window


class State(Enum):
    """Where a circuit is."""

    CLOSED = "closed"
    """All is well: every request passes."""
    OPEN = "open"
    """No request passes."""
    HALF_OPEN = "half-open"
    """A few requests pass, as probes."""
    RAMP = "ramp"
    """The probes went well: a share of the requests passes that grows until all do."""


class Signal(Enum):
    """What moves a circuit from one state to another."""

    TRIPPED = "tripped"
    WAITED = "waited"
    PROBE_FAILED = "probe failed"
    RECOVERED = "recovered"
    RAMPED = "ramped"


TRANSITIONS: Final[Mapping[tuple[State, Signal], State]] = {
    (State.CLOSED, Signal.TRIPPED): State.OPEN,
    (State.OPEN, Signal.WAITED): State.HALF_OPEN,
    (State.HALF_OPEN, Signal.PROBE_FAILED): State.OPEN,
    (State.HALF_OPEN, Signal.RECOVERED): State.RAMP,
    (State.RAMP, Signal.TRIPPED): State.OPEN,
    (State.RAMP, Signal.RAMPED): State.CLOSED,
}


class Entry(Enum):
    """What a circuit says to a request."""

    PASS = "pass"  # noqa: S105 - no password
    PROBE = "probe"
    REFUSE = "refuse"


Forced = Literal["open", "closed"]

TRICKLE: Final = 100_000_000
"""Nanoseconds: on the ramp, a request passes when none has for so long, so that a service with little traffic is not
refused requests for nothing."""
_MOST_DOUBLINGS: Final = 40


@frozen
class Policy:
    """When a circuit opens, and how it closes again. Times in nanoseconds. ``failures``, ``failure_ratio``,
    ``slow_ratio``: None for a reason that does not count."""

    failures: int | None
    failure_ratio: float | None
    slow_ratio: float | None
    min_calls: int
    window: float
    window_calls: int | None
    open_for: int
    max_open_for: int
    jitter: float
    calm: int
    probes: int
    successes: int
    ramp: int

    def new_window(self) -> Window:
        """``window_calls`` calls, or else ``window`` seconds."""
        return TimeWindow(self.window) if self.window_calls is None else CountWindow(self.window_calls)


@frozen
class Change:
    """A step of a circuit from one state to another. ``why``: a few words for people."""

    before: State
    after: State
    why: str


@frozen
class Kin:
    """What a circuit hands over to the one that replaces it after a reload."""

    state: State
    since: int
    until: int
    openings: int
    forced: Forced | None
    why: str
    opened: int
    closed: int
    rejected: int
    passed: int
    window: Kept


class Circuit:
    """The circuit of a service, or of one endpoint of it. Times are ``Clock.monotonic_ns``."""

    __slots__ = (
        "_chance",
        "_credit",
        "_let_in",
        "_policy",
        "_tell",
        "closed",
        "endpoint",
        "forced",
        "opened",
        "openings",
        "passed",
        "probing",
        "rejected",
        "service",
        "since",
        "state",
        "until",
        "why",
        "window",
    )

    def __init__(
        self,
        service: str,
        endpoint: str,
        policy: Policy,
        chance: Callable[[], float],
        tell: Callable[["Circuit", Change], object],
    ) -> None:
        """``endpoint``: its URL; "" for the circuit of the whole service. ``chance``: gives a number from 0 to 1.
        ``tell``: called after each change."""
        self.service = service
        self.endpoint = endpoint
        self._policy = policy
        self._chance = chance
        self._tell = tell
        self.window = policy.new_window()
        self.state = State.CLOSED
        self.since = 0
        """When it came into its state."""
        self.until = 0
        """When that state is over by itself: the waiting of an open one, the ramp."""
        self.why = ""
        """Why it opened last; "" while it never did."""
        self.forced: Forced | None = None
        """What an operator wants it to be, whatever the state says."""
        self.openings = 0
        """How often it opened without a calm time in between: its waiting doubles with each."""
        self.probing = 0
        """Permits that are out."""
        self.passed = 0
        """Probes that went well since it is half-open."""
        self.opened = self.closed = 0
        """How often it opened, and closed."""
        self.rejected = 0
        """Requests that it kept away."""
        self._credit = 0.0
        self._let_in = 0

    def __repr__(self) -> str:
        forced = f", forced {self.forced}" if self.forced else ""
        return f"<Circuit {self.service} {self.endpoint or '(all)'} {self.state.value}{forced}>"

    @property
    def usual(self) -> bool:
        """True while every request passes and its outcome counts."""
        return self.state is State.CLOSED and self.forced is None

    # -- requests -----------------------------------------------------------------------------------

    def enter(self, now: int) -> Entry:
        """May a request pass that begins now? A probe's permit must come back."""
        if self.forced is not None:
            return Entry.PASS if self.forced == "closed" else self._refuse()
        if self.state is State.OPEN and now >= self.until:
            self._go(Signal.WAITED, now, "waited")
        if self.state is State.RAMP and now >= self.until:
            self._go(Signal.RAMPED, now, "the ramp is over")
        if self.state is State.CLOSED:
            return Entry.PASS
        if self.state is State.OPEN:
            return self._refuse()
        if self.state is State.HALF_OPEN:
            if self.probing >= self._policy.probes:
                return self._refuse()
            self.probing += 1
            return Entry.PROBE
        return self._on_the_ramp(now)

    def _on_the_ramp(self, now: int) -> Entry:
        self._credit += (now - self.since) / self._policy.ramp
        if self._credit < 1 and now - self._let_in < TRICKLE:
            return self._refuse()
        self._credit = max(0.0, self._credit - 1)
        self._let_in = now
        return Entry.PASS

    def _refuse(self) -> Entry:
        self.rejected += 1
        return Entry.REFUSE

    def record(self, now: int, began: int, *, failed: bool, slow: bool, probe: bool = False) -> None:
        """What became of a request that passed. ``began``: when. ``probe``: it held a permit, which comes back."""
        if probe:
            self.probing -= 1
        if self.forced is not None or began < self.since or self.state is State.OPEN:
            return
        if self.state is State.HALF_OPEN:
            if probe:
                self._probed(now, failed=failed, slow=slow and self._policy.slow_ratio is not None)
            return
        if failed or slow:
            self.window.add(now, failed=failed, slow=slow)
            self._look(now)
        else:
            self.window.succeed(now)
        if self.state is State.RAMP and now >= self.until:
            self._go(Signal.RAMPED, now, "the ramp is over")

    def broke_off(self, now: int, began: int) -> None:
        """A request that was recorded as good has failed after all."""
        if self.forced is None and began >= self.since and self.state in (State.CLOSED, State.RAMP):
            self.window.spoil(now)
            self._look(now)

    def _look(self, now: int) -> None:
        """Opens when the calls say so."""
        why = self._reason(now)
        if why is not None:
            self._go(Signal.TRIPPED, now, why)

    def _probed(self, now: int, *, failed: bool, slow: bool) -> None:
        if failed or slow:
            self._go(Signal.PROBE_FAILED, now, "a probe failed" if failed else "a probe was slow")
            return
        self.passed += 1
        if self.passed >= self._policy.successes:
            self._go(Signal.RECOVERED, now, f"{self.passed} probes went well")
            if not self._policy.ramp:
                self._go(Signal.RAMPED, now, f"{self.passed} probes went well")

    def give_back(self) -> None:
        """Nothing became of a probe: its client left, or another plugin answered. Another may try."""
        self.probing -= 1

    def _reason(self, now: int) -> str | None:
        """Why the circuit must open now; None when it need not."""
        policy, streak = self._policy, self.window.streak
        if policy.failures is not None and streak >= policy.failures:
            return f"{streak} failures in a row"
        if policy.failure_ratio is None and policy.slow_ratio is None:
            return None
        totals = self.window.totals(now)
        if totals.calls < policy.min_calls:
            return None
        if policy.failure_ratio is not None and totals.failures >= policy.failure_ratio * totals.calls:
            return f"{totals.failures} of {totals.calls} calls failed"
        if policy.slow_ratio is not None and totals.slow >= policy.slow_ratio * totals.calls:
            return f"{totals.slow} of {totals.calls} calls were slow"
        return None

    # -- states -------------------------------------------------------------------------------------

    def _go(self, signal: Signal, now: int, why: str) -> None:
        before, after = self.state, TRANSITIONS[self.state, signal]
        calm = before is State.CLOSED and now - self.since >= self._policy.calm
        self.state, self.since = after, now
        if after is State.OPEN:
            self._opened(now, why, calm=calm)
        elif after is State.HALF_OPEN:
            self.passed = 0
        else:
            self.window.clear()
            if after is State.RAMP:
                self.until = now + self._policy.ramp
                self._credit, self._let_in = 0.0, now - TRICKLE
            else:
                self.closed += 1
        self._tell(self, Change(before, after, why))

    def _opened(self, now: int, why: str, *, calm: bool) -> None:
        policy = self._policy
        if calm:
            self.openings = 0
        wait = min(policy.max_open_for, policy.open_for << min(self.openings, _MOST_DOUBLINGS))
        self.until = now + round(wait * (1 - policy.jitter * self._chance()))
        self.openings += 1
        self.opened += 1
        self.why = why

    def force(self, forced: Forced | None) -> None:
        """What an operator wants it to be. None: what the calls say, from where it was before."""
        self.forced = forced

    def shut(self, now: int) -> bool:
        """True when no request passes now, not even a probe."""
        if self.forced is not None:
            return self.forced == "open"
        return self.state is State.OPEN and now < self.until

    def waits(self, now: int) -> float:
        """Seconds until it is tried again; 0 for one that does not wait."""
        if self.state is not State.OPEN or self.forced is not None:
            return 0.0
        return max(0, self.until - now) / 1e9

    # -- reloads ------------------------------------------------------------------------------------

    def keep(self) -> Kin:
        """What the circuit that replaces it goes on with. Permits stay with the requests that hold them."""
        return Kin(
            self.state,
            self.since,
            self.until,
            self.openings,
            self.forced,
            self.why,
            self.opened,
            self.closed,
            self.rejected,
            self.passed,
            self.window.keep(),
        )

    def resume(self, kin: Kin) -> None:
        """Goes on where another one was; with an empty window where that had another shape."""
        self.state, self.since, self.until, self.openings = kin.state, kin.since, kin.until, kin.openings
        self.forced, self.why = kin.forced, kin.why
        self.opened, self.closed, self.rejected, self.passed = kin.opened, kin.closed, kin.rejected, kin.passed
        if self.state is State.RAMP:
            self.until = min(self.until, self.since + self._policy.ramp)
        if kin.window.shape == self.window.shape:
            self.window.resume(kin.window)
