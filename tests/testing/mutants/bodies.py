"""Mutants of the laws about bodies."""

from typing import Final

from tests.testing.mutants.frame import Mutant

_API: Final = "from spork_core.api import Exchange, Forbidden, GatewayView, Plugin, Seconds, Secret, hookimpl, setting"
_REFUSES: Final = 'raise Forbidden("That is not how to greet a gateway.")'
_WAITS: Final = "await asyncio.sleep(0)"


def _imports(*names: str) -> dict[str, str]:
    """The change that lets a mutant use more of the kernel's door."""
    return {_API: f"{_API}\nfrom spork_core.api import {', '.join(names)}"}


MUTANTS: Final = (
    Mutant(
        "reads a body that it should leave alone",
        breaks="uses_bodies_as_declared",
        methods="""
            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:  # here
                async for _ in exchange.request.body:
                    break
        """,
    ),
    Mutant(
        "reads a body and does not put it back",
        breaks="uses_bodies_as_declared",
        methods="""
            request_body = "read"

            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:
                await exchange.request.body.read(1_000_000)
        """,
    ),
    Mutant(
        "takes a chunk for the whole",
        breaks="pace_changes_nothing",
        replace=_imports("IteratorBody"),
        methods="""
            request_body = "change"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                exchange.request.body = IteratorBody(self._without(exchange.request.body), inner=exchange.request.body)

            async def _without(self, body: Any) -> Any:
                async for chunk in body:
                    yield chunk.replace(b"musical", b"silent")
        """,
    ),
    Mutant(
        "holds all of a body",
        breaks="holds_little_of_a_body",
        replace=_imports("BytesBody"),
        methods="""
            request_body = "read"

            @hookimpl
            async def authorize(self, exchange: Exchange) -> None:  # here
                whole = b"".join([chunk async for chunk in exchange.request.body])
                exchange.request.body = BytesBody(whole)
        """,
    ),
    Mutant(
        "holds all of an answer",
        breaks="holds_little_of_a_body",
        replace=_imports("BytesBody"),
        methods="""
            response_body = "read"

            @hookimpl
            async def on_response(self, exchange: Exchange) -> None:  # here
                response = exchange.response
                assert response is not None
                response.body = BytesBody(b"".join([chunk async for chunk in response.body]))
        """,
    ),
    Mutant(
        "right: changes bodies as they stream",
        breaks=None,
        replace=_imports("IteratorBody"),
        methods="""
            request_body = "change"
            response_body = "change"

            @hookimpl
            def authorize(self, exchange: Exchange) -> None:
                exchange.request.body = IteratorBody(self._louder(exchange.request.body), inner=exchange.request.body)

            @hookimpl
            def on_response(self, exchange: Exchange) -> None:
                response = exchange.response
                assert response is not None
                response.body = IteratorBody(self._louder(response.body), inner=response.body)

            async def _louder(self, body: Any) -> Any:
                async for chunk in body:
                    yield chunk.upper()
        """,
    ),
)
