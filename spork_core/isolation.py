"""Isolation: an instance that keeps failing, or costs too much, is left out for a while and then tried again.

Rules of this file
1. As long as an instance is well, nothing of this is on the path of an exchange: failures are counted where they are
   logged, and what it costs is looked at only where a budget is set. When an instance is isolated or released, the
   pipelines it is in are compiled anew.
2. An isolated instance is skipped, or exchanges that would have called it are refused: as ``on_failure``, or the
   budget's ``then``, says.
3. When its pause is over, one exchange tries it. That one alone decides: a hook that had failed goes well in it, and
   the instance is released; one fails, and the next pause is twice as long; none of them is called, or the exchange is
   broken off within one, and the next exchange tries.
4. What an instance was given it may give back: an exchange that began before it was isolated, or that tried it, still
   tells it of attempts and of the end. Watches change nothing, and may free what the instance holds for the exchange.
5. An exchange fails once, however many hooks fail in it: a share of exchanges is what the config speaks of.
"""

from collections.abc import Callable
from math import ceil
from typing import Final, Literal

from spork_core.clock import Clock
from spork_core.config.policy import BudgetConfig, QuarantineConfig
from spork_core.events import Events
from spork_core.exchange import Exchange, StateKey
from spork_core.units import format_duration

Effect = Literal["skip", "deny"]
_WARN_EVERY: Final = 60.0
"""Seconds between two warnings about the same budget."""


class Window:
    """Counts what happens within ``seconds``; begins anew when they are over."""

    __slots__ = ("count", "of", "seconds", "since")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.count = 0
        self.since = float("-inf")
        self.of = 0
        """Exchanges there had been when it began."""

    def add(self, now: float, exchanges: int = 0) -> int:
        """One more; how many there are in the window."""
        if now - self.since > self.seconds:
            self.since, self.count, self.of = now, 0, exchanges
        self.count += 1
        return self.count


