"""Fingerprints: equal for equal states, and every change has a path."""

import asyncio
import functools
import itertools
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.config import Secret
from spork_core.testing.fingerprint import changes, fingerprint

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.sets(st.integers()),
    max_leaves=20,
)


class Thing:
    __slots__ = ("__hidden", "__weakref__", "shown")

    def __init__(self, hidden: Any) -> None:
        self.__hidden = hidden


@given(VALUES)
def test_a_copy_is_the_same(value: Any) -> None:
    assert changes(fingerprint(value), fingerprint(deepcopy(value))) == []


@given(st.lists(VALUES, min_size=1), st.data())
def test_what_is_taken_away_is_noticed(value: list[Any], data: st.DataObject) -> None:
    before = fingerprint(value)
    del value[data.draw(st.integers(0, len(value) - 1))]

    assert changes(before, fingerprint(value))


@pytest.mark.parametrize(
    ("value", "change", "path"),
    [
        ({"a": [1, 2]}, lambda value: value["a"].append(3), "['a']"),
        ({"a": {"b": 1}}, lambda value: value["a"].update(b=True), "['a']['b']"),
        ([deque([1])], lambda value: value[0].appendleft(0), "[0]"),
        ({1}, lambda value: value.add(2), ""),
        (bytearray(b"a"), lambda value: value.extend(b"b"), ""),
        ([itertools.count()], lambda value: next(value[0]), "[0].next"),
        ([(n for n in range(3))], lambda value: next(value[0]), "[0].locals[0]"),
        ([functools.partial(print, [])], lambda value: value[0].args[0].append(1), "[0].args[0][0]"),
        (Thing([]), lambda value: value._Thing__hidden.append(1), "._Thing__hidden"),
        (asyncio.Semaphore(2), lambda value: setattr(value, "_value", 1), "._value"),
        ([[].append], lambda value: value[0](1), "[0].__self__"),
    ],
)
def test_the_path_of_a_change(value: Any, change: Any, path: str) -> None:
    before = fingerprint(value)

    change(value)

    assert changes(before, fingerprint(value))[0] == path


def test_what_contains_itself_ends() -> None:
    value: list[Any] = []
    value.append(value)

    assert fingerprint(value, "self")["self[0]"] == ("as", "self")


def test_no_fingerprint_holds_a_secret() -> None:
    assert "sesame" not in repr(fingerprint({"key": Secret("sesame")}))


def test_a_thread_is_one_value() -> None:
    assert len(fingerprint(threading.Thread(target=print))) == 1


class Shared(Mapping[str, int]):
    """A mapping that several threads change, and that therefore cannot be iterated, as urllib3 has them."""

    def __init__(self) -> None:
        self.held = {"a": 1}

    def __getitem__(self, key: str) -> int:
        return self.held[key]

    def __iter__(self) -> Iterator[str]:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.held)


def test_a_mapping_that_cannot_be_iterated_is_what_its_attributes_hold() -> None:
    assert fingerprint(Shared())[".held['a']"] == ("int", 1)
