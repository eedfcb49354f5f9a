"""What others tell: counters that never go back, and several processes as one."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_metrics.cells import Owner
from spork_metrics.told import Rising, Told, Voice, copied, read, together, with_lost, write

from spork_core.api import Metric

OWNER = Owner(1, 2)


def counter(value: float, label: str = "x") -> Told:
    return Told("spork_c", "counter", "C.", ("l",), "sum", {(label,): value})


def gauge(value: float, across: str) -> Told:
    return Told("spork_g", "gauge", "G.", (), across, {(): value})


@given(st.lists(st.integers(0, 100), min_size=1))
def test_a_counter_never_goes_back_and_counts_all_lives(values: list[int]) -> None:
    rising = Rising(100)

    shown = [rising.raised([counter(value)])[0].samples["x",] for value in values]

    assert shown == sorted(shown)
    falls = [one for one, next_ in pairwise(values) if next_ < one]
    assert shown[-1] == sum(falls) + values[-1]


def test_a_counter_that_was_away_goes_on() -> None:
    rising = Rising(100)
    rising.raised([counter(5)])
    rising.raised([])

    assert rising.raised([counter(2)])[0].samples == {("x",): 7}


def test_the_next_life_goes_on_and_the_same_life_counts_once(tmp_path: Path) -> None:
    rising = Rising(100)
    told = rising.raised([counter(5), gauge(3, "sum")])
    write(tmp_path / "told", tmp_path / "tmp", Voice(OWNER, told, rising.before, rising.last))

    voice = read(tmp_path / "told")
    assert voice is not None
    next_life, same_life = Rising(100), Rising(100)
    next_life.go_on(voice, same_life=False)
    same_life.go_on(voice, same_life=True)

    assert (voice.owner, [one.samples for one in voice.metrics]) == (OWNER, [{("x",): 5}, {(): 3}])
    assert next_life.raised([counter(2)])[0].samples == {("x",): 7}
    assert same_life.raised([counter(6)])[0].samples == {("x",): 6}


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    for text in ("", "[]", "[1, 2]\n{", "null\n", "[1, 2]\n[[], 1, 2, 3]"):
        (tmp_path / "told").write_text(text)
        assert read(tmp_path / "told") is None or text == "[1, 2]\n[[], 1, 2, 3]"
    assert read(tmp_path / "none") is None


def test_gauges_become_one_as_they_say_and_go_with_their_process() -> None:
    for across, wanted in (("sum", 5), ("max", 3), ("min", 2), ("odd", 3)):
        (found,) = together([((gauge(2, across),), True), ((gauge(3, across),), True), ((gauge(9, across),), False)])
        assert found.samples == {(): wanted}
    (found,) = together([((counter(2),), True), ((counter(3), gauge(1, "sum")), False)])
    assert found.samples == {("x",): 5}


def test_what_is_told_has_a_bound() -> None:
    rising = Rising(3)
    many = Told("spork_c", "counter", "C.", ("l",), "sum", {(str(at),): at for at in range(5)})

    assert len(rising.raised([many, gauge(1, "sum")])[0].samples) == 3
    assert rising.dropped == 3


def test_last_words_have_the_counters_of_those_that_went_before() -> None:
    now, then = (gauge(1, "sum"),), (counter(4), gauge(2, "sum"))

    assert {one.name: one.samples for one in with_lost(now, then)} == {"spork_g": {(): 1}, "spork_c": {("x",): 4}}


def test_label_values_are_made_such_that_a_page_can_say_them() -> None:
    metric = Metric("odd", "gauge", "O.", ("a",), {("ok" * 200,): 2, ("\udcff",): 3, ("é\n",): 4})

    assert copied(metric).samples == {("other",): 2, ("?",): 3, ("é\n",): 4}


@pytest.mark.parametrize(
    ("labels", "samples"),
    [
        (("a",), {("1", "2"): 1}),
        (("a",), {("1",): None}),
        (("a",), {("1",): "one"}),
        (("a",), {(1,): 1}),
        (("a", "a"), {("1", "2"): 1}),
        (("le",), {("1",): 1}),
        (("a-b",), {}),
        (("__name__",), {}),
    ],
)
def test_what_is_no_metric_is_refused(labels: tuple[str, ...], samples: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        copied(Metric("odd", "gauge", "O.", labels, samples))
