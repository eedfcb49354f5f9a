"""The kit is proven by mutants: each is caught by the law it breaks, and by no other."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

import pytest

from spork_core.testing.laws import LAWS
from tests.testing.mutants import MUTANTS
from tests.testing.mutants.frame import Mutant
from tests.testing.mutants.judging import verdicts

PATIENCE: Final = 50.0
"""Seconds for one mutant."""

Judge = Callable[[Mutant], dict[str, str]]


@pytest.fixture(scope="module")
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """What the broken laws say of a mutant; two processes are at work on those that were chosen."""
    chosen = [item.callspec.params["mutant"].name for item in request.session.items if _is_of_a_mutant(item)]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        judged: dict[str, Future[dict[str, str]]] = {name: pool.submit(verdicts, name) for name in chosen}
        yield lambda mutant: judged[mutant.name].result(PATIENCE)
        pool.shutdown(cancel_futures=True)


def _is_of_a_mutant(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item, "callspec") and "mutant" in item.callspec.params


@pytest.mark.parametrize("mutant", MUTANTS, ids=str)
def test_only_the_law_it_breaks_catches_it(mutant: Mutant, judge: Judge) -> None:
    found = judge(mutant)

    assert set(found) == ({mutant.breaks} if mutant.breaks else set()), found
    if mutant.breaks and mutant.place:
        assert mutant.place in found[mutant.breaks]


def test_every_law_has_a_mutant() -> None:
    assert {law.name for law in LAWS} - {mutant.breaks for mutant in MUTANTS} == set()


def test_names_of_mutants_are_unique() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS)
