"""CORS over a real connection: preflights, ordinary answers, refusals and errors."""

from contextlib import suppress
from types import SimpleNamespace

import pytest
from spork_cors import Cors, CorsConfig

from spork_core.api import (
    Exchange,
    Forbidden,
    Headers,
    Identity,
    Plugin,
    Request,
    Response,
    TooManyRequests,
    Unauthenticated,
    hookimpl,
)
from spork_core.testing import Answer, Harness, gateway, scripts

APP = "https://app.example.com"
EVIL = "https://evil.example"
SETTINGS = {
    "allow_origins": [APP, "https://*.example.org"],
    "allow_methods": ["GET", "DELETE"],
    "allow_headers": ["content-type", "Authorization"],
    "expose_headers": ["x-total", "ETag"],
    "allow_credentials": True,
    "max_age": "10m",
}
EVERYBODY = {"allow_origins": "*", "allow_methods": "*", "allow_headers": "*"}
PREFLIGHT_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Guard(Plugin):
    """Lets nobody in."""

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        raise Unauthenticated("Who are you?")

    def challenge(self) -> str:
        return "Bearer"


class Limit(Plugin):
    """Everybody has asked too often."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> Response | None:
        raise TooManyRequests(headers={"Retry-After": "1"})


class Local(Plugin):
    """Answers itself."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response | None:
        return Response(200, "here")


def cors(**changes: object) -> tuple[type[Cors], dict[str, object]]:
    return Cors, {**SETTINGS, **changes}


async def preflight(
    gw: Harness, origin: str = APP, method: str = "DELETE", headers: str | None = None, **more: str
) -> Answer:
    wanted = {} if headers is None else {"Access-Control-Request-Headers": headers}
    asked = {"Origin": origin, "Access-Control-Request-Method": method, **wanted, **more}
    return await gw.options("/users/7", headers=asked)


def granted(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("Access-Control-")}


async def test_a_preflight_is_answered_before_anybody_asks_who_is_calling() -> None:
    async with gateway(plugins={"guard": Guard, "cors": cors()}) as gw:
        answer = await preflight(gw, headers="authorization,Content-Type")

        answer.must_be(204).must_have("Vary", PREFLIGHT_VARY).must_not_have("WWW-Authenticate")
        assert granted(answer) == {
            "Access-Control-Allow-Origin": APP,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Max-Age": "600",
            "Access-Control-Allow-Methods": "GET, DELETE",
            "Access-Control-Allow-Headers": "content-type, Authorization",
        }
        gw.upstream.must_not_be_reached()


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"origin": EVIL}, "this origin"),
        ({"origin": "null"}, "this origin"),
        ({"method": "PUT"}, "this method"),
        ({"method": "delete"}, "this method"),
        ({"headers": "content-type, x-secret"}, "these header fields"),
        ({"headers": "content-type, <script>"}, "no header field"),
        ({"method": "GET POST"}, "no method"),
    ],
)
async def test_a_preflight_that_is_refused_says_why_and_grants_nothing(asked: dict[str, str], why: str) -> None:
    async with gateway(plugins={"cors": cors()}) as gw:
        answer = await preflight(gw, **asked)

        answer.must_be_problem("forbidden", 403).must_mention(why).must_have("Vary", f"Accept, {PREFLIGHT_VARY}")
        answer.must_not_mention(*(value for value in asked.values() if value != "delete"))
        assert granted(answer) == {}
        gw.upstream.must_not_be_reached()


@pytest.mark.parametrize("fields", [{}, {"Origin": APP}, {"Access-Control-Request-Method": "GET"}])
async def test_options_that_is_no_preflight_goes_on(fields: dict[str, str]) -> None:
    async with gateway(plugins={"cors": cors()}) as gw:
        answer = await gw.options("/", headers=fields)

        answer.must_say("ok").must_have("Vary", "Origin")
        gw.upstream.must_have_got(1).last.must_ask("OPTIONS", "/")


async def test_an_ordinary_answer_of_an_allowed_origin() -> None:
    async with gateway(plugins={"cors": cors()}) as gw:
        for origin in (APP, "https://a.example.org", "https://a.b.example.org") * 2:
            answer = await gw.get("/", headers={"Origin": origin})

            answer.must_say("ok").must_have("Vary", "Origin")
            assert granted(answer) == {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Allow-Credentials": "true",
                "Access-Control-Expose-Headers": "x-total, ETag",
            }


@pytest.mark.parametrize("origin", [None, EVIL, "null", "", "https://app.example.com.evil.example"])
async def test_an_answer_that_nobody_else_may_read_differs_by_origin_all_the_same(origin: str | None) -> None:
    async with gateway(plugins={"cors": cors()}) as gw:
        answer = await gw.get("/", headers={} if origin is None else {"Origin": origin})

        answer.must_be(200).must_have("Vary", "Origin")
        assert granted(answer) == {}


@pytest.mark.parametrize("origin", [None, EVIL, "null", "what\xe9ver"])
async def test_everybody_gets_the_same_answer_which_does_not_vary(origin: str | None) -> None:
    async with gateway(plugins={"cors": (Cors, {"allow_origins": "*", "expose_headers": "*"})}) as gw:
        answer = await gw.get("/", headers={} if origin is None else {"Origin": origin})

        answer.must_be(200).must_not_have("Vary")
        assert granted(answer) == {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}


async def test_everybody_is_granted_what_a_preflight_asks_for() -> None:
    async with gateway(plugins={"cors": (Cors, EVERYBODY)}) as gw:
        answer = await preflight(gw, EVIL, "PATCH", "x-b , Authorization")

        answer.must_be(204).must_have("Vary", PREFLIGHT_VARY.removeprefix("Origin, "))
        assert granted(answer) == {
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Max-Age": "600",
            "Access-Control-Allow-Methods": "PATCH",
            "Access-Control-Allow-Headers": "x-b, Authorization",
        }


