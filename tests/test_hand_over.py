"""State across a reload: kept where the config is the same, handed over where the plugin exports it, else dropped."""

from typing import Any

import attrs
import pytest

from spork_core.api import Exchange, Plugin, hookimpl, setting
from spork_core.errors import ConfigError
from spork_core.testing import Harness, gateway


@attrs.frozen
class CountConfig:
    """A word, so that configs can differ."""

    word: str = setting("The word.", default="")


class Forgets(Plugin[CountConfig]):
    """Counts exchanges."""

    Config = CountConfig

    def __init__(self, config: CountConfig, name: str) -> None:
        super().__init__(config, name)
        self.count = 0

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        self.count += 1
        exchange.response.headers["X-Count"] = str(self.count)


class Remembers(Forgets):
    """Hands its count over."""

    def export_state(self) -> int:
        return self.count

    def import_state(self, state: int) -> None:
        self.count = state


class Chokes(Remembers):
    """Cannot take what it exported."""

    def import_state(self, state: int) -> None:
        raise ValueError("of another version")


async def counted(gw: Harness) -> str | None:
    return (await gw.get("/")).headers.get("X-Count")


@pytest.mark.parametrize(
    ("cls", "word", "count"),
    [(Forgets, "same", "2"), (Forgets, "other", "1"), (Remembers, "same", "2"), (Remembers, "other", "2")],
)
async def test_what_becomes_of_state(cls: type[Plugin[Any]], word: str, count: str) -> None:
    async with gateway(plugins={"count": (cls, {"word": "same"})}) as gw:
        assert await counted(gw) == "1"

        await gw.reload(plugins={"count": (cls, {"word": word})})

        assert await counted(gw) == count


async def test_another_plugin_of_the_same_name_gets_nothing() -> None:
    async with gateway(plugins={"count": (Remembers, {"word": "same"})}) as gw:
        assert await counted(gw) == "1"

        await gw.reload(plugins={"count": (Forgets, {"word": "other"})})

        assert await counted(gw) == "1"


async def test_state_that_cannot_be_taken_over_keeps_the_old_config_serving() -> None:
    async with gateway(plugins={"count": (Chokes, {"word": "same"})}) as gw:
        assert await counted(gw) == "1"

        with pytest.raises(ConfigError, match="could not be taken over: ValueError: of another version"):
            await gw.reload(plugins={"count": (Chokes, {"word": "other"})})

        assert await counted(gw) == "2"
