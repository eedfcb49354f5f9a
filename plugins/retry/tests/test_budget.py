"""The budget, held against its own definition over random histories."""

from collections.abc import Iterable
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from spork_retry.budget import PARTS, Budget

SECOND = 1_000_000_000
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("request"), st.integers(0, 3 * SECOND)),
        st.tuples(st.just("retry"), st.integers(0, 3 * SECOND)),
        st.tuples(st.just("end"), st.just(0)),
    ),
    max_size=60,
)


def request(budget: Budget, now: int) -> None:
    if now >= budget.until:
        budget.turn(now)
    budget.requests += 1


def within(times: Iterable[int], now: int, width: int) -> int:
    """How many of ``times`` lie in the part of ``now`` and in the nine before it."""
    return sum(now // width - time // width < PARTS for time in times)


@given(steps=STEPS, ratio=st.sampled_from([0.0, 0.2, 0.5, 1.0]), minimum=st.integers(0, 4))
def test_a_retry_goes_exactly_when_the_definition_says_so(
    steps: list[tuple[str, int]], ratio: float, minimum: int
) -> None:
    budget, now, width = Budget(ratio, minimum, 10), SECOND, SECOND
    requests: list[int] = []
    retries: list[int] = []
    running = 0
    for what, later in steps:
        now += later
        if what == "request":
            request(budget, now)
            requests.append(now)
        elif what == "end":
            if running:
                running -= 1
                budget.give_back()
        else:
            room = within(retries, now, width) + 1 <= Fraction(ratio) * within(requests, now, width)
            may = running < minimum or room
            assert budget.take(now) is may
            if may:
                running += 1
                retries.append(now)
        assert budget.running == running


@given(count=st.integers(0, 1000))
def test_retries_never_add_more_than_their_share(count: int) -> None:
    budget = Budget(0.2, 0, 10)
    for _ in range(count):
        request(budget, SECOND)
        budget.take(SECOND)

    assert budget.counts(SECOND)[1] == count // 5


def test_what_is_older_than_the_window_is_forgotten() -> None:
    budget = Budget(0.2, 0, 10)
    for _ in range(5):
        request(budget, SECOND)
    assert budget.counts(10 * SECOND) == (5, 0)
    assert budget.counts(11 * SECOND) == (0, 0)
    assert not budget.take(11 * SECOND)
    assert budget.exhausted == 1