async def test_null_only_where_it_is_allowed() -> None:
    async with gateway(plugins={"cors": (Cors, {"allow_origins": "null"})}) as gw:
        assert granted(await gw.get("/", headers={"Origin": "null"})) == {"Access-Control-Allow-Origin": "null"}
        assert granted(await gw.get("/", headers={"Origin": APP})) == {}


@pytest.mark.parametrize(
    ("sent", "vary"),
    [
        (["Accept-Encoding"], "Accept-Encoding, Origin"),
        (["Accept-Encoding, origin"], "Accept-Encoding, origin"),
        (["Accept", "Cookie"], "Accept, Cookie, Origin"),
        (["*"], "*"),
        ([""], "Origin"),
    ],
)
async def test_vary_grows_without_saying_anything_twice(sent: list[str], vary: str) -> None:
    service = scripts.answer(200, "ok", [("Vary", value) for value in sent])
    async with gateway(plugins={"cors": cors()}, upstream=service) as gw:
        for _ in range(2):
            (await gw.get("/", headers={"Origin": APP})).must_have("Vary", vary)


@pytest.mark.parametrize("origin", [APP, EVIL])
async def test_what_the_service_says_of_cors_is_replaced(origin: str) -> None:
    own = [
        ("access-control-allow-origin", "*"),
        ("Access-Control-Allow-Origin", EVIL),
        ("Access-Control-Allow-Credentials", "true"),
        ("Access-Control-Expose-Headers", "set-cookie"),
        ("Access-Control-Allow-Methods", "TRACE"),
        ("Access-Control-Max-Age", "9"),
    ]
    plain = cors(allow_credentials=False, expose_headers=[])
    async with gateway(plugins={"cors": plain}, upstream=scripts.answer(200, "ok", own)) as gw:
        answer = await gw.get("/", headers={"Origin": origin})

        assert granted(answer) == ({"Access-Control-Allow-Origin": APP} if origin == APP else {})


async def test_refusals_errors_and_local_answers_can_be_read_too() -> None:
    for others, service, status in (
        ({"guard": Guard}, scripts.ok(), 401),
        ({"limit": Limit}, scripts.ok(), 429),
        ({"local": Local}, scripts.ok(), 200),
        ({}, scripts.reset(), 502),
    ):
        async with gateway(plugins={"cors": cors(), **others}, upstream=service) as gw:
            answer = await gw.get("/", headers={"Origin": APP})

            answer.must_be(status).must_have("Access-Control-Allow-Origin", APP)
            assert answer.headers["Vary"].endswith("Origin")


async def test_what_no_route_takes_is_answered_like_the_rest() -> None:
    routes = {"users": {"match": {"path": "/users/*", "methods": ["GET"]}, "service": "up"}}
    async with gateway(plugins={"cors": cors()}, routes=routes) as gw:
        (await gw.get("/no", headers={"Origin": APP})).must_be(404).must_have("Access-Control-Allow-Origin", APP)
        (await preflight(gw, method="GET")).must_be(204)


async def test_a_private_network_is_opened_where_the_config_says_so() -> None:
    asked = {"Access-Control-Request-Private-Network": "true"}
    for opened in (True, False):
        async with gateway(plugins={"cors": cors(private_network=opened)}) as gw:
            answer = await preflight(gw, **asked)

            assert ("Access-Control-Allow-Private-Network" in granted(answer)) is opened
            assert ("Private" in answer.headers["Vary"]) is opened
            assert "Access-Control-Allow-Private-Network" not in granted(await preflight(gw))


async def test_preflights_may_be_sent_on() -> None:
    service = scripts.answer(200, "mine", [("Access-Control-Allow-Origin", "*"), ("Allow", "GET")])
    async with gateway(plugins={"cors": cors(preflight_continue=True)}, upstream=service) as gw:
        answer = await preflight(gw)
        refused = await preflight(gw, EVIL)

        answer.must_say("mine").must_have("Allow", "GET").must_have("Access-Control-Allow-Origin", APP)
        refused.must_say("mine").must_not_have("Access-Control-Allow-Origin")
        gw.upstream.must_have_got(2)


async def test_a_preflight_is_granted_nothing_when_something_else_refused_it() -> None:
    async with gateway(plugins={"guard": Guard, "cors": cors(preflight_continue=True)}) as gw:
        answer = await preflight(gw)

        answer.must_be(401)
        assert granted(answer) == {}


@pytest.mark.parametrize(
    "line", [b"Origin: \xff\xfe", b"Origin: " + b"a" * 5000, b"Origin: https://evil.example\r\nOrigin: " + APP.encode()]
)
async def test_hostile_origins_are_granted_nothing(line: bytes) -> None:
    async with gateway(plugins={"cors": cors()}) as gw:
        answer = await gw.ask(b"GET / HTTP/1.1\r\nHost: a\r\n" + line + b"\r\n\r\n")

        assert not any(name.startswith("Access-Control") for name in answer.headers)


def test_numbers_for_operators() -> None:
    plugin = Cors(CorsConfig(allow_origins=(APP,)), "cors")
    for origin in (APP, EVIL, EVIL):
        asked = Headers({"Origin": origin, "Access-Control-Request-Method": "GET"})
        with suppress(Forbidden):
            plugin.pre_auth(Exchange(Request("OPTIONS", headers=asked)))

    (metric,) = plugin.collect(SimpleNamespace())

    assert metric.samples == {("cors", "allowed"): 1, ("cors", "refused"): 2}
    assert plugin.describe(SimpleNamespace())["refused"] == 2
