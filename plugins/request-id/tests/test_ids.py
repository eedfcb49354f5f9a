"""The makers of ids: shape, uniqueness, order."""

from collections.abc import Callable, Iterator
from itertools import islice
from time import time
from uuid import RFC_4122, UUID

import pytest
from hypothesis import given
from hypothesis.strategies import floats, sampled_from
from spork_request_id import USABLE
from spork_request_id.ids import FORMATS

from spork_core.api import Chance, Clock

formats = pytest.mark.parametrize("name", FORMATS)


def ids(name: str, now: Callable[[], float] = time) -> Iterator[str]:
    return FORMATS[name](Chance(), Clock(now))


@formats
def test_ids_are_unique_across_blocks(name: str) -> None:
    assert len(set(islice(ids(name), 1000))) == 1000


@formats
def test_makers_are_unique_among_themselves(name: str) -> None:
    assert next(ids(name)) != next(ids(name))


@given(sampled_from(sorted(FORMATS)))
def test_our_own_ids_would_be_taken_over_by_the_next_gateway(name: str) -> None:
    assert all(USABLE.fullmatch(made) for made in islice(ids(name), 20))


@pytest.mark.parametrize("version", [4, 7])
def test_uuids_are_what_rfc_9562_says(version: int) -> None:
    for text in islice(ids(f"uuid{version}"), 300):
        uuid = UUID(text)

        assert (str(uuid), uuid.version, uuid.variant) == (text, version, RFC_4122)


@given(floats(min_value=0, max_value=4e9))
def test_uuid7_begins_with_the_time(now: float) -> None:
    made = UUID(next(ids("uuid7", lambda: now)))

    assert made.int >> 80 == int(now * 1000)


def test_uuid7_sorts_by_time() -> None:
    ticks = iter(range(1, 1000))

    made = list(islice(ids("uuid7", lambda: next(ticks) / 1000), 50))

    assert made == sorted(made)


def test_the_counter_counts() -> None:
    assert [text.partition("-")[2] for text in islice(ids("counter"), 3)] == ["1", "2", "3"]
