"""Blocking calls are refused while a block runs, also inside another one, and nothing of that stays."""

import io
import time

import pytest
from blockbuster import BlockingError

from spork_core.testing.unblocked import unblocked

TYPES = (io.BufferedReader, io.BufferedWriter, io.BufferedRandom, io.TextIOWrapper)


async def test_a_blocking_call_is_refused_inside_only() -> None:
    with unblocked("tests.testing.test_unblocked"), pytest.raises(BlockingError, match=r"time\.sleep"):
        time.sleep(0)  # noqa: ASYNC251  what is refused

    time.sleep(0)  # noqa: ASYNC251  and now is not


def test_nothing_is_left_in_built_in_types() -> None:
    with unblocked("tests"), unblocked("spork_core"):
        pass

    assert [name for cls in TYPES for name in vars(cls) if name.startswith("_c_")] == []
