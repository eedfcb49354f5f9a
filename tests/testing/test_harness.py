"""The harness: a gateway in one line, with plugins installed and given, routes, reloads, and its own strictness."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from spork_core.api import Exchange, Forbidden, GatewayView, Identity, Plugin, Response, hookimpl, setting
from spork_core.errors import ConfigError
from spork_core.testing import Client, NoAnswer, Wire, gateway, scripts, upstream
from spork_core.testing.wire import connect


class Forbids(Plugin[None]):
    """Refuses one path."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        if exchange.request.path == "/secret":
            raise Forbidden("Not for you.")


@attrs.frozen
class NameConfig:
    name: str = setting("Who is calling.", default="ann")


class Names(Plugin[NameConfig]):
    """Knows everybody."""

    Config = NameConfig
    provides = ("identity",)

    @hookimpl
    async def authenticate(self, exchange: Exchange) -> Identity:
        return Identity(self.config.name)

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Name"] = self.config.name

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None:
        pass


class Crashes(Plugin[None]):
    """Fails."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        raise ValueError("broken")


# -- one line -----------------------------------------------------------------------------------------


async def test_a_request_goes_through_to_the_default_upstream() -> None:
    async with gateway() as gw:
        (await gw.get("/x?y=1")).must_be(200).must_say("ok").must_be_complete()
        gw.upstream.must_have_got(1).last.must_ask("GET", "/x?y=1").must_have("Host", "gateway.test")


async def test_what_the_upstream_is_may_be_said_in_many_ways() -> None:
    async with upstream(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n") as backend:
        for played in (backend, scripts.answer(201), b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n"):
            async with gateway(upstream=played) as gw:
                (await gw.get()).must_be(201)


async def test_an_installed_plugin_stands_beside_a_given_class() -> None:
    async with gateway(
        {"request-id": None, "id": {"use": "request-id", "header": "X-Trace"}, "forbids": Forbids}
    ) as gw:
        (await gw.get("/secret")).must_be_problem("forbidden", 403).must_have("X-Trace")
        gw.upstream.must_not_be_reached()


async def test_a_class_takes_settings_and_the_envelope() -> None:
    async with gateway({"names": (Names, {"name": "bob", "on_failure": "open"})}) as gw:
        (await gw.get()).must_have("X-Name", "bob")
        assert gw.gateway.snapshot.instances["names"].on_failure == "open"


async def test_a_mistake_is_what_an_operator_sees() -> None:
    with pytest.raises(ConfigError) as found:
        async with gateway({"names": (Names, {"nmae": "bob"})}):
            pass
    assert str(found.value) == '$.plugins.names.nmae: unknown key; did you mean "name"?'


async def test_routes_services_and_chain_are_said_as_in_yaml() -> None:
    async with gateway(
        {"names": Names, "forbids": Forbids},
        chain=["forbids"],
        services={"users": {"timeouts": {"response": "2s"}}},
        routes={
            "users": {"match": {"path": "/users/{id}"}, "service": "users", "chain": ["names"]},
            "rest": {"match": {}, "service": "users"},
        },
        upstream={"users": scripts.ok("users")},
        limits={"body": "10B"},
    ) as gw:
        (await gw.get("/users/7")).must_have("X-Name", "ann").must_say("users")
        (await gw.get("/x")).must_not_have("X-Name")
        (await gw.post("/x", body=b"x" * 11)).must_be_problem("content-too-large", 413)


async def test_each_service_may_have_its_upstream() -> None:
    routes = {name: {"match": {"path": f"/{name}"}, "service": name} for name in ("a", "b")}
    async with gateway(routes=routes, upstream={"a": scripts.ok("from a"), "b": scripts.ok("from b")}) as gw:
        (await gw.get("/b")).must_say("from b")
        gw.upstreams["a"].must_not_be_reached()


YAML = """
listen: 0.0.0.0:80
workers: 4
plugins: {names: {name: eve}}
chain: [names]
services: {users: {endpoints: ["http://users.example.com", "http://192.0.2.7:9000"]}}
routes: {all: {match: {path: /api/*}, rewrite: {strip_prefix: /api}, service: users}}
"""


async def test_a_whole_config_reaches_nothing_but_the_upstream(tmp_path: Path) -> None:
    file = tmp_path / "spork.yaml"
    file.write_text(YAML, encoding="utf-8")
    for config in (YAML, file):
        async with gateway({"names": Names}, config=config) as gw:
            (await gw.get("/api/x")).must_be(200).must_have("X-Name", "eve")
            gw.upstreams["users"].last.must_ask("GET", "/x")


@pytest.mark.parametrize(
    "more", [{"routes": {"all": {"match": {}}}}, {"timeouts": {"header": "1s"}}, {"plugins": {"names": {"name": "x"}}}]
)
async def test_a_whole_config_says_everything(more: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match="stand in"):
        async with gateway(config=YAML, **more):
            pass


async def test_the_admin_listener_has_a_client_of_its_own() -> None:
    async with gateway(admin={"listen": "127.0.0.1:8081"}) as gw:
        (await gw.admin.get("/livez")).must_be(200)


async def test_a_reload_changes_what_it_names() -> None:
    async with gateway({"names": Names, "forbids": Forbids}) as gw:
        await gw.reload(plugins={"names": (Names, {"name": "bob"})}, timeouts={"header": "3s"})
        (await gw.get("/secret")).must_be(200).must_have("X-Name", "bob")
        with pytest.raises(ConfigError):
            await gw.reload(plugins={"names": {"use": "nothing-such"}})
        (await gw.get("/")).must_have("X-Name", "bob")


async def test_chance_is_the_same_in_every_run() -> None:
    values = []
    for seed in (1, 1, 2):
        async with gateway(seed=seed) as gw:
            values.append(gw.gateway.chance.hex())
    assert values[0] == values[1] != values[2]


# -- the transcript -----------------------------------------------------------------------------------


async def test_the_transcript_is_exact() -> None:
    async with gateway({"forbids": Forbids, "names": Names}) as gw:
        await gw.get("/x")
        await gw.get("/secret")
        gw.transcript.must_be(
            [
                "forbids.pre_auth → None",
                "names.authenticate → Identity(ann)",
                "names.on_response → None",
                "names.on_complete → None",
                "forbids.pre_auth → raised Forbidden",
                "names.on_response → None",
                "names.on_complete → None",
            ]
        )
        _, second = gw.transcript.exchanges
        gw.transcript.of(exchange=second).must_not_show("names.authenticate → Identity(ann)")
        gw.transcript.of("names", "on_response").must_be(["names.on_response → None"] * 2)


# -- strictness ---------------------------------------------------------------------------------------


async def test_a_failure_of_a_plugin_fails_the_test() -> None:
    with pytest.raises(
        AssertionError, match=r"instance crashes .* on_request at .*test_harness\.py:\d+ .*ValueError: broken"
    ):
        async with gateway({"crashes": Crashes}) as gw:
            await gw.get()


async def test_a_failure_that_is_expected_does_not() -> None:
    async with gateway({"crashes": Crashes}, failures_expected=True) as gw:
        (await gw.get()).must_be_problem("plugin-failed", 500)
        (failure,) = gw.failures
        assert "instance crashes" in failure


class Leaves(Plugin[None]):
    """Starts what it does not end."""

    @hookimpl
    async def startup(self, gateway: GatewayView) -> None:
        self.task = asyncio.create_task(self.outer())

    async def outer(self) -> None:
        self.inner = asyncio.create_task(asyncio.sleep(3600))


async def test_a_task_that_a_plugin_left_fails_the_test() -> None:
    with pytest.raises(
        AssertionError, match=r"instance leaves left a task .*sleep.* started at .*test_harness\.py:\d+"
    ):
        async with gateway({"leaves": Leaves}) as gw:
            await gw.get()


async def test_a_script_that_crashes_fails_the_test() -> None:
    async def crashes(wire: Wire) -> None:
        raise ZeroDivisionError

    with pytest.raises(AssertionError, match=r"unexpected in the event loop: .*\n(.*\n)*ZeroDivisionError"):
        async with gateway(upstream=crashes) as gw:
            (await gw.get()).must_be(502)


async def test_a_task_of_the_test_itself_does_not() -> None:
    async with gateway() as gw:
        mine = asyncio.create_task(asyncio.sleep(3600))
        await gw.get()
    mine.cancel()


async def test_an_assertion_of_the_test_is_not_hidden_by_what_is_found_at_the_end() -> None:
    with pytest.raises(AssertionError, match="is 500 Internal Server Error, not 200 OK"):
        async with gateway({"crashes": Crashes}) as gw:
            (await gw.get()).must_be(200)


# -- the client ---------------------------------------------------------------------------------------


async def test_bytes_go_out_as_they_are_written() -> None:
    async with gateway() as gw:
        assert (await gw.raw(b"GET  / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
        assert (await gw.ask(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n", bytewise=True)).status == 200


async def test_a_connection_carries_one_request_after_the_other() -> None:
    async with gateway() as gw, await gw.connect() as client:
        for _ in range(3):
            (await client.get("/x")).must_be(200)
        assert len(gw.upstream.wires) == 1


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "bytewise"])
async def test_content_comes_in_every_form(bytewise: bool) -> None:
    async def pieces() -> Any:
        for piece in (b"he", b"", b"llo"):
            yield piece

    async with gateway(upstream=scripts.echo()) as gw:
        for body in (b"hello", "hello", pieces()):
            (await gw.post("/x", body=body, bytewise=bytewise)).must_say("hello")
        assert (await gw.put("/x", json={"a": [1]}, bytewise=bytewise)).must_have("Content-Type").json() == {"a": [1]}


async def test_informational_answers_are_kept_apart() -> None:
    async with gateway() as gw:
        answer = await gw.post("/x", body=b"x", headers={"Expect": "100-continue"})
        assert [each.status for each in answer.must_be(200).informational] == [100]


async def test_a_connection_that_ends_without_an_answer_is_told() -> None:
    async def ends(wire: Wire) -> None:
        await wire.head()

    async with upstream(ends) as backend, AsyncExitStack() as stack:
        client = Client(Wire(*await connect("127.0.0.1", backend.port)))
        stack.callback(client.close)
        with pytest.raises(NoAnswer, match="GET /x: the gateway ended the connection; it said b''"):
            await client.get("/x")


async def test_a_url_names_the_host() -> None:
    async with gateway() as gw:
        await gw.delete("http://api.example.com/x?q")
        gw.upstream.last.must_ask("DELETE", "/x?q").must_have("Host", "api.example.com")


async def test_an_answer_to_head_has_no_content() -> None:
    async with gateway() as gw:
        (await gw.head("/x")).must_be(200).must_have("Content-Length", "2").must_say("")


async def test_a_hook_may_answer() -> None:
    class Answers(Plugin[None]):
        @hookimpl
        def serve(self, exchange: Exchange) -> Response:
            return Response(200, "mine")

    async with gateway({"answers": Answers}, routes={"all": {"match": {}}}) as gw:
        (await gw.options("/x")).must_say("mine")
        gw.transcript.must_be(["answers.serve → Response(200)"])
