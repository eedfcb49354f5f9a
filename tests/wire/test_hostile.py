"""What tries to make two servers read two different requests: refused, and no byte of it sent to a backend."""

import json

import pytest

from tests.wire.conftest import GET, Message, gateway, upstream

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(*lines: bytes, body: bytes = b"") -> bytes:
    return b"\r\n".join((b"POST / HTTP/1.1", b"Host: a", *lines, b"", b"")) + body


CHUNKS = b"0\r\n\r\n"
HEADS = {
    "length and chunked": post(b"Content-Length: 5", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunked and length": post(b"Transfer-Encoding: chunked", b"Content-Length: 5", body=CHUNKS),
    "length 0 and chunked": post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunked twice": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=CHUNKS),
    "chunked, chunked": post(b"Transfer-Encoding: chunked, chunked", body=CHUNKS),
    "chunked, identity": post(b"Transfer-Encoding: chunked, identity", body=CHUNKS),
    "identity, chunked": post(b"Transfer-Encoding: identity, chunked", body=CHUNKS),
    "gzip, chunked": post(b"Transfer-Encoding: gzip, chunked", body=CHUNKS),
    "gzip": post(b"Transfer-Encoding: gzip"),
    "identity": post(b"Transfer-Encoding: identity"),
    "identity and length": post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=b"hello"),
    "xchunked": post(b"Transfer-Encoding: xchunked", body=CHUNKS),
    "chunkedx": post(b"Transfer-Encoding: chunkedx", body=CHUNKS),
    "chunked;x": post(b"Transfer-Encoding: chunked;x=y", body=CHUNKS),
    "quoted": post(b'Transfer-Encoding: "chunked"', body=CHUNKS),
    "vertical tab": post(b"Transfer-Encoding: \x0bchunked", body=CHUNKS),
    "form feed": post(b"Transfer-Encoding: chunked\x0c", body=CHUNKS),
    "no-break space": post(b"Transfer-Encoding: \xc2\xa0chunked", body=CHUNKS),
    "latin no-break space": post(b"Transfer-Encoding: \xa0chunked", body=CHUNKS),
    "line separator": post(b"Transfer-Encoding: chunked\xe2\x80\xa8", body=CHUNKS),
    "Kelvin sign": post(b"Transfer-Encoding: chun\xe2\x84\xaaed", body=CHUNKS),
    "empty coding": post(b"Transfer-Encoding:", body=CHUNKS),
    "comma": post(b"Transfer-Encoding: ,chunked", body=CHUNKS),
    "coding with a space in its name": post(b"Transfer-Encoding : chunked", body=CHUNKS),
    "coding with a tab in its name": post(b"Transfer-Encoding\t: chunked", body=CHUNKS),
    "coding behind a bare CR": post(b"X: y\rTransfer-Encoding: chunked", body=CHUNKS),
    "coding behind a bare LF": post(b"X: y\nTransfer-Encoding: chunked", body=CHUNKS),
    "folded coding": post(b"Transfer-Encoding:\r\n chunked", body=CHUNKS),
    "folded value": post(b"X: y\r\n z"),
    "folded with a tab": post(b"X: y\r\n\tz"),
    "fold before the first": b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "space before the first": b"GET / HTTP/1.1\r\n X: y\r\nHost: a\r\n\r\n",
    "two lengths": post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
    "the same length twice": post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
    "list of lengths": post(b"Content-Length: 5, 5", body=b"hello"),
    "signed length": post(b"Content-Length: +5", body=b"hello"),
    "negative length": post(b"Content-Length: -1"),
    "hexadecimal length": post(b"Content-Length: 0x5", body=b"hello"),
    "fraction": post(b"Content-Length: 5.0", body=b"hello"),
    "length with a space": post(b"Content-Length: 5 5", body=b"hello"),
    "underscored length": post(b"Content-Length: 1_0", body=b"0123456789"),
    "arabic digits": post("Content-Length: ٥".encode(), body=b"hello"),
    "empty length": post(b"Content-Length:"),
    "length in letters": post(b"Content-Length: five", body=b"hello"),
    "huge length": post(b"Content-Length: 18446744073709551617", body=b"h"),
    "long length": post(b"Content-Length: " + b"9" * 400, body=b"h"),
    "length and a space in its name": post(b"Content-Length : 5", body=b"hello"),
    "NUL in a value": post(b"X: a\0b"),
    "NUL in a name": post(b"X\0: a"),
    "control in a value": post(b"X: a\x01b"),
    "DEL in a value": post(b"X: a\x7fb"),
    "bare CR in a value": post(b"X: a\rb"),
    "bare CR at the end of a value": post(b"X: a\r"),
    "colon missing": post(b"X"),
    "empty name": post(b": x"),
    "space in a name": post(b"X Y: z"),
    "bracket in a name": post(b"X[0]: z"),
    "name that is not ASCII": post(b"caf\xc3\xa9: z"),
    "no Host": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "no field at all": b"GET / HTTP/1.1\r\n\r\n",
    "two Hosts": post(b"Host: b"),
    "the same Host twice": post(b"Host: a"),
    "empty Host": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "Host with a space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with a path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with a user": b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "Host with a bad port": b"GET / HTTP/1.1\r\nHost: a:8x\r\n\r\n",
    "Host with two ports": b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
    "Host with a lone percent": b"GET / HTTP/1.1\r\nHost: a%\r\n\r\n",
    "Host that is not ASCII": b"GET / HTTP/1.1\r\nHost: \xc3\xa9\r\n\r\n",
    "Host with a tab": b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n",
    "tab for a space": b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
    "two spaces before the version": b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
    "space behind the version": b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
    "leading space": b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "leading tab": b"\tGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "leading NUL": b"\0GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "leading CR": b"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "leading CRs": b"\r\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "leading LF": b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
    "target that is not ASCII": b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
    "control in the target": b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    "DEL in the target": b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare CR in the target": b"GET /\rX HTTP/1.1\r\nHost: a\r\n\r\n",
    "bare LF behind the request line": b"GET / HTTP/1.1\nHost: a\r\n\r\n",
    "bare LFs only": b"GET / HTTP/1.1\nHost: a\n\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n",
    "CR LF LF": b"GET / HTTP/1.1\r\nHost: a\r\n\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunked in HTTP/1.0, kept": post(b"Connection: keep-alive", b"Transfer-Encoding: chunked").replace(b"1.1", b"1.0"),
    "two versions": b"GET / HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
}
"""Heads that no backend may see, each ready to be followed by a request of its own."""


