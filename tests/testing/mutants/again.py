"""Mutants that start once, or leave the process other than it was."""

from typing import Final

from tests.testing.mutants.frame import Mutant

_STARTED: Final = "self._started = gateway.clock.time()"
_SEEN: Final = "self._seen = 0\n"
_LEFT: Final = "shutdown_leaves_nothing"


def _starting(line: str) -> dict[str, str]:
    return {_STARTED: f"{_STARTED}\n        {line}"}


MUTANTS: Final = (
    Mutant(
        "a dependency that is not there",
        breaks="starts_each_time",
        replace=_starting('await asyncio.open_connection("127.0.0.1", 1)'),
    ),
    Mutant(
        "a name registered for good",
        breaks="starts_each_time",
        module="from email import charset",
        methods="""
            @hookimpl
            async def startup(self, gateway: GatewayView) -> None:
                if "spork-good" in charset.ALIASES:
                    raise ValueError("it is registered already")
                charset.add_alias("spork-good", "utf-8")
        """,
    ),
    Mutant(
        "a task begun by the first request, which nobody stops",
        breaks=_LEFT,
        replace={_SEEN: f"{_SEEN}        self._task: Any = None\n"},
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                if self._task is None:
                    self._task = asyncio.create_task(self._work())

            async def _work(self) -> None:
                await asyncio.get_running_loop().create_future()
        """,
    ),
    Mutant(
        "a timer that sets itself",
        breaks=_LEFT,
        replace=_starting("self._tick()"),
        methods="""
            def _tick(self) -> None:
                asyncio.get_running_loop().call_later(60, self._tick)
        """,
    ),
    Mutant(
        "a variable of the process",
        breaks=_LEFT,
        module="import os",
        replace=_starting('os.environ["SPORK_GOOD"] = "1"'),
    ),
    Mutant(
        "a handler of the root logger",
        breaks=_LEFT,
        module="import logging",
        replace=_starting("logging.getLogger().addHandler(logging.NullHandler())"),
    ),
    Mutant(
        "a lock for all event loops",
        breaks="two_instances_share_nothing",
        module="LOCK = asyncio.Lock()",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                async with LOCK:
                    pass
        """,
    ),
    Mutant(
        "a secret in the error of a startup",
        breaks="keeps_its_secrets",
        methods="""
            @hookimpl
            async def startup(self, gateway: GatewayView) -> None:
                if len(self.config.key.reveal()) > 8:
                    raise ValueError(f"{self.config.key.reveal()} is too long")
        """,
    ),
    Mutant(
        "a secret in the reason of a refusal",
        breaks="keeps_its_secrets",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                if "X-Api-Key" in exchange.request.headers:
                    raise Forbidden("No.", reason=f"the key is {self.config.key.reveal()}")
        """,
    ),
    Mutant(
        "a secret encoded behind a name",
        breaks="keeps_its_secrets",
        module="from base64 import b64encode",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = b64encode(b"ann:" + self.config.key.reveal().encode()).decode()
        """,
    ),
    Mutant(
        "cookies of the service that are lost",
        breaks="leaves_headers_clean",
        methods="""
            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                exchange.response.headers["Set-Cookie"] = "good=yes"
        """,
    ),
    Mutant(
        "a signature for each attempt",
        breaks="leaves_headers_clean",
        methods="""
            @hookimpl
            def before_attempt(self, exchange: Exchange) -> None:  # here
                exchange.request.headers.add("X-Signature", "good")
        """,
    ),
    Mutant(
        "a body that is read for one method only",
        breaks="uses_bodies_as_declared",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:  # here
                if exchange.request.method == "PUT":
                    async for _ in exchange.request.body:
                        break
        """,
    ),
    Mutant(
        "a body that is held when its length is known",
        breaks="holds_little_of_a_body",
        replace={
            "Secret, hookimpl, setting": "Secret, hookimpl, setting\nfrom spork_core.api import BytesBody",
        },
        methods="""
            request_body = "read"

            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:  # here
                body = exchange.request.body
                if body.length is not None:
                    exchange.request.body = BytesBody(b"".join([chunk async for chunk in body]))
        """,
    ),
    Mutant(
        "a name looked up on the loop",
        breaks="never_blocks_the_loop",
        module="import socket",
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                socket.getaddrinfo("127.0.0.1", 80)  # here
        """,
    ),
    Mutant(
        "the machine's clock when the service fails",
        breaks="takes_time_from_the_clock",
        module="import time",
        methods="""
            @hookimpl
            def on_error(self, exchange: Exchange) -> None:
                self._seen += time.time() < 0  # here
        """,
    ),
)
