"""Values that try settings, and how they are written."""

import math
from typing import Any

from attrs import frozen
from hypothesis import given
from hypothesis import strategies as st

from spork_core.api import Secret, setting
from spork_core.config.source import parse
from spork_core.testing.badvalues import HOSTILE, hostile_values
from spork_core.testing.settings import put, settings_of
from spork_core.testing.written import as_yaml

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=10,
)


@frozen
class Inner:
    size: int = setting("How large.", default=1)


@frozen
class Outer:
    inners: tuple[Inner, ...] = setting("All.", default=())
    keys: dict[str, Secret] = setting("By name.", factory=dict)
    inner: Inner | None = setting("One.", default=None)


def load(text: str) -> Any:
    return parse(f"value: {text}").resolve(lambda item: item)["value"]


@given(VALUES)
def test_a_config_says_what_was_meant(value: Any) -> None:
    assert load(as_yaml(value)) == value


def test_what_json_does_not_know_is_said_too() -> None:
    assert math.isnan(load(as_yaml(math.nan)))
    assert load(as_yaml([math.inf, -math.inf])) == [math.inf, -math.inf]


def test_hostile_values_reach_the_inside_of_lists_and_mappings() -> None:
    values = list(hostile_values(dict[str, tuple[str, ...]]))

    assert {"x": [""]} in values
    assert {"\n": "x"} in values
    assert all(any(value is each for each in values) for value in HOSTILE)


def test_settings_inside_settings_have_paths() -> None:
    assert [(each.name, each.path) for each in settings_of(Outer)] == [
        ("inners", ("inners",)),
        ("inners.size", ("inners", 0, "size")),
        ("keys", ("keys",)),
        ("inner", ("inner",)),
        ("inner.size", ("inner", "size")),
    ]


def test_a_value_is_put_where_its_path_says() -> None:
    assert put({"inners": [{"size": 1}, {}]}, ("inners", 0, "size"), 7) == {"inners": [{"size": 7}, {}]}
    assert put({}, ("inners", 0, "size"), 7) == {"inners": [{"size": 7}]}
    assert put({"keys": {"anna": "a"}}, ("keys", "*"), 7) == {"keys": {"anna": 7}}
