"""The state machine: a table, and random histories against a model that is as plain as can be."""

from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule
from spork_circuit_breaker.circuit import TRANSITIONS, TRICKLE, Change, Circuit, Entry, Policy, Signal, State

SECOND = 1_000_000_000
POLICY = Policy(
    failures=3,
    failure_ratio=None,
    slow_ratio=None,
    min_calls=10,
    window=10,
    window_calls=None,
    open_for=SECOND,
    max_open_for=8 * SECOND,
    jitter=0.0,
    calm=60 * SECOND,
    probes=2,
    successes=2,
    ramp=10 * SECOND,
)


def circuit(*, chance: Callable[[], float] = lambda: 0.0, tell: Any = None, **differs: Any) -> Circuit:
    return Circuit("up", "", evolve(POLICY, **differs), chance, tell or (lambda *_: None))


def failing(one: Circuit, now: int, times: int) -> None:
    for _ in range(times):
        one.record(now, now, failed=True, slow=False)


def test_every_state_can_be_left_and_reached() -> None:
    assert {before for before, _ in TRANSITIONS} == set(State) == set(TRANSITIONS.values())


@pytest.mark.parametrize("state", State)
def test_only_a_circuit_that_lets_requests_pass_can_trip(state: State) -> None:
    assert ((state, Signal.TRIPPED) in TRANSITIONS) is (state in (State.CLOSED, State.RAMP))


def test_jitter_shortens_the_waiting() -> None:
    one = circuit(chance=lambda: 0.5, jitter=0.2)
    failing(one, 0, 3)
    assert one.until == round(0.9 * SECOND)


def test_no_number_of_openings_is_too_many() -> None:
    one = circuit(successes=1)
    failing(one, 0, 3)
    for _ in range(200):
        now = one.until
        assert one.enter(now) is Entry.PROBE
        one.record(now, now, failed=True, slow=False, probe=True)
        assert now < one.until <= now + POLICY.max_open_for


@pytest.mark.parametrize(("closed_for", "waits"), [(59, 2), (60, 1)])
def test_only_a_calm_time_makes_the_next_opening_a_first_one(closed_for: int, waits: int) -> None:
    one = circuit(ramp=0, successes=1)
    failing(one, 0, 3)
    one.enter(SECOND)
    one.record(SECOND, SECOND, failed=False, slow=False, probe=True)
    now = (1 + closed_for) * SECOND
    failing(one, now, 3)
    assert one.waits(now) == waits


def test_an_answer_that_breaks_off_counts_only_where_its_success_did() -> None:
    one = circuit(failures=1, successes=1)
    one.record(0, 0, failed=False, slow=False)
    one.broke_off(0, 0)
    assert one.state is State.OPEN

    one.broke_off(0, 0)
    one.enter(SECOND)
    one.broke_off(SECOND, SECOND)
    assert (one.state, one.opened) == (State.HALF_OPEN, 1)


def test_what_began_before_it_opened_says_nothing_afterwards() -> None:
    one = circuit(ramp=0, successes=1, failures=1)
    failing(one, SECOND, 1)
    one.enter(2 * SECOND)
    one.record(2 * SECOND, 2 * SECOND, failed=False, slow=False, probe=True)
    assert one.state is State.CLOSED

    one.record(3 * SECOND, SECOND - 1, failed=True, slow=False)
    assert one.state is State.CLOSED


def test_a_slow_probe_fails_where_slowness_counts() -> None:
    for ratio, state in ((0.5, State.OPEN), (None, State.HALF_OPEN)):
        one = circuit(slow_ratio=ratio)
        failing(one, 0, 3)
        one.enter(SECOND)
        one.record(SECOND, SECOND, failed=False, slow=True, probe=True)
        assert one.state is state


def test_the_reasons_to_open() -> None:
    told: list[Change] = []
    one = circuit(failures=None, failure_ratio=0.5, min_calls=4, tell=lambda _, change: told.append(change))
    for failed in (False, True, False):
        one.record(0, 0, failed=failed, slow=False)
    assert one.state is State.CLOSED
    one.record(0, 0, failed=True, slow=False)
    assert told == [Change(State.CLOSED, State.OPEN, "2 of 4 calls failed")]


def test_a_ramp_that_a_reload_shortens_is_over_sooner() -> None:
    one, other = circuit(successes=1), circuit(successes=1, ramp=0)
    failing(one, 0, 3)
    one.enter(SECOND)
    one.record(SECOND, SECOND, failed=False, slow=False, probe=True)
    other.resume(one.keep())

    assert other.state is State.RAMP
    assert other.enter(SECOND) is Entry.PASS
    assert other.state is State.CLOSED


