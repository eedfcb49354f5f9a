"""With the same seed a gateway makes the same ids."""

from spork_core.api import Exchange, NoConfig, Plugin, hookimpl
from spork_core.testing import gateway


class Tells(Plugin[NoConfig]):
    """Tells the client the exchange's id."""

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Id"] = exchange.id


async def ids(seed: int) -> list[str | None]:
    async with gateway(plugins={"tells": Tells}, seed=seed) as gw:
        return [(await gw.get("/")).headers.get("X-Id") for _ in range(2)]


async def test_ids_are_those_of_the_seed() -> None:
    first, again, other = await ids(1), await ids(1), await ids(2)

    assert first == again
    assert len({*first, *other}) == 4
