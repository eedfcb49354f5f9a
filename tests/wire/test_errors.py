"""Answers that are made here: what they say, what they never say, and that nothing a plugin does ends the process."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spork_core.api import (
    KINDS,
    Exchange,
    Forbidden,
    Identity,
    IteratorBody,
    Plugin,
    Problem,
    Response,
    TooManyRequests,
    Unauthenticated,
    hookimpl,
)
from spork_core.config.model import ClientTimeouts, EndpointConfig, ErrorsConfig, Limits, ServiceConfig
from tests.wire.conftest import GET, OK, Message, Running, Wire, gateway, holds, upstream

SECRET = b"s3cret-input"


def get(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join((start, b"Host: a", *lines, b"", b""))


class Secure(Plugin[Any]):
    """Every answer carries a header, made here or not."""

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Secure"] = "yes"


class Denies(Plugin[Any]):
    """Lets nobody in who asks for /denied."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        if exchange.request.path == "/denied":
            raise Forbidden("Not you.")
        if exchange.request.path == "/broken":
            raise ZeroDivisionError


LOCAL = {
    400: (b"G\0T / HTTP/1.1\r\n\r\n", "client"),
    403: (get(start=b"GET /denied HTTP/1.1"), "client"),
    404: (get(start=b"GET /" + SECRET + b" HTTP/1.1").replace(b"Host: a", b"Host: b"), "client"),
    405: (get(start=b"PUT / HTTP/1.1"), "client"),
    408: (b"GET", "client"),
    413: (get(b"Content-Length: 99999", start=b"POST / HTTP/1.1"), "client"),
    414: (get(start=b"GET /" + SECRET * 1000 + b" HTTP/1.1"), "client"),
    417: (get(b"Expect: " + SECRET), "client"),
    431: (get(*[SECRET + b": " + SECRET] * 200), "client"),
    500: (get(start=b"GET /broken HTTP/1.1"), "plugin"),
    501: (get(start=b"FOO /" + SECRET + b" HTTP/1.1"), "client"),
    502: (get(start=b"GET /" + SECRET + b" HTTP/1.1"), "upstream"),
    505: (get(start=b"GET /" + SECRET + b" HTTP/2.0"), "client"),
}


@pytest.mark.parametrize("status", LOCAL)
async def test_an_answer_made_here_is_a_problem_with_every_header(status: int) -> None:
    data, source = LOCAL[status]
    dead = {"up": ServiceConfig((EndpointConfig("http://127.0.0.1:1"),))}
    some = {"host": ("a",), "methods": ("GET", "POST")}
    limits, timeouts = Limits(body=1000), ClientTimeouts(header=0.1)
    plugins = {"secure": Secure, "denies": Denies}
    async with gateway(services=dead, match=some, plugins=plugins, limits=limits, timeouts=timeouts) as gate:
        answer = await gate.ask(data)
    problem = json.loads(answer.body)
    assert (answer.status, problem["status"], problem["source"]) == (status, status, source)
    assert answer.values(b"content-type") == [b"application/problem+json"]
    assert answer.values(b"x-secure") == [b"yes"]
    assert answer.values(b"via") == []
    assert problem["instance"] == f"urn:request:{problem['request_id']}"
    assert {"type", "title", "detail", "code"} <= set(problem)
    assert SECRET not in answer.head + answer.body
    assert b"127.0.0.1" not in answer.body


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (b"text/html,application/xhtml+xml,*/*;q=0.8", b"text/html; charset=utf-8"),
        (b"text/plain", b"text/plain; charset=utf-8"),
        (b"application/json, text/html;q=0.5", b"application/problem+json"),
        (b"*/*", b"application/problem+json"),
        (b"text/html;q=0", b"application/problem+json"),
        (b"\xff;q=x,,;", b"application/problem+json"),
    ],
)
async def test_a_problem_is_what_the_client_can_read(accept: bytes, content_type: bytes) -> None:
    async with gateway(match={"host": ("b",)}) as gate:
        answer = await gate.ask(get(b"Accept: " + accept))
    assert answer.status == 404
    assert answer.values(b"content-type") == [content_type]
    assert answer.values(b"vary") == [b"Accept"]
    assert answer.values(b"cache-control") == [b"no-store"]
    assert b"404" in answer.body


async def test_a_problem_for_head_has_no_body() -> None:
    async with gateway(match={"host": ("b",)}) as gate:
        client = await gate.client()
        await client.send(get(start=b"HEAD / HTTP/1.1") + GET)
        head = await client.message(bodiless=True)
        assert (head.status, int(head.values(b"content-length")[0]) > 100) == (404, True)
        assert (await client.message()).status == 404


async def test_the_type_of_a_problem_may_be_a_page() -> None:
    async with gateway(match={"host": ("b",)}, errors=ErrorsConfig("https://docs.example.com/")) as gate:
        assert json.loads((await gate.ask(GET)).body)["type"] == "https://docs.example.com/no-route"


