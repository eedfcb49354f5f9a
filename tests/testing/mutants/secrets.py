"""Mutants that give secrets away."""

from typing import Final

from tests.testing.mutants.frame import Mutant, rows

KEEPS: Final = "keeps_its_secrets"
DECLARES: Final = "declares_its_secrets"

MUTANTS: Final = (
    Mutant(
        "a password that is text",
        DECLARES,
        settings='password: str = setting("Proves who it is.", default="")  # here',
        readme=rows("password"),
    ),
    Mutant(
        "a cookie's name that sounds like a secret",
        None,
        settings="""
            token: str = setting("The cookie that holds it.", default="t", metadata={"secret": False})
            token_wait: Seconds = setting("How long a token counts.", default=1.0)
        """,
        readme={"| `key` |": "| `token` | text | `t` | more |\n| `token_wait` | duration | `1s` | more |\n| `key` |"},
    ),
    Mutant(
        "a secret in the log",
        KEEPS,
        methods="""
            @hookimpl
            async def startup(self, gateway: GatewayView) -> None:
                self._started = gateway.clock.time()
                gateway.log.debug("the key is %s", self.config.key.reveal())  # here
        """,
    ),
    Mutant(
        "a secret in the repr of what it keeps",
        KEEPS,
        module="""
            @frozen
            class Signer:  # here
                key: bytes
        """,
        methods="""
            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                self._signers = {"first": Signer(config.key.reveal().encode())}
        """,
    ),
    Mutant(
        "one of many secrets in the log",
        KEEPS,
        settings='callers: dict[str, Secret] = setting("Their keys.", factory=dict)',
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._seen += 1
                logging.getLogger(__name__).info("%s", [key.reveal() for key in self.config.callers.values()])  # here
        """,
        module="import logging",
        config={"callers": {"anna": "open sesame"}},
        readme=rows("callers"),
    ),
    Mutant(
        "a secret in describe",
        KEEPS,
        methods="""
            @hookimpl
            def describe(self, gateway: GatewayView) -> dict[str, Any]:
                return {"seen": self._seen, "key": self.config.key.reveal()}
        """,
    ),
    Mutant(
        "a secret in an answer",
        KEEPS,
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = self.config.key.reveal() or "yes"
        """,
    ),
    Mutant(
        "a signature made with the secret",
        None,
        module="import hashlib",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = hashlib.sha256(self._key).hexdigest()

            def __init__(self, config: GoodConfig, name: str) -> None:
                super().__init__(config, name)
                self._turns = asyncio.Semaphore(8)
                self._seen = 0
                self._started = 0.0
                self._key = config.key.reveal().encode()
        """,
    ),
)
