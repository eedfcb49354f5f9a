"""``gateway.repeat``: the upstream of an exchange is asked once more, beside it; and answers that outlive exchanges."""

from typing import Any

from spork_core.api import Exchange, GatewayView, Headers, NotFound, Plugin, Request, Response, hookimpl
from spork_core.testing import gateway, holds, scripts

ROUTES = {
    "all": {
        "match": {"path": "/api/{what}"},
        "service": "up",
        "rewrite": {"path": "/v2/{what}", "set_headers": {"X-Set": "1"}},
    }
}


class Again(Plugin):
    """Asks the upstream a second time for each answer, and keeps what became of it."""

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, name)
        self.view: GatewayView
        self.answers: list[Response] = []
        self.ended: list[Exchange] = []

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        self.view = gateway

    @hookimpl
    async def on_response(self, exchange: Exchange) -> None:
        request = Request("GET", exchange.request.path, headers=Headers({"X-Again": "1", "Host": "a.test"}))
        try:
            self.answers.append(await self.view.repeat(exchange, request))
        except NotFound:
            pass

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        self.ended.append(exchange)


def again(gw: Any) -> Again:
    plugin: Again = gw.gateway.snapshot.instances["again"].plugin
    return plugin


async def test_it_takes_the_routes_rewrite_and_tells_of_the_client() -> None:
    async with gateway(plugins={"again": Again}, routes=ROUTES) as gw:
        (await gw.get("/api/x", headers={"Host": "a.test"})).must_be(200)
        first, second = gw.upstream.got
        for each in (first, second):
            each.must_ask("GET", "/v2/x").must_have("X-Set", "1").must_have("X-Forwarded-Host", "a.test")
            each.must_have("X-Forwarded-For", "127.0.0.1").must_have("X-Forwarded-Proto", "http")
        second.must_have("X-Again", "1")


async def test_it_begins_at_select_upstream_and_ends_with_on_complete() -> None:
    async with gateway(plugins={"again": Again}, routes=ROUTES) as gw:
        await gw.get("/api/x")
        plugin = again(gw)
        await holds(lambda: len(plugin.ended) == 2, "both to end")
        assert len({exchange.id for exchange in plugin.ended}) == 2
        assert len(plugin.answers) == 1  # no on_response of its own, or it would go on for ever


async def test_its_body_ends_it() -> None:
    async with gateway(plugins={"again": Again}, routes=ROUTES, upstream=scripts.trailers("content")) as gw:
        await gw.get("/api/x")
        plugin = again(gw)
        assert len(plugin.ended) == 1
        (answer,) = plugin.answers
        assert await answer.body.read(100) == b"content"
        assert len(plugin.ended) == 2


async def test_where_no_service_was_asked_there_is_none_to_ask_again() -> None:
    async with gateway(plugins={"again": Again}, routes=ROUTES) as gw:
        (await gw.get("/none")).must_be(404)
        assert again(gw).answers == []
