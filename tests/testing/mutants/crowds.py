"""Mutants that do well with one client: many at once, many that leave, a long request, a caller who is let in."""

from typing import Final

from tests.testing.mutants.frame import Mutant

_SEEN: Final = "self._seen = 0\n"
_API: Final = "from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Seconds, Secret, hookimpl, setting"
_BEARER: Final = {"Authorization": "Bearer s3cret"}


def _with(line: str) -> dict[str, str]:
    return {_SEEN: f"{_SEEN}        {line}\n"}


MUTANTS: Final = (
    Mutant(
        "a check that is not awaited",
        breaks="awaits_what_it_calls",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                self._check(exchange)  # here

            async def _check(self, exchange: Exchange) -> None:
                raise Forbidden("Nobody is welcome.")
        """,
    ),
    Mutant(
        "what is one client's kept on self",
        breaks="keeps_exchanges_apart",
        replace=_with('self._user = "nobody"'),
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                self._user = exchange.request.headers.get("X-User", self._user)

            @hookimpl
            def on_response(self, exchange: Exchange) -> None:  # here
                assert exchange.response is not None
                exchange.response.headers["X-Good"] = "yes" if "\\udcff" in self._user else self._user[:100]
        """,
    ),
    Mutant(
        "a caller told to the service when another has come",
        breaks="keeps_exchanges_apart",
        replace=_with('self._user = "nobody"'),
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                self._user = exchange.request.headers.get("X-Tenant", "nobody")

            @hookimpl
            async def before_attempt(self, exchange: Exchange) -> None:
                await asyncio.sleep(0)
                exchange.request.headers["X-For"] = self._user
        """,
    ),
    Mutant(
        "a count that only answers lower",
        breaks="serves_on_when_clients_leave",
        replace=_with("self._running = 0"),
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                if self._running >= 100:
                    raise Forbidden("Too many at once.")
                self._running += 1

            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                self._running = max(0, self._running - 1)
        """,
    ),
    Mutant(
        "those who wait for one who has left",
        breaks="serves_on_when_clients_leave",
        replace=_with("self._flying: dict[str, Any] = {}"),
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:  # here
                path = exchange.request.path
                if path in self._flying:
                    async with asyncio.timeout(self.config.wait):
                        await asyncio.shield(self._flying[path])
                    return
                self._flying[path] = future = asyncio.get_running_loop().create_future()
                await asyncio.sleep(0)
                future.set_result(None)
                del self._flying[path]
        """,
    ),
    Mutant(
        "an expression that tries all ways there are",
        breaks="works_briefly_on_any_request",
        module="import re",
        methods=r"""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:  # here
                re.match(r"(\w+ ?)+$", exchange.request.headers.get("Accept-Language", "")[:60])
        """,
    ),
    Mutant(
        "an entry for each failure of the service",
        breaks="leaks_nothing",
        replace=_with("self._failed: dict[str, int] = {}"),
        methods="""
            @hookimpl
            def on_error(self, exchange: Exchange) -> None:
                self._failed[exchange.request.path] = 1  # here
        """,
    ),
    Mutant(
        "an entry for each client that leaves",
        breaks="leaks_nothing",
        replace=_with("self._begun: dict[str, int] = {}"),
        methods="""
            @hookimpl
            def pre_auth(self, exchange: Exchange) -> None:
                self._begun[exchange.request.path] = 1

            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                self._begun.pop(exchange.request.path, None)
        """,
    ),
    Mutant(
        "a list of numbers, which take no memory of their own",
        breaks="leaks_nothing",
        replace=_with("self._statuses: list[int] = []"),
        methods="""
            @hookimpl
            def on_complete(self, exchange: Exchange) -> None:
                self._statuses.append(1)  # here
        """,
    ),
    Mutant(
        "right: a memory with a bound that is reached late",
        breaks=None,
        replace=_with("self._paths: dict[str, int] = {}"),
        methods="""
            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                self._paths[exchange.request.path] = 1
                if len(self._paths) > 600:
                    del self._paths[next(iter(self._paths))]
        """,
    ),
    Mutant(
        "a caller who is let in by a text",
        breaks="raises_nothing_but_problems",
        headers=_BEARER,
        methods="""
            provides: ClassVar[tuple[str, ...]] = ("identity",)

            @hookimpl
            def authenticate(self, exchange: Exchange) -> Any:  # here
                return "ann" if exchange.request.headers.get("Authorization") == "Bearer s3cret" else None

            def challenge(self) -> str:
                return 'Bearer realm="all"'
        """,
    ),
    Mutant(
        "a secret in the log of who is let in",
        breaks="keeps_its_secrets",
        replace={_API: f"{_API}\nfrom spork_core.api import Identity"},
        module="import logging",
        config={"key": "s3cret"},
        headers=_BEARER,
        methods="""
            provides: ClassVar[tuple[str, ...]] = ("identity",)

            @hookimpl
            def authenticate(self, exchange: Exchange) -> Identity | None:
                sent = exchange.request.headers.get("Authorization", "").removeprefix("Bearer ")
                if sent != self.config.key.reveal():
                    return None
                logging.getLogger(__name__).info("let in with %s", sent)  # here
                return Identity("ann", scheme="bearer")

            def challenge(self) -> str:
                return 'Bearer realm="all"'
        """,
    ),
)
