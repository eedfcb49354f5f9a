"""Stored responses as bytes: what comes back is what went in, or a reason; never something else."""

from collections.abc import Callable
from typing import Any
from zlib import crc32

import pytest
from attrs import asdict
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.rules import Stored, dump, load
from spork_cache.rules.codec import _MAGIC

from spork_core.api import Headers

Stores = Callable[..., Stored]
KEY = "http://a.example/"
VALUES = st.text(st.characters(min_codepoint=0x20, exclude_characters="\x7f", exclude_categories=["Cs"]), max_size=20)
FIELDS = st.lists(st.tuples(st.sampled_from(["X-A", "x-b", "Vary", "Cache-Tag", "ETag"]), VALUES), max_size=5)


def value_of(stored: Stored) -> dict[str, Any]:
    return {**asdict(stored, recurse=False), "headers": list(stored.headers.items())}


@given(FIELDS, st.binary(max_size=100), st.text(max_size=20))
def test_a_round_trip(store: Any, fields: list[tuple[str, str]], body: bytes, key: str) -> None:
    kept = store([("Cache-Control", "max-age=60, stale-if-error=5"), *fields], request={"X-Q": "1"})
    if isinstance(kept, Stored):
        back = load(dump(kept, key, body), key)
        assert not isinstance(back, str), back
        assert (value_of(back[0]), back[1]) == (value_of(kept), body)


def test_bytes_that_are_not_utf_8_survive(stored: Stores) -> None:
    back = load(dump(stored("max-age=60", {"X-A": "\udcff\xe9"}), KEY, b""), KEY)
    assert not isinstance(back, str)
    assert back[0].headers["X-A"] == "\udcff\xe9"


def test_every_cut_is_noticed(stored: Stores) -> None:
    data = dump(stored(), KEY, b"body")
    assert {load(data[:end], KEY) for end in range(len(data))} == {"store-truncated"}
    assert load(data + b"x", KEY) == "store-corrupt"


@given(st.data())
def test_every_flipped_bit_is_noticed(stored: Stores, data: st.DataObject) -> None:
    value = bytearray(dump(stored(), KEY, b"body"))
    value[data.draw(st.integers(0, len(value) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert isinstance(load(bytes(value), KEY), str)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(_MAGIC.__add__))
def test_foreign_bytes_are_a_reason(data: bytes) -> None:
    assert isinstance(load(data, KEY), str)


def test_another_key_is_foreign(stored: Stores) -> None:
    assert load(dump(stored(), KEY, b""), KEY + "x") == "store-foreign"


@pytest.mark.parametrize("version", [1, 3])
def test_an_older_and_a_newer_version_are_a_miss(version: int, stored: Stores) -> None:
    data = dump(stored(), KEY, b"")
    assert load(data[:3] + bytes((version,)) + data[4:], KEY) == "store-version"


def test_a_value_may_stand_behind_something_else(stored: Stores) -> None:
    data = b"E1 2\n" + dump(stored(), KEY, b"body")
    back = load(data, KEY, 5)
    assert not isinstance(back, str)
    assert back[1] == b"body"
    assert load(data[:-1], KEY, 5) == "store-truncated"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("status", 99),
        ("status", 600),
        ("reason", "OK\r"),
        ("reason", "one line\nmore"),
        ("headers", Headers({"X-A": "a\r\nSet-Cookie: b"})),
        ("headers", Headers({"X-A": "\xe9\x00"})),
        ("headers", Headers({"X A": "a"})),
        ("born", float("nan")),
        ("born", float("inf")),
        ("last_modified", float("-inf")),
        ("vary", ("a b",)),
    ],
)
def test_a_well_framed_lie_is_corrupt(name: str, value: object, stored: Stores) -> None:
    kept = stored()
    setattr(kept, name, value)
    assert load(dump(kept, KEY, b""), KEY) == "store-corrupt"


@given(st.data())
def test_a_head_with_a_check_value_that_is_right_never_raises(stored: Stores, data: st.DataObject) -> None:
    value = bytearray(dump(stored(), KEY, b"body"))
    head = int.from_bytes(value[8:12], "big")
    for _ in range(data.draw(st.integers(1, 4))):
        value[data.draw(st.integers(20, 19 + head))] = data.draw(st.integers(0, 255))
    value[4:8] = crc32(value[8:]).to_bytes(4, "big")
    back = load(bytes(value), KEY)
    assert back in ("store-corrupt", "store-foreign") or not isinstance(back, str)