class Isolation:
    """The state of one instance.

    ``exchanges``: how many its pipelines have begun. ``changed``: called when hooks must be compiled in or out.
    """

    def __init__(
        self,
        name: str,
        on_failure: str,
        quarantine: QuarantineConfig,
        budget: BudgetConfig | None,
        *,
        clock: Clock,
        events: Events,
        exchanges: Callable[[], int],
        changed: Callable[[], object],
    ) -> None:
        self.effect: Effect | None = None
        """What becomes of its hooks; None while it is well."""
        self.why = ""
        """Why it is isolated, a sentence; "" while it is well."""
        self.times = 0
        """How often it was isolated."""
        self._name = name
        self._on_failure: Effect = "skip" if on_failure == "open" else "deny"
        self._quarantine = quarantine
        self._on = on_failure == "open" if quarantine.enabled is None else quarantine.enabled
        self._budget = budget
        self._clock = clock
        self._events = events
        self._exchanges = exchanges
        self._changed = changed
        self._failures = Window(quarantine.within)
        self._overruns = Window(budget.within if budget is not None else 0)
        self._warned = float("-inf")
        self._over = 0
        """Overruns since the last warning."""
        self._pause = 0.0
        self._since_ns = 0
        """When it was isolated the last time."""
        self._until = 0.0
        self._probe: Exchange | None = None
        self._probe_failed = self._probe_proved = self._probe_broke_off = False
        self._for_budget = False
        self._suspects: set[str] = set()
        """The hooks that failed in the window, and since."""
        self._counted: StateKey[bool] = StateKey(f"{name} failed")
        """Set in exchanges that have been counted as failed."""
        self._tried: StateKey[bool] = StateKey(f"{name} tried")
        """Set in exchanges that have tried it."""

    @property
    def state(self) -> str:
        """``well``, ``quarantined``, ``skipped`` or ``denied`` (for its budget), ``probing``."""
        if self.effect is None:
            return "well"
        if self._probe is not None:
            return "probing"
        return self._word()

    @property
    def retry_after(self) -> int:
        """Whole seconds until it is tried again, at least 1."""
        return max(1, ceil(self._until - self._now()))

    def _word(self) -> str:
        if not self._for_budget:
            return "quarantined"
        return "skipped" if self.effect == "skip" else "denied"

    def _now(self) -> float:
        return self._clock.monotonic_ns() / 1e9

    # -- what happens to it -------------------------------------------------------------------------

    def failed(self, exchange: Exchange, hook: str) -> None:
        """A hook of it failed."""
        if self.effect is not None:
            self._suspects.add(hook)
            self._probe_failed |= exchange is self._probe
            return
        if not self._on:
            return
        if self._counted in exchange:
            self._suspects.add(hook)
            return
        exchange[self._counted] = True
        config, exchanges = self._quarantine, self._exchanges()
        count = self._failures.add(self._now(), exchanges - 1)
        self._suspects = {hook} if count == 1 else self._suspects | {hook}
        of = max(count, exchanges - self._failures.of)
        if count >= config.failures and count >= config.ratio * of:
            within = format_duration(config.within)
            self._isolate(self._on_failure, f"it failed in {count} of {of} exchanges within {within}", config.pause)

    def overrun(self, exchange: Exchange, seconds: float) -> None:
        """Its hooks have taken ``seconds`` in ``exchange``, which is past its budget."""
        budget = self._budget
        assert budget is not None
        if self.effect is not None:
            self._probe_failed |= exchange is self._probe
            return
        now = self._now()
        self._over += 1
        took = f"took {seconds * 1000:.3g} ms in an exchange, its budget is {format_duration(budget.time)}"
        if now - self._warned >= _WARN_EVERY:
            self._warned, times, self._over = now, self._over, 0
            often = "once" if times == 1 else f"{times} times"
            self._events.add(
                "over_budget",
                f"instance {self._name} {took} ({often} since the last word of it)",
                instance=self._name,
                seconds=seconds,
                budget=budget.time,
                times=times,
            )
        count = self._overruns.add(now)
        if budget.then != "warn" and count >= budget.repeated:
            self._isolate(
                budget.then,
                f"it {took}, and {count} times within {format_duration(budget.within)}",
                budget.pause,
                budget=True,
            )

    def admits(self, exchange: Exchange) -> bool:
        """True when ``exchange`` may call a hook although the instance is isolated: the one that tries it."""
        if exchange is not self._probe:
            now = self._now()
            if now < self._until or self.effect is None:
                return self.effect is None
            # Also when the exchange before that tried it has not ended in a whole pause: it may hang in there.
            self._probe, self._until = exchange, now + self._pause
            self._probe_failed = self._probe_proved = self._probe_broke_off = False
            exchange[self._tried] = True
        return True

    def owes(self, exchange: Exchange) -> bool:
        """True when it must be told of ``exchange`` although it is isolated, for it has had to do with it."""
        return exchange.started_ns < self._since_ns or self._tried in exchange

    def went_well(self, exchange: Exchange, hook: str) -> None:
        """A hook that ``exchange`` was admitted to has answered."""
        if exchange is self._probe:
            self._probe_proved |= self._for_budget or hook in self._suspects

    def broke_off(self, exchange: Exchange) -> None:
        """A hook that ``exchange`` was admitted to was cancelled: whether it would have gone well nobody knows."""
        if exchange is self._probe:
            self._probe_broke_off = True

    def ended(self, exchange: Exchange) -> None:
        """An exchange is over; when it is the one that tried the instance, that is decided."""
        if exchange is not self._probe:
            return
        self._probe = None
        if self._probe_failed:
            self._pause = min(self._pause * 2, max(self._quarantine.max_pause, self._pause))
            self._until = self._now() + self._pause
            return
        if self._probe_broke_off or not self._probe_proved:
            self._until = self._now()
            return
        self.effect, self.why = None, ""
        self._pause = 0.0
        self._suspects.clear()
        self._events.add("restored", f"instance {self._name} works again", instance=self._name)
        self._changed()

    def _isolate(self, effect: Effect, why: str, pause: float, *, budget: bool = False) -> None:
        self.effect, self.why, self.times = effect, why, self.times + 1
        self._for_budget = budget
        self._since_ns = self._clock.monotonic_ns()
        self._pause, self._until = pause, self._now() + pause
        self._failures.since = self._overruns.since = float("-inf")
        means = "its hooks are skipped" if effect == "skip" else "exchanges that need it are refused"
        self._events.add(
            "quarantined" if not budget else self._word(),
            f"instance {self._name}: {why}; for {format_duration(pause)} {means}, then one exchange tries it",
            instance=self._name,
            effect=effect,
            pause=pause,
        )
        self._changed()
