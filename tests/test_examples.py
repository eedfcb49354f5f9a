"""The example plugins do what they say: each is imported from its file, as a reader would copy it, and driven."""

import importlib.util
import logging
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import attrs
import pytest

from spork_core.api import (
    KINDS,
    Attempt,
    Exchange,
    Headers,
    Outcome,
    Plugin,
    Request,
    Response,
    Secret,
    Unauthenticated,
)

FILES = sorted((Path(__file__).parents[1] / "examples" / "plugins").glob("*.py"))


def module(name: str) -> ModuleType:
    path = next(path for path in FILES if path.stem == name)
    spec = importlib.util.spec_from_file_location(f"example_{name}", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def plugin_of(made: ModuleType) -> type[Plugin[Any]]:
    (found,) = (item for item in vars(made).values() if isinstance(item, type) and Plugin in item.__bases__)
    return found


def instance(name: str, **settings: Any) -> Any:
    cls = plugin_of(module(name))
    return cls(cls.Config(**settings), "example")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_example_is_short_and_typical_of_its_kind(path: Path) -> None:
    cls = plugin_of(module(path.stem))
    hooks = [name for name in KINDS if name in vars(cls)]

    assert len(path.read_text(encoding="utf-8").splitlines()) <= 40
    assert [KINDS[hook].kind.value for hook in hooks] == [path.stem.partition("_")[0]]
    assert attrs.has(cls.Config)


def test_maintenance_answers_everybody_else() -> None:
    gate = instance("gate_maintenance", allow=("192.0.2.7",))

    answer = gate.pre_auth(Exchange(Request(client="198.51.100.1")))

    assert (answer.status, answer.headers["Retry-After"]) == (503, "120")
    assert gate.pre_auth(Exchange(Request(client="192.0.2.7"))) is None


def authorized(credential: str) -> Exchange:
    return Exchange(Request(headers=Headers({"Authorization": credential})))


def test_a_static_token_says_who_is_calling() -> None:
    tokens = instance("first_static_token", tokens={"ci": Secret("s3cret")})

    assert tokens.authenticate(authorized("bearer s3cret")).subject == "ci"
    assert tokens.authenticate(authorized("Basic s3cret")) is None
    assert tokens.authenticate(Exchange(Request())) is None
    assert tokens.challenge().startswith("Bearer ")


@pytest.mark.parametrize("credential", ["Bearer wrong", "Bearer", "Bearer \udcff"])
def test_a_bad_token_stops_the_search(credential: str) -> None:
    with pytest.raises(Unauthenticated):
        instance("first_static_token", tokens={"ci": Secret("s3cret")}).authenticate(authorized(credential))


def test_response_time_adds_up() -> None:
    exchange, attempt = Exchange(Request()), Attempt(1, 0)
    exchange.response, attempt.took_ns = Response(), 12_345_678
    exchange.attempts.append(attempt)

    instance("map_response_time").on_response(exchange)

    assert exchange.response.headers["Server-Timing"].startswith("service;dur=12.3, gateway;dur=")


@pytest.mark.parametrize(("seconds", "warns"), [(0.9, False), (1.1, True)])
def test_slow_requests_are_reported(seconds: float, warns: bool, caplog: pytest.LogCaptureFixture) -> None:
    watch, exchange = instance("watch_slow_requests"), Exchange(Request())
    exchange.id, exchange.outcome = "id-1", Outcome(200, "upstream", True, 0, 0, int(seconds * 1e9))
    watch.startup(SimpleNamespace(log=logging.getLogger("spork")))

    watch.on_complete(exchange)

    assert ("no route took 1.100 s on 200, request id-1" in caplog.text) is warns