class Model(RuleBasedStateMachine):
    """A circuit beside a model of it: a few numbers, and rules in the words of the README."""

    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.now = 100 * SECOND
        self.told: list[Change] = []
        self.circuit = circuit(tell=lambda _, change: self.told.append(change))
        self.state, self.since, self.until = "closed", 0, 0
        self.row = self.openings = self.passed = self.probing = 0

    def go(self, state: str) -> None:
        calm = self.state == "closed" and self.now - self.since >= POLICY.calm
        self.state, self.since = state, self.now
        if state == "open":
            self.openings = 1 if calm else self.openings + 1
            self.until = self.now + min(8, 2 ** (self.openings - 1)) * SECOND
        elif state == "half-open":
            self.passed = 0
        elif state == "ramp":
            self.row, self.until = 0, self.now + POLICY.ramp
        else:
            self.row = 0

    @rule(seconds=st.sampled_from([0, 0.05, 0.3, 1, 2, 5, 11, 61]))
    def time_passes(self, seconds: float) -> None:
        self.now += round(seconds * SECOND)

    @rule(target=running)
    def a_request_begins(self) -> Any:
        if self.state == "open" and self.now >= self.until:
            self.go("half-open")
        if self.state == "ramp" and self.now >= self.until:
            self.go("closed")
        entry = self.circuit.enter(self.now)
        if self.state == "half-open":
            free = self.probing < POLICY.probes
            assert entry is (Entry.PROBE if free else Entry.REFUSE)
            self.probing += free
        elif self.state != "ramp":
            assert entry is (Entry.PASS if self.state == "closed" else Entry.REFUSE)
        return entry, self.now

    @rule(request=consumes(running), failed=st.booleans())
    def a_request_ends(self, request: tuple[Entry, int], failed: bool) -> None:
        entry, began = request
        if entry is Entry.REFUSE:
            return
        self.circuit.record(self.now, began, failed=failed, slow=False, probe=entry is Entry.PROBE)
        self.probing -= entry is Entry.PROBE
        if began < self.since or self.state == "open":
            return
        if self.state == "half-open":
            if entry is Entry.PROBE:
                self.passed += not failed
                if failed:
                    self.go("open")
                elif self.passed == POLICY.successes:
                    self.go("ramp")
            return
        self.row = self.row + 1 if failed else 0
        if self.row == POLICY.failures:
            self.go("open")
        elif self.state == "ramp" and self.now >= self.until:
            self.go("closed")

    @rule(request=consumes(running))
    def a_request_is_given_up(self, request: tuple[Entry, int]) -> None:
        if request[0] is Entry.PROBE:
            self.circuit.give_back()
            self.probing -= 1

    @rule()
    def a_reload_replaces_it(self) -> None:
        if not self.probing:  # those that run end on the one that let them in
            other = circuit(tell=lambda _, change: self.told.append(change))
            other.resume(self.circuit.keep())
            assert other.keep() == self.circuit.keep()
            self.circuit = other

    @invariant()
    def both_agree(self) -> None:
        assert self.circuit.state.value == self.state
        assert self.circuit.probing == self.probing <= POLICY.probes
        assert self.circuit.since == self.since
        assert self.circuit.shut(self.now) == (self.state == "open" and self.now < self.until)
        assert all((change.before, change.after) in STEPS for change in self.told)


STEPS = {(before, after) for (before, _), after in TRANSITIONS.items()}
TestModel = Model.TestCase
TestModel.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)


def test_the_ramp_lets_a_growing_share_in() -> None:
    one = circuit(successes=1)
    failing(one, 0, 3)
    one.enter(SECOND)
    one.record(SECOND, SECOND, failed=False, slow=False, probe=True)
    shares = []
    for tenth in range(10):
        times = range(SECOND * (1 + tenth), SECOND * (2 + tenth), SECOND // 1000)
        shares.append(sum(one.enter(moment) is Entry.PASS for moment in times) / 1000)

    assert shares == [pytest.approx((tenth + 0.5) / 10, abs=0.02) for tenth in range(10)]


def test_on_the_ramp_somebody_is_always_let_in() -> None:
    one = circuit(successes=1)
    failing(one, 0, 3)
    one.enter(SECOND)
    one.record(SECOND, SECOND, failed=False, slow=False, probe=True)

    assert all(one.enter(SECOND + step * TRICKLE) is Entry.PASS for step in range(50))
