"""An answer that is sent many times."""

from spork_core.api import BytesBody, Exchange, Headers, Plugin, Prepared, Response, hookimpl
from spork_core.testing import gateway

READY = Prepared(200, "OK", Headers({"X-A": "1", "Connection": "close", "Content-Length": "9"}), BytesBody(b"ready"))
BAD = Prepared(200, "OK", Headers({"X-A": "a\r\nX-B: b"}), BytesBody(b"bad"))


class Ready(Plugin):
    """Answers with what is ready; ``?add`` has a hook change it."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        return (BAD if exchange.request.path == "/bad" else READY).response()

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        if exchange.request.query == "add" and exchange.response is not None:
            exchange.response.headers["X-Added"] = "1"


async def test_it_is_sent_as_often_as_one_likes_without_what_the_kernel_writes_itself() -> None:
    async with gateway(plugins={"ready": Ready}) as gw:
        for _ in range(2):
            answer = (await gw.get("/")).must_be(200).must_say("ready").must_have("X-A", "1")
            answer.must_have("Content-Length", "5").must_not_have("Connection").must_not_have("Via")


async def test_what_a_hook_changes_is_sent_and_stays_with_that_one() -> None:
    async with gateway(plugins={"ready": Ready}) as gw:
        (await gw.get("/?add")).must_have("X-Added", "1")
        (await gw.get("/")).must_not_have("X-Added")


async def test_a_field_that_is_none_is_not_sent() -> None:
    async with gateway(plugins={"ready": Ready}, failures_expected=True) as gw:
        (await gw.get("/bad")).must_be(500).must_not_have("X-B")


class Changes(Plugin):
    """Changes of the answer what the query names."""

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        response = exchange.response
        assert response is not None
        match exchange.request.query:
            case "status":
                response.status, response.reason = 203, "Changed"
            case "body":
                response.body = BytesBody(b"another body")


async def test_what_a_hook_changes_but_for_the_fields_is_sent_too() -> None:
    async with gateway(plugins={"changes": Changes, "ready": Ready}) as gw:
        (await gw.get("/?status")).must_be(203).must_say("ready")
        (await gw.get("/?body")).must_be(200).must_say("another body").must_have("Content-Length", "12")
        (await gw.get("/")).must_be(200).must_say("ready").must_have("Content-Length", "5")


async def test_head_gets_the_head_alone() -> None:
    async with gateway(plugins={"ready": Ready}) as gw:
        answer = await gw.head("/")
        assert (answer.status, answer.text) == (200, "")
