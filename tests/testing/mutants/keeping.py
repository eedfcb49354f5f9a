"""Mutants that change what is not theirs: the config, and what other instances see."""

from typing import Final

from tests.testing.mutants.frame import Mutant, rows

CONFIG: Final = "leaves_its_config_alone"
SHARES: Final = "two_instances_share_nothing"

MUTANTS: Final = (
    Mutant(
        "a hook that adds to the config",
        CONFIG,
        settings='extra: dict[str, str] = setting("Greetings by method.", factory=dict)',
        readme=rows("extra"),
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._seen += 1
                self.config.extra.setdefault("GET", "hello")  # here
        """,
    ),
    Mutant(
        "a startup that forces its way into the frozen config",
        CONFIG,
        methods="""
            @hookimpl
            async def startup(self, gateway: GatewayView) -> None:
                self._started = gateway.clock.time()
                object.__setattr__(self.config, "wait", 1.0)  # here
        """,
    ),
    Mutant(
        "a count in the class",
        SHARES,
        methods="""
            seen_by_all: ClassVar[dict[str, int]] = {}

            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self.seen_by_all["all"] = self.seen_by_all.get("all", 0) + 1  # here
        """,
    ),
    Mutant(
        "a count in the module",
        SHARES,
        module="SEEN: list[int] = [0]",
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                SEEN[0] += 1  # here
        """,
    ),
    Mutant(
        "a default argument that is a list",
        SHARES,
        methods="""
            def __init__(self, config: GoodConfig, name: str, seen: list[int] = [0]) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                self._all = seen

            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._all[0] += 1  # here
        """,
    ),
    Mutant(
        "a table in the module that nobody changes",
        None,
        module='TABLE: dict[str, str] = {"GET": "yes"}',
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = TABLE.get(exchange.request.method, "yes")
        """,
    ),
    Mutant(
        "a module imported on demand",
        None,
        module="decoder: Any = None",
        methods="""
            @hookimpl
            async def startup(self, gateway: GatewayView) -> None:
                global decoder
                import json

                decoder = json
                self._started = gateway.clock.time()
        """,
    ),
    Mutant(
        "a config that remembers what it has worked out",
        None,
        module="from functools import cached_property",
        settings="""
            @cached_property
            def loud(self) -> str:
                \"\"\"The greeting, loud.\"\"\"
                return self.greeting.upper()
        """,
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = "yes" if self.config.loud else "no"
        """,
    ),
)
