"""A body that a plugin made goes wrong: the client learns that it was the gateway's fault, and nobody else's."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from spork_core.api import Body, Exchange, IteratorBody, NoConfig, Plugin, hookimpl
from spork_core.testing import gateway


async def fails(body: Body) -> AsyncIterator[bytes]:
    async for chunk in body:
        yield chunk
        raise ValueError("of the plugin's own making")


async def exits(body: Body) -> AsyncIterator[bytes]:
    async for _ in body:
        raise SystemExit(3)
        yield b""


async def passes(body: Body) -> AsyncIterator[bytes]:
    async for chunk in body:
        yield chunk


def wrapping(chunks: Any, **body: Any) -> type[Plugin[NoConfig]]:
    class Wraps(Plugin[NoConfig]):
        """Puts a body of its own in the request's place."""

        @hookimpl
        def on_request(self, exchange: Exchange) -> None:
            inner = exchange.request.body
            if exchange.request.method == "POST":
                exchange.request.body = IteratorBody(chunks(inner), inner=inner, **body)

    return Wraps


@pytest.mark.parametrize(
    ("chunks", "body"),
    [(fails, {}), (exits, {}), (passes, {"length": 2}), (passes, {"length": 200})],
    ids=["raises", "exits", "longer-than-said", "shorter-than-said"],
)
async def test_a_plugins_request_body_that_goes_wrong_is_the_gateways_fault(chunks: Any, body: dict[str, Any]) -> None:
    async with gateway(plugins={"wraps": wrapping(chunks, **body)}, failures_expected=True) as gw:
        (await gw.post("/", body=b"x" * 100)).must_be_problem("internal-error", 500)

        (await gw.get("/")).must_be(200)