class Limited(Plugin[Any]):
    """Refuses with headers and members of its own."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        raise TooManyRequests("Slow down.", headers={"Retry-After": "7", "X-Bad": "a\r\nb"}, extensions={"limit": 60})


async def test_a_problem_carries_what_the_plugin_gave_it_but_no_injection() -> None:
    async with gateway(plugins={"limited": Limited}) as gate:
        answer = await gate.ask(GET)
    assert (answer.status, answer.values(b"retry-after"), json.loads(answer.body)["limit"]) == (429, [b"7"], 60)
    assert answer.values(b"x-bad") == []


class Challenges(Plugin[Any]):
    """Knows nobody, and says how to become known."""

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        return None

    def challenge(self) -> str:
        return 'Bearer realm="x"'


async def test_401_carries_the_challenges_of_the_chain() -> None:
    async with gateway(plugins={"one": Challenges, "two": Challenges}) as gate:
        answer = await gate.ask(GET)
    assert (answer.status, answer.values(b"www-authenticate")) == (401, [b'Bearer realm="x"'] * 2)


class Branded(Plugin[Any]):
    """Turns problems into pages."""

    @hookimpl
    def on_error(self, exchange: Exchange, error: Problem) -> Response:
        return Response(error.status, f"branded {error.code}")


@pytest.mark.parametrize(("data", "code"), [(GET, b"no-route"), (b"\x16\x03", b"bad-request")])
async def test_a_plugin_may_brand_every_problem(data: bytes, code: bytes) -> None:
    async with gateway(match={"host": ("b",)}, plugins={"branded": Branded}) as gate:
        assert (await gate.ask(data)).body == b"branded " + code


# -- plugins that fail ----------------------------------------------------------------------------------


def failing(hook: str, how: str, *, is_async: bool = False) -> type[Plugin[Any]]:
    """A plugin whose implementation of ``hook`` fails in one of many ways."""

    def fail() -> object:
        if how == "raises":
            raise RuntimeError("inner detail")
        if how == "exits":
            sys.exit("inner detail")
        if how == "recurses":
            return fail()
        if how == "lies":
            return 7j
        raise asyncio.CancelledError

    def plain(self: Any, exchange: Exchange) -> object:
        return fail()

    async def waiting(self: Any, exchange: Exchange) -> object:
        await asyncio.sleep(0)
        return await asyncio.Event().wait() if how == "hangs" else fail()

    return type("Failing", (Plugin,), {hook: hookimpl(waiting if is_async else plain)})


WATCHED = {hook for hook, kind in KINDS.items() if kind.kind.value == "watch"}
WAYS = [(how, is_async) for how in ("raises", "exits", "recurses", "lies") for is_async in (False, True)] + [
    ("hangs", True)
]
ASKED = [hook for hook in KINDS if hook not in {"should_retry", "on_error"}]


@pytest.mark.parametrize(("how", "is_async"), WAYS)
@pytest.mark.parametrize("hook", ASKED)
async def test_a_plugin_that_fails_is_counted_and_ends_nothing_else(hook: str, how: str, is_async: bool) -> None:
    plugins = {"failing": failing(hook, how, is_async=is_async), "secure": Secure}
    timeout: dict[str, Any] = {"failing": {"timeout": 0.02}} if is_async else {}
    async with upstream() as backend, gateway(backend, plugins=plugins, instances=timeout) as gate:
        answer = await gate.ask(GET)
        again = await gate.ask(GET)
        await holds(lambda: gate.gateway.snapshot.running == 0)
    harmless = hook in WATCHED
    assert (answer.status, again.status) == ((200, 200) if harmless else (500, 500))
    assert answer.values(b"x-secure") == [b"yes"]
    assert b"inner detail" not in answer.body
    failures = gate.gateway.snapshot.instances["failing"].failures
    # on_response is asked again for the page; what a watcher answers is nobody's business.
    assert failures == {"on_response": 4}.get(hook, 0 if harmless and how == "lies" else 2)


@pytest.mark.parametrize("how", ["raises", "exits", "lies"])
@pytest.mark.parametrize("hook", ["should_retry", "on_error"])
async def test_a_plugin_that_fails_at_a_failure_is_counted_too(hook: str, how: str) -> None:
    async with upstream(OK.replace(b"200 OK", b"503 Busy")) as backend:
        match = {"host": ("a" if hook == "should_retry" else "b",)}
        async with gateway(backend, match=match, plugins={"failing": failing(hook, how)}) as gate:
            answer = await gate.ask(GET)
    assert answer.status == 500
    assert gate.gateway.snapshot.instances["failing"].failures == 1


@pytest.mark.parametrize("hook", [hook for hook in ASKED if hook not in WATCHED])
async def test_an_open_plugin_that_fails_is_skipped(hook: str) -> None:
    plugins = {"failing": failing(hook, "raises")}
    instances = {"failing": {"on_failure": "open"}}
    async with upstream() as backend, gateway(backend, plugins=plugins, instances=instances) as gate:
        answer = await gate.ask(GET)
    assert answer.status == (401 if hook == "authenticate" else 200)
    assert gate.gateway.snapshot.instances["failing"].failures == 1


@pytest.mark.parametrize("hook", ["pre_auth", "serve", "on_response", "on_complete"])
async def test_a_plugin_that_raises_cancelled_error_ends_its_own_connection_at_most(hook: str) -> None:
    plugins = {"failing": failing(hook, "cancels")}
    async with upstream() as backend, gateway(backend, plugins=plugins) as gate:
        first = await gate.client()
        await first.send(GET)
        await holds(lambda: first.seen or first.reader._eof)
        await holds(lambda: gate.gateway.snapshot.running == 0)
        assert gate.gateway.ready


# -- answers whose content fails ------------------------------------------------------------------------


def streaming(how: str) -> type[Plugin[Any]]:
    """A plugin whose answer, or request content, breaks off."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"some"
        if how == "raises":
            raise RuntimeError("inner detail")
        if how == "exits":
            sys.exit("inner detail")
        if how == "lies":
            yield 7  # type: ignore[misc]  # that is the point
        if how == "cancels":
            raise asyncio.CancelledError

    class Streams(Plugin[Any]):
        @hookimpl
        def on_request(self, exchange: Exchange) -> Response | None:
            if exchange.request.method == "GET":
                return Response(200, chunks())
            exchange.request.body = IteratorBody(chunks())
            return None

    return Streams


