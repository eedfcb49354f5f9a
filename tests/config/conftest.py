"""Plugins as a config sees them, and short ways to load a text or to get its faults."""

from collections.abc import Callable
from enum import Enum
from typing import Literal

import attrs
import pytest

from spork_core.config import GatewayConfig, loads
from spork_core.config.fields import Secret, at_least, setting
from spork_core.errors import ConfigError, SporkError
from spork_core.units import Bytes, Rate, Seconds

Faults = Callable[..., list[str]]
Load = Callable[..., GatewayConfig]


class Level(Enum):
    LOW = "low"
    HIGH = "high"


@attrs.frozen
class Rule:
    name: str = setting("Its name.")
    wait: Seconds = setting("How long it waits.", default=1.0)


@attrs.frozen
class Limit:
    """Settings of a plugin that uses every notation."""

    limit: Rate = setting("How many.")
    by: Literal["identity", "address"] = setting("Whose.", default="address")
    size: Bytes | None = setting("How large.", default=None)
    burst: int = setting("How many at once.", default=1, validator=at_least(1))
    share: float = setting("Which part.", default=0.5)
    key: Secret | None = setting("A secret.", default=None)
    level: Level = setting("How hard.", default=Level.LOW)
    rules: tuple[Rule, ...] = setting("More of it.", default=())
    free: dict[str, object] = setting("Anything.", factory=dict)
    codes: dict[int, str] = setting("Text by status.", factory=dict)
    source: str | None = setting("Where from.", default=None, key="from")
    odd: int = setting("An odd number.", default=1)

    @odd.validator
    def _odd(self, _: object, value: int) -> None:
        if value % 2 == 0:
            raise ValueError(f"{value} is even")


@attrs.frozen
class Pair:
    low: int = setting("The lower.")
    high: int = setting("The higher.")

    def __attrs_post_init__(self) -> None:
        if self.low > self.high:
            raise ValueError("low is above high")


@attrs.frozen
class Greedy:
    timeout: int = setting("Taken.", default=1)


class Plugins:
    classes: dict[str, type | None] = {"rate-limit": Limit, "pair": Pair, "request-id": None, "greedy": Greedy}  # noqa: RUF012  a table

    def names(self) -> list[str]:
        return [*self.classes, "broken"]

    def config_class(self, name: str) -> type | None:
        if name == "broken":
            raise SporkError("it cannot be imported")
        return self.classes[name]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    return Plugins()


@pytest.fixture(scope="session")
def load(plugins: Plugins) -> Load:
    """Load a text in an environment given by keywords."""
    return lambda text, **environ: loads(text, plugins=plugins, environ=environ)


@pytest.fixture(scope="session")
def faults(load: Load) -> Faults:
    """The problems of a bad text, as an operator sees them."""

    def collect(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as refused:
            load(text, **environ)
        return [str(problem) for problem in refused.value.problems]

    return collect