def chunked(body: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", body=body)


CONTENTS = {
    "no size": chunked(b"\r\nhello"),
    "size of letters": chunked(b"xyz\r\nhello\r\n"),
    "signed size": chunked(b"+5\r\nhello\r\n" + CHUNKS),
    "negative size": chunked(b"-5\r\nhello\r\n" + CHUNKS),
    "size with 0x": chunked(b"0x5\r\nhello\r\n" + CHUNKS),
    "size with an underscore": chunked(b"1_0\r\n0123456789abcdef\r\n" + CHUNKS),
    "space before the size": chunked(b" 5\r\nhello\r\n" + CHUNKS),
    "space behind the size": chunked(b"5 \r\nhello\r\n" + CHUNKS),
    "tab behind the size": chunked(b"5\t\r\nhello\r\n" + CHUNKS),
    "size with a bare LF": chunked(b"5\nhello\r\n" + CHUNKS),
    "size with a bare CR": chunked(b"5\rhello\r\n" + CHUNKS),
    "size of 17 digits": chunked(b"00000000000000005\r\nhello\r\n" + CHUNKS),
    "size over 64 bits": chunked(b"10000000000000005\r\nhello\r\n" + CHUNKS),
    "size in other digits": chunked("٥\r\nhello\r\n".encode() + CHUNKS),
    "extension with a bare LF": chunked(b"5;a\nhello\r\n" + CHUNKS),
    "extension with a bare CR": chunked(b"5;a\rb\r\nhello\r\n" + CHUNKS),
    "extension with a NUL": chunked(b"5;a\0\r\nhello\r\n" + CHUNKS),
    "extension without a name": chunked(b"5;\r\nhello\r\n" + CHUNKS),
    "extension without an end": chunked(b'5;a="b\r\nhello\r\n' + CHUNKS),
    "endless extension": chunked(b"5;" + b"a" * 5000),
    "data too short": chunked(b"6\r\nhello\r\n" + CHUNKS),
    "data too long": chunked(b"4\r\nhello\r\n" + CHUNKS),
    "data that ends with LF": chunked(b"5\r\nhello\n" + CHUNKS),
    "data that ends with CR CR": chunked(b"5\r\nhello\r\r" + CHUNKS),
    "trailer with a bare LF": chunked(b"0\r\nX: y\n\r\n"),
    "trailer with a bare CR": chunked(b"0\r\nX: y\rZ: a\r\n\r\n"),
    "folded trailer": chunked(b"0\r\nX: y\r\n z\r\n\r\n"),
    "trailer with a space in its name": chunked(b"0\r\nX : y\r\n\r\n"),
    "trailer without a colon": chunked(b"0\r\nX\r\n\r\n"),
    "trailer with a NUL": chunked(b"0\r\nX: \0\r\n\r\n"),
    "endless trailers": chunked(b"0\r\n" + b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 400),
    "last chunk with LFs": chunked(b"0\n\n"),
}
"""Contents whose framing is broken."""


def refused(answer: bytes) -> Message:
    """The one answer on a connection that has ended."""
    head, _, body = answer.partition(b"\r\n\r\n")
    message = Message(head + b"\r\n\r\n")
    assert message.values(b"connection") == [b"close"]
    assert message.values(b"content-length") == [b"%d" % len(body)]
    problem = json.loads(body)
    assert problem["status"] == message.status
    assert problem["source"] == "client"
    assert b"smuggled" not in answer
    return message


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
async def test_an_ambiguous_head_is_refused(data: bytes, bytewise: bool) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = refused(await gate.raw(data + SMUGGLED, bytewise=bytewise))
    assert answer.status in {400, 501}
    assert backend.received == b""


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
async def test_a_content_with_broken_framing_is_refused(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        answer = refused(await gate.raw(data + SMUGGLED))
    assert answer.status == 400
    assert backend.received == b""


@pytest.mark.parametrize("data", CONTENTS.values(), ids=CONTENTS)
async def test_a_content_that_breaks_on_its_way_never_looks_whole(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        refused(await gate.raw(data + SMUGGLED, bytewise=True))
    assert len(backend.requests) <= 1
    assert b"\r\n0\r\n" not in backend.received
    assert b"smuggled" not in backend.received


@pytest.mark.parametrize("data", [HEADS["no Host"], HEADS["empty Host"]], ids=["none", "empty"])
async def test_an_old_client_without_host_does_not_open_the_door_for_new_ones(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        await gate.raw(b"GET / HTTP/1.0\r\n\r\n")
        answer = refused(await gate.raw(data))
    assert answer.status == 400
    assert len(backend.requests) == 1


@pytest.mark.parametrize("data", HEADS.values(), ids=HEADS)
async def test_an_ambiguous_head_behind_a_good_request_ends_the_connection(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(GET + data + SMUGGLED)
        assert (await client.message()).status == 200
        assert refused(await client.rest()).status in {400, 501}
    assert len(backend.requests) == 1


async def test_the_parser_is_as_good_as_new_after_each_refusal() -> None:
    async with upstream() as backend, gateway(backend) as gate:
        for data in HEADS.values():
            await gate.raw(data)
            assert (await gate.ask(GET)).status == 200
    assert len(backend.requests) == len(HEADS)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x16\x03\x01\x02\x00\x01",
        b"hello\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"EHLO example.com\r\n",
        b"\x00" * 64,
        b"\xff",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET /\r\n",
        b"\r",
    ],
    ids=[
        "TLS",
        "TLS, the first bytes",
        "words",
        "SSH",
        "SMTP",
        "NULs",
        "one byte",
        "Redis",
        "HTTP/0.9",
        "a CR, then more",
    ],
)
async def test_another_protocol_is_answered_400_at_once(data: bytes) -> None:
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(data)
        if data == b"\r":
            await client.send(b"GET / HTTP/1.1\r\n")
        assert refused(await client.rest()).status == 400
    assert backend.received == b""


@pytest.mark.parametrize("value", [b"h2c", b"H2C", b"websocket, h2c", b"foo,h2c-14"])
async def test_h2c_is_not_offered_to_a_backend_and_nothing_behind_it_is_lost(value: bytes) -> None:
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABk\r\nUpgrade: " + value + b"\r\n"
    async with upstream() as backend, gateway(backend) as gate:
        client = await gate.client()
        await client.send(b"GET /1 HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n" + GET)
        assert [(await client.message()).status, (await client.message()).status] == [200, 200]
    assert backend.requests == [b"GET /1 HTTP/1.1", b"GET / HTTP/1.1"]
    assert b"h2c" not in backend.received.lower()
    assert b"settings" not in backend.received.lower()