@pytest.mark.parametrize("how", ["raises", "exits", "lies", "cancels"])
async def test_an_answer_that_breaks_off_never_looks_whole(how: str) -> None:
    async with gateway(plugins={"streams": streaming(how)}, faults=True) as gate:
        answer = await broken(gate)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert not answer.endswith(b"0\r\n\r\n")
        assert b"inner detail" not in answer
        assert (await broken(gate)).startswith(b"HTTP/1.1 200 ")


async def broken(gate: Running) -> bytes:
    client = await gate.client()
    await client.send(GET)
    await holds(lambda: client.gone or client.reader._eof)
    return client.seen


@pytest.mark.parametrize("how", ["raises", "exits", "lies", "cancels"])
async def test_a_request_content_that_breaks_off_never_looks_whole(how: str) -> None:
    async def never(wire: Wire) -> None:
        await wire.rest()

    async with upstream(never) as backend, gateway(backend, plugins={"streams": streaming(how)}, faults=True) as gate:
        answer = await gate.ask(get(b"Content-Length: 0", start=b"POST / HTTP/1.1"))
        await holds(lambda: gate.gateway.snapshot.running == 0)
    assert answer.status in {500, 502}
    assert not backend.received.endswith(b"0\r\n\r\n")


class Injects(Plugin[Any]):
    """Puts what the client sent where no line end may stand."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        if exchange.request.path == "/request":
            exchange.request.headers["X-In"] = "a\r\nX-Evil: 1"
        if exchange.request.path == "/target":
            exchange.upstream_target = "/ HTTP/1.1\r\nX-Evil: 1\r\n\r\n"

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        if exchange.request.path == "/answer":
            exchange.response.headers["X-Out"] = "a\r\nX-Evil: 1"
        if exchange.request.path == "/reason":
            exchange.response.reason = "OK\r\nX-Evil: 1"


@pytest.mark.parametrize("path", [b"/request", b"/target", b"/answer", b"/reason"])
async def test_a_plugin_cannot_split_a_message(path: bytes) -> None:
    async with upstream() as backend, gateway(backend, plugins={"injects": Injects}) as gate:
        answer = await gate.ask(get(start=b"GET " + path + b" HTTP/1.1"))
    assert answer.status in {500, 502}
    assert b"Evil" not in answer.head + backend.received


class Frames(Plugin[Any]):
    """Sets the fields that frame messages, which are the kernel's to set."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        exchange.request.headers.update({"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "x"})

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers.update({"Content-Length": "99", "Transfer-Encoding": "chunked", "Connection": "x"})


async def test_a_plugin_cannot_break_the_framing() -> None:
    async with upstream() as backend, gateway(backend, plugins={"frames": Frames}) as gate:
        answer = await gate.ask(GET)
    assert (answer.body, answer.values(b"content-length"), answer.values(b"transfer-encoding")) == (b"ok", [b"2"], [])
    head = Message(backend.received)
    assert head.values(b"content-length") + head.values(b"transfer-encoding") + head.values(b"connection") == []


async def test_unauthenticated_is_a_problem_like_any_other() -> None:
    class Refuses(Plugin[Any]):
        @hookimpl
        def authenticate(self, exchange: Exchange) -> Identity | None:
            raise Unauthenticated("That token is old.", headers={"WWW-Authenticate": "Bearer"})

    async with gateway(plugins={"refuses": Refuses}) as gate:
        answer = await gate.ask(GET)
    assert (answer.status, answer.values(b"www-authenticate")) == (401, [b"Bearer"])
