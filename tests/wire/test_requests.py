"""What a backend is sent, and what a client is answered, to the letter (RFC 9110, RFC 9112)."""

import pytest

from spork_core.config.model import MatchConfig, RewriteConfig, RouteConfig
from tests.wire.conftest import GET, OK, Message, gateway, upstream

MINE = (b"X-Forwarded-For:", b"X-Forwarded-Proto:", b"X-Forwarded-Host:", b"Via:")


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1", host: bytes = b"Host: a") -> bytes:
    return b"\r\n".join((start, *((host,) if host else ()), *lines, b"", b""))


async def sent(data: bytes, *, bytewise: bool = False, **more: object) -> Message:
    """The head that the backend gets for ``data``, without the lines that the gateway adds."""
    async with upstream() as backend, gateway(backend, **more) as gate:  # type: ignore[arg-type]
        await gate.ask(data, bytewise=bytewise, bodiless=data.startswith(b"HEAD"))
        message = Message(backend.received)
    message.lines = [line for line in message.lines if not line.startswith(MINE)]
    return message


async def answered(answer: bytes, data: bytes = GET, *, bodiless: bool = False) -> Message:
    """What a client gets when the backend answers ``answer``."""
    async with upstream(answer) as backend, gateway(backend) as gate:
        return await gate.ask(data, bodiless=bodiless)


# -- the request ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_nothing_is_invented_reordered_or_recased(bytewise: bool) -> None:
    lines = (b"B: 1", b"a: 2", b"B: 3", b"Accept:  x , y", b"x-EMPTY:", b"Cookie: a=b; c=d")
    head = await sent(request(*lines), bytewise=bytewise)
    assert head.start == b"GET / HTTP/1.1"
    assert [line.replace(b" ", b"") for line in head.lines] == [
        line.replace(b" ", b"") for line in (b"Host: a", *lines)
    ]


@pytest.mark.parametrize("extra", [(), (b"Connection: X-Gone", b"X-Gone: 1")], ids=["untouched", "changed"])
@pytest.mark.parametrize("value", [b"caf\xe9", "café".encode(), b"\xff\x80\xa0", b"a\tb"])
async def test_header_bytes_arrive_as_they_are(value: bytes, extra: tuple[bytes, ...]) -> None:
    head = await sent(request(b"X-Raw: " + value, *extra))
    assert head.lines == [b"Host: a", b"X-Raw: " + value]


@pytest.mark.parametrize(
    "line",
    [
        b"Keep-Alive: timeout=5",
        b"Proxy-Connection: keep-alive",
        b"Proxy-Authenticate: Basic",
        b"Proxy-Authorization: Basic eDp5",
        b"Trailer: X-T",
        b"TE: gzip",
        b"Upgrade: websocket",
        b"Connection: keep-alive",
        b"connection: keep-alive",
        b"CONNECTION: Keep-Alive",
        b"Connection: keep-alive\r\nConnection: keep-alive",
        b"Connection: x-gone, keep-alive\r\nX-Gone: 1\r\nx-gone: 2",
        b"Connection: x-gone\r\nConnection: ,x-too ,\r\nX-Gone: 1\r\nX-Too: 2",
        b"Proxy: http://evil",
        b"X_Forwarded_For: 9.9.9.9",
        b"Content_Length: 5",
        b"Transfer_Encoding: chunked",
        b"x_real-ip: 9.9.9.9",
        b"X-Forwarded-For: 9.9.9.9",
        b"Forwarded: for=9.9.9.9",
        b"X-Real-IP: 9.9.9.9",
    ],
)
async def test_what_belongs_to_one_hop_stays_here(line: bytes) -> None:
    head = await sent(request(line, b"X-Kept: 1"))
    assert head.lines == [b"Host: a", b"X-Kept: 1"]


async def test_connection_cannot_name_away_what_the_gateway_manages() -> None:
    lines = (b"Authorization: Basic x", b"Cookie: a", b"Content-Type: x/y", b"X-Request-ID: 7")
    names = b"Connection: host, authorization, cookie, content-type, x-request-id, x-forwarded-for, via, content-length"
    async with upstream() as backend, gateway(backend) as gate:
        await gate.ask(request(names, *lines, b"Content-Length: 2", start=b"POST / HTTP/1.1") + b"hi")
        head = Message(backend.received.removesuffix(b"hi"))
    assert head.lines[:5] == [b"Host: a", *lines]
    assert head.values(b"x-forwarded-for") == [b"127.0.0.1"]
    assert head.values(b"content-length") == [b"2"]


