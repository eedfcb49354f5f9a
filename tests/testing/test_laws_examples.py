"""The laws that run a plugin let the example plugins pass, each imported from its file as a reader would copy it."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spork_core.plugin import Plugin
from spork_core.registry import Registry
from spork_core.testing import Effort, Subject
from spork_core.testing.laws import (
    awaiting,
    beginning,
    blocking,
    bodies,
    cancelling,
    clocks,
    completing,
    dispatching,
    failing,
    headers,
    hostile,
    leaking,
    leaving,
    mixing,
    overhead,
    refusing,
    reloading,
    starting,
)

EXAMPLES = Path(__file__).parents[2] / "examples" / "plugins"
RUNNING = (
    *(beginning, awaiting, mixing, leaving, starting, completing, failing, refusing, bodies, headers, hostile),
    *(cancelling, clocks, blocking, reloading, dispatching, overhead, leaking),
)
LAWS = [law for module in RUNNING for law in module.LAWS]
SETTINGS: dict[str, dict[str, Any]] = {
    "first_static_token": {"tokens": {"ci": "s3cret"}},
    "gate_maintenance": {"allow": ["198.51.100.7"]},
    "map_response_time": {},
    "watch_slow_requests": {"over": "500ms"},
}


HEADERS = {"first_static_token": {"Authorization": "Bearer s3cret"}}


@pytest.fixture(params=sorted(SETTINGS))
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    """An example as the subject of the laws."""
    name = f"example_under_law_{request.param}"
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{request.param}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (cls,) = (item for item in vars(module).values() if isinstance(item, type) and Plugin in item.__bases__)
    headers = HEADERS.get(request.param, {})
    made = Subject("example", SETTINGS[request.param], effort=Effort(exchanges=600, examples=10), headers=headers)
    made.registry = Registry({"example": cls})
    yield made
    del sys.modules[name]


def test_every_example_is_tried() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(SETTINGS)


def test_an_example_keeps_the_laws(subject: Subject) -> None:
    for law in LAWS:
        if law.applies(subject):
            law.check(subject)
