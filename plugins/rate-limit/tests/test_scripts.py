"""The scripts: Lua and Python count alike, on a real server."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from spork_rate_limit.policies import Plan, plan
from spork_rate_limit.windows import EXACT, Gcra, SlidingWindow, decide

from spork_core.api import Clock, MemoryStore, Rate
from spork_core.testing import Both, both_forms
from tests.services import valkey

ALGORITHMS = ("sliding-window", "gcra", "fixed-window")

counts = st.sampled_from([1, 2, 3, 10, 64, 65, 200])
seconds = st.lists(st.sampled_from([0.001, 0.3, 1.0, 7.0, 60.0]), min_size=1, max_size=3, unique=True)
calls = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0, 0.05), st.floats(0, 5)), st.sampled_from(["ann", "bob"]), st.integers(1, 4)
    ),
    max_size=40,
)
quick = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def both() -> Iterator[Both]:
    with valkey() as server, both_forms(server.path) as both:
        yield both


def run(run: Callable[..., Any], plan: Plan, who: str, cost: int) -> Any:
    return run(plan.script, [f"{{{who}}}{kind}" for kind in plan.kinds], [cost, *plan.arguments])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_lua_counts_as_python_does(both: Both, algorithm: str) -> None:
    @quick
    @given(st.lists(counts, min_size=3, max_size=3), seconds, calls)
    def alike(counts: list[int], seconds: list[float], calls: list[tuple[float, str, int]]) -> None:
        rates = [Rate(count, length) for count, length in zip(counts, seconds, strict=False)]
        tried = plan("", "limit", rates, algorithm, None)
        both.clear()
        for gap, who, cost in calls:
            both.elapse(gap)
            answer = run(both.run, tried, who, min(cost, *counts))
            assert len(answer) == 2 + 2 * len(rates)

    alike()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_busy_caller_is_counted_alike_for_long(both: Both, algorithm: str) -> None:
    tried = plan("", "limit", [Rate(100, 1.0), Rate(1500, 20.0)], algorithm, None)
    both.clear()

    refused = []
    for _ in range(2000):
        both.elapse(0.0071)
        refused.append(run(both.run, tried, "ann", 1)[0])

    assert {0, 1, 2} >= set(refused) > {0}


def test_large_numbers_are_as_exact_in_lua(both: Both) -> None:
    tried = plan("", "limit", [Rate(9_999_991, 60.0)], "gcra", None)
    (bucket,) = tried.windows
    assert isinstance(bucket, Gcra)
    assert EXACT / 20 < bucket.full < EXACT

    both.clear()
    for cost in (1, 9_999_989, 1, 1, 5, 9_999_991):
        run(both.run, tried, "ann", cost)
        both.elapse(0.000_006)


@given(st.lists(st.tuples(st.integers(0, 150), st.integers(1, 3)), max_size=50), st.sampled_from(ALGORITHMS))
def test_the_script_in_memory_counts_as_the_plugin_does_in_its_own(calls: list[tuple[int, int]], name: str) -> None:
    tried = plan("", "limit", [Rate(5, 1.0), Rate(20, 10.0)], name, None)
    ticks = 64
    store = MemoryStore(Clock(time=lambda: ticks / 64))
    states = [window.new(0) for window in tried.windows]
    for gap, cost in calls:
        ticks += gap
        expected = decide(tried.windows, states, [ticks * 15_625] * 2, cost)
        assert run(store.run_now, tried, "ann", cost) == expected


@pytest.mark.parametrize("kept", [b"", b"nonsense", b"\x93\x01\x02", b"\x05", b"\xc1"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_value_that_was_cut_short_counts_as_none(both: Both, algorithm: str, kept: bytes) -> None:
    tried = plan("", "limit", [Rate(5, 1.0)], algorithm, None)
    both.clear()
    both._ask("SET", f"{{ann}}{tried.kinds[0]}", kept)

    answer = both._ask("EVAL", tried.script.source, 1, f"{{ann}}{tried.kinds[0]}", 1, *map(str, tried.arguments))

    assert answer[:3] == [0, 0, 4]


def test_a_state_in_the_store_has_a_bound(both: Both) -> None:
    tried = plan("", "limit", [Rate(10_000, 10.0)], "sliding-window", None)
    both.clear()
    for _ in range(500):
        both.elapse(0.06)
        run(both.run, tried, "ann", 1)

    assert both._ask("STRLEN", f"{{ann}}{SlidingWindow.of(Rate(1, 10.0)).kind}") < 1300