async def test_te_trailers_is_told_for_this_hop() -> None:
    head = await sent(request(b"TE: gzip;q=0.5, trailers", b"Connection: TE"))
    assert head.values(b"te") == [b"trailers"]
    assert head.values(b"connection") == [b"TE"]


async def test_an_other_underscore_name_is_an_ordinary_name() -> None:
    head = await sent(request(b"my_field: 1"))
    assert head.lines == [b"Host: a", b"my_field: 1"]


@pytest.mark.parametrize(
    "target",
    [
        b"/",
        b"/?",
        b"/a?b",
        b"/a?b=c&d=%20+%zz",
        b"/a/%41%7e/b",
        b"/a//b/",
        b"/a;v=1/b@c:d!$&'()*+,=~",
        b"/%c3%a9/%E9",
        b"/a%20b?c%2Fd=../..",
        b"/a?b?c=/./d",
        b"/" + b"x" * 4000,
    ],
)
async def test_path_and_query_arrive_byte_for_byte(target: bytes) -> None:
    head = await sent(request(start=b"GET " + target + b" HTTP/1.1"))
    assert head.start == b"GET " + target + b" HTTP/1.1"


@pytest.mark.parametrize(
    "target", [b"/a%2fb", b"/a%2Fb", b"/a%5cb", b"/a%00b", b"/a\\b", b"/a/..;/b", b"/..", b"/a/../../b", b"/%2e%2e"]
)
async def test_a_path_that_servers_read_differently_is_refused(target: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.ask(request(start=b"GET " + target + b" HTTP/1.1"))
    assert answer.status == 400
    assert backend.received == b""


@pytest.mark.parametrize(
    ("target", "sent_on"), [(b"/a/../b?q=..", b"/b?q=.."), (b"/a/%2e%2E/b", b"/b"), (b"/./a/.", b"/a/")]
)
async def test_dot_segments_are_resolved_before_a_backend_can(target: bytes, sent_on: bytes) -> None:
    head = await sent(request(start=b"GET " + target + b" HTTP/1.1"))
    assert head.start == b"GET " + sent_on + b" HTTP/1.1"


@pytest.mark.parametrize(
    ("target", "sent_on", "host"),
    [
        (b"http://b/x?y", b"/x?y", b"b"),
        (b"HTTP://b:81", b"/", b"b:81"),
        (b"http://b?x=1", b"/?x=1", b"b"),
        (b"https://[::1]:80/%41", b"/%41", b"[::1]:80"),
    ],
)
async def test_absolute_form_overrides_host(target: bytes, sent_on: bytes, host: bytes) -> None:
    head = await sent(request(start=b"GET " + target + b" HTTP/1.1"))
    assert head.start == b"GET " + sent_on + b" HTTP/1.1"
    assert head.values(b"host") == [host]


@pytest.mark.parametrize(
    "method", [b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"QUERY"]
)
async def test_a_method_goes_through_without_a_body_being_made_up(method: bytes) -> None:
    head = await sent(request(start=method + b" / HTTP/1.1"))
    assert (head.start, head.lines) == (method + b" / HTTP/1.1", [b"Host: a"])


@pytest.mark.parametrize(
    ("start", "status"),
    [
        (b"CONNECT a:443 HTTP/1.1", 501),
        (b"FOO / HTTP/1.1", 501),
        (b"get / HTTP/1.1", 501),
        (b"GET / HTTP/1.2", 505),
        (b"GET / HTTP/2.0", 505),
        (b"PRI * HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
        (b"GET / HTTP/11", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1.", 400),
        (b"GET / HTTP/1.1x", 400),
        (b"GET /", 400),
        (b"GET * HTTP/1.1", 400),
        (b"GET a HTTP/1.1", 400),
        (b"GET /a#b HTTP/1.1", 400),
        (b"OPTIONS *x HTTP/1.1", 400),
        (b"GET http:///x HTTP/1.1", 400),
        (b"GET http://u@b/ HTTP/1.1", 400),
        (b"GET http://b%/ HTTP/1.1", 400),
        (b"GET ftp://b/ HTTP/1.1", 400),
    ],
)
async def test_a_request_line_that_is_not_for_a_backend(start: bytes, status: int) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = Message((await gate.raw(request(start=start))).partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
    assert answer.status == status
    assert answer.values(b"connection") == [b"close"]
    assert backend.received == b""


@pytest.mark.parametrize("target", [b"*", b"http://b"])
async def test_options_of_the_whole_server_is_answered_here(target: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.ask(request(start=b"OPTIONS " + target + b" HTTP/1.1"))
    assert (answer.status, b"GET" in answer.values(b"allow")[0], backend.received) == (204, True, b"")


@pytest.mark.parametrize(("method", "status"), [(b"OPTIONS", 204), (b"TRACE", 405)])
async def test_max_forwards_of_0_ends_here(method: bytes, status: int) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.ask(request(b"Max-Forwards: 0", start=method + b" / HTTP/1.1"))
    assert (answer.status, backend.received) == (status, b"")
    assert answer.values(b"allow")


@pytest.mark.parametrize(
    ("method", "given", "left"),
    [(b"OPTIONS", b"5", b"4"), (b"TRACE", b"010", b"9"), (b"GET", b"0", b"0"), (b"TRACE", b"x", b"x")],
)
async def test_max_forwards_counts_down_where_it_means_something(method: bytes, given: bytes, left: bytes) -> None:
    head = await sent(request(b"Max-Forwards: " + given, start=method + b" / HTTP/1.1"))
    assert head.values(b"max-forwards") == [left]


async def test_http_1_0_needs_no_host_and_becomes_1_1() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        await gate.raw(b"GET / HTTP/1.0\r\nX: 1\r\n\r\n")
        head = Message(backend.received)
    assert head.start == b"GET / HTTP/1.1"
    assert head.values(b"host") == [b"127.0.0.1:%d" % backend.port]
    assert head.values(b"via") == [b"1.0 spork"]


@pytest.mark.parametrize("before", [b"\r\n", b"\r\n\r\n\r\n"])
@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
async def test_empty_lines_before_a_request_are_passed_over(before: bytes, bytewise: bool) -> None:
    assert (await sent(before + GET, bytewise=bytewise)).start == b"GET / HTTP/1.1"


# -- rewrites -------------------------------------------------------------------------------------------


async def test_a_rewrite_changes_what_it_names_and_nothing_else() -> None:
    rewrite = RewriteConfig(
        strip_prefix="/api", host="inner", set_headers={"X-Set": "1", "b": "2"}, remove_headers=("cookie",)
    )
    head = await sent(
        request(b"A: 1", b"B: 0", b"Cookie: x", start=b"GET /api/%41?x=%41 HTTP/1.1"), route={"rewrite": rewrite}
    )
    assert head.start == b"GET /%41?x=%41 HTTP/1.1"
    assert head.lines == [b"Host: inner", b"A: 1", b"b: 2", b"X-Set: 1"]


async def test_a_template_puts_captures_where_they_belong() -> None:
    head = await sent(
        request(start=b"GET /users/a%20b?x HTTP/1.1"),
        match={"path": "/users/{id}"},
        route={"rewrite": RewriteConfig(path="/v2/{id}/profile")},
    )
    assert head.start == b"GET /v2/a%20b/profile?x HTTP/1.1"


async def test_no_route_is_404_and_another_method_405() -> None:
    async with upstream() as backend, gateway(backend, match={"path": "/a", "methods": ("GET", "PUT")}) as gate:
        missing = await gate.ask(request(start=b"GET /b HTTP/1.1"))
        other = await gate.ask(request(start=b"POST /a HTTP/1.1"))
    assert (missing.status, other.status, backend.received) == (404, 405, b"")
    assert {b"GET", b"PUT"} <= set(other.values(b"allow")[0].split(b", "))


async def test_a_route_without_upgrades_does_not_offer_one() -> None:
    head = await sent(request(b"Connection: Upgrade", b"Upgrade: websocket"), route={"upgrade": False})
    assert head.lines == [b"Host: a"]


# -- the answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        b"Content-Length: 2",
        b"content-length: 2\r\nB: 1\r\na: 2\r\nB: 3",
        b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\nContent-Length: 2",
        b"X-Raw: caf\xe9 \xff\r\nContent-Length: 2",
        b"Content-Encoding: gzip\r\nContent-Length: 2",
        b"Server: me\r\nContent-Length: 2",
    ],
)
async def test_an_answer_arrives_as_it_was_made(lines: bytes) -> None:
    answer = await answered(b"HTTP/1.1 200 Fine, thanks\r\nDate: now\r\n" + lines + b"\r\n\r\nok")
    assert answer.start == b"HTTP/1.1 200 Fine, thanks"
    assert answer.lines == [b"Date: now", *lines.split(b"\r\n"), b"Via: 1.1 spork"]
    assert answer.body == b"ok"


async def test_a_chunked_answer_keeps_cookies_bytes_and_order() -> None:
    lines = [b"Set-Cookie: a=1", b"X-Raw: \xe9", b"Set-Cookie: b=2", b"Date: now"]
    head = b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"Transfer-Encoding: chunked", b"", b""))
    answer = await answered(head + b"2;ext=1\r\nok\r\n0\r\n\r\n")
    assert answer.lines == [*lines, b"Transfer-Encoding: chunked", b"Via: 1.1 spork"]
    assert answer.body == b"ok"


async def test_hop_by_hop_fields_of_an_answer_stay_here() -> None:
    gone = b"Connection: X-Gone, keep-alive\r\nX-Gone: 1\r\nKeep-Alive: 5\r\nProxy-Authenticate: x\r\nTrailer: A\r\n"
    answer = await answered(b"HTTP/1.1 200 OK\r\nDate: now\r\n" + gone + b"Content-Length: 2\r\n\r\nok")
    assert answer.lines == [b"Date: now", b"Content-Length: 2", b"Via: 1.1 spork"]


async def test_a_date_is_added_where_there_is_none() -> None:
    answer = await answered(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    assert len(answer.values(b"date")) == 1
    assert [line.partition(b":")[0] for line in answer.lines] == [b"Content-Length", b"Via", b"Date"]


@pytest.mark.parametrize("request_id", ["raw", "changed"])
async def test_head_keeps_the_length_and_has_no_body(request_id: str) -> None:
    extra = (b"Connection: x",) if request_id == "changed" else ()
    async with (
        upstream(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nDate: now\r\n\r\n") as backend,
        gateway(backend) as gate,
    ):
        client = await gate.client()
        for _ in range(2):  # the connection stays in step
            await client.send(request(*extra, start=b"HEAD / HTTP/1.1"))
            answer = await client.message(bodiless=True)
            assert answer.values(b"content-length") == [b"1234"]
            assert answer.values(b"connection") == []
        assert client.seen.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
@pytest.mark.parametrize("framing", [b"", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"])
async def test_204_and_304_never_have_a_body(status: bytes, framing: bytes) -> None:
    bare = b"HTTP/1.1 " + status + b"\r\nETag: x\r\n" + framing + b"\r\n"
    async with upstream(bare) as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(GET)
            answer = await client.message(bodiless=True)
            assert answer.start == b"HTTP/1.1 " + status
            assert not answer.values(b"transfer-encoding")
            assert answer.values(b"content-length") == ([b"5"] if b"304" in status and b"Length" in framing else [])
        assert client.seen.count(b"\r\n\r\n") == 2


async def test_103_reaches_http_1_1_and_not_http_1_0() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
    async with upstream(hints + OK) as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET)
        first, second = await client.message(), await client.message()
        old = await gate.raw(b"GET / HTTP/1.0\r\n\r\n")
    assert (first.status, first.lines, second.status) == (103, [b"Link: </a>"], 200)
    assert old.startswith(b"HTTP/1.1 200")
    assert old.count(b"HTTP/1.1") == 1


# -- HTTP/1.0 clients -----------------------------------------------------------------------------------


async def test_http_1_0_gets_no_chunks() -> None:
    chunks = (
        b"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n"
    )
    async with upstream(chunks) as backend, gateway(backend) as gate:
        answer = await gate.raw(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\nTE: trailers\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.split(b"\r\n")[1:] == [b"Date: now", b"Via: 1.1 spork", b"Connection: close"]
    assert body == b"ok!"


async def test_http_1_0_may_keep_its_connection() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        for _ in range(2):
            await client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            answer = await client.message()
            assert answer.values(b"connection") == [b"keep-alive"]
        await client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert b"Connection: close\r\n" in await client.rest()


async def test_connection_close_is_heeded_and_answered() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = await gate.raw(request(b"Connection: close") + GET)
    assert answer.count(b"HTTP/1.1 200") == 1
    assert b"Connection: close\r\n" in answer


async def test_routes_by_host_ignore_case_and_port() -> None:
    async with upstream() as backend:
        one = RouteConfig(MatchConfig(host=("api.example.com",)), "up")
        async with gateway(backend, routes={"one": one}) as gate:
            found = await gate.ask(request(host=b"Host: API.Example.Com:8080"))
            lost = await gate.ask(request(host=b"Host: example.com"))
    assert (found.status, lost.status) == (200, 404)
