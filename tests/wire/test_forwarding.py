"""What a backend is told about the client and the way, and whom the gateway believes."""

from ipaddress import ip_network
from typing import Any

import pytest

from spork_core.api import Exchange, Plugin, Response, hookimpl
from spork_core.config.model import ForwardedConfig
from tests.wire.conftest import GET, OK, Message, gateway, upstream

US = (ip_network("127.0.0.0/8"),)


def get(*lines: bytes, host: bytes = b"a", version: bytes = b"1.1") -> bytes:
    return b"\r\n".join((b"GET / HTTP/" + version, b"Host: " + host, *lines, b"", b""))


async def told(data: bytes, **more: Any) -> dict[bytes, list[bytes]]:
    """The forwarding fields that the backend gets, by their names in lower case."""
    async with upstream() as backend, gateway(backend, **more) as gate:
        await gate.ask(data)
        head = Message(backend.received)
    names = {line.partition(b":")[0].lower() for line in head.lines}
    return {name: head.values(name) for name in names if name.startswith((b"x-", b"forwarded", b"via"))}


class Seen(Plugin[Any]):
    """Answers who the client is."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        request = exchange.request
        return Response(200, f"{request.client} {request.peer} {request.scheme} {request.host} {request.trusted}")


async def seen(*lines: bytes, trusted: bool = True) -> bytes:
    async with gateway(plugins={"seen": Seen}, trusted_proxies=US if trusted else ()) as gate:
        return (await gate.ask(get(*lines))).body


@pytest.mark.parametrize("host", [b"a", b"api.example.com:8443", b"[::1]:80"])
async def test_the_backend_learns_who_asked_for_what(host: bytes) -> None:
    assert await told(get(host=host)) == {
        b"x-forwarded-for": [b"127.0.0.1"],
        b"x-forwarded-proto": [b"http"],
        b"x-forwarded-host": [host],
        b"via": [b"1.1 spork"],
    }


@pytest.mark.parametrize("kept", [(), (b"Connection: keep-alive",), (b"Connection: x",)])
async def test_what_a_stranger_says_about_itself_is_replaced(kept: tuple[bytes, ...]) -> None:
    said = [b"%b: 9.9.9.9" % name for name in SPEAKS_FOR_A_CLIENT]
    assert await told(get(*said, *kept)) == await told(get())


SPEAKS_FOR_A_CLIENT = [
    *(b"X-Forwarded-For", b"x-forwarded-for", b"X-Forwarded-Proto", b"X-Forwarded-Host", b"X-Forwarded-Port"),
    *(b"X-Forwarded-Prefix", b"X-Forwarded-Path", b"X-Forwarded-Server", b"X-Forwarded-Uri", b"X-Forwarded-Method"),
    *(b"X-Forwarded-Tls-Client-Cert", b"X-Forwarded-Tls-Client-Cert-Info", b"X-Real-Ip", b"Forwarded"),
    *(b"X_Forwarded_For", b"X-Forwarded_For", b"x_real_ip"),
]


@pytest.mark.parametrize("kept", [(), (b"Connection: keep-alive",), (b"Connection: x",)])
async def test_what_a_trusted_proxy_says_is_kept_and_added_to(kept: tuple[bytes, ...]) -> None:
    said = (b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-For: 5.6.7.8", b"X-Forwarded-Proto: https")
    fields = await told(get(*said, b"X-Forwarded-Host: b", b"X-Forwarded-Port: 443", *kept), trusted_proxies=US)
    assert fields == {
        b"x-forwarded-for": [b"1.2.3.4, 5.6.7.8, 127.0.0.1"],
        b"x-forwarded-proto": [b"https"],
        b"x-forwarded-host": [b"b"],
        b"x-forwarded-port": [b"443"],
        b"via": [b"1.1 spork"],
    }


async def test_a_trusted_proxy_may_send_any_bytes() -> None:
    fields = await told(get(b"X-Forwarded-For: caf\xe9, 1.2.3.4"), trusted_proxies=US)
    assert fields[b"x-forwarded-for"] == [b"caf\xe9, 1.2.3.4, 127.0.0.1"]


async def test_two_clients_of_one_proxy_are_told_apart_on_one_connection() -> None:
    async with upstream() as backend, gateway(backend, trusted_proxies=US) as gate:
        client = await gate.client()
        for data in (get(b"X-Forwarded-For: 1.1.1.1"), get(), get(b"X-Forwarded-For: 2.2.2.2"), get(host=b"b")):
            await client.send(data)
            await client.message()
    assert Message(backend.received).values(b"x-forwarded-for") == [
        b"1.1.1.1, 127.0.0.1",
        b"127.0.0.1",
        b"2.2.2.2, 127.0.0.1",
        b"127.0.0.1",
    ]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ((), b"127.0.0.1 127.0.0.1 http a True"),
        ((b"X-Forwarded-For: 1.2.3.4",), b"1.2.3.4 127.0.0.1 http a True"),
        ((b"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.9.9.9",), b"1.2.3.4 127.0.0.1 http a True"),
        ((b"X-Forwarded-For: 1.2.3.4:555",), b"1.2.3.4 127.0.0.1 http a True"),
        ((b"X-Forwarded-For: 1.2.3.4, nonsense",), b"127.0.0.1 127.0.0.1 http a True"),
        ((b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b"), b"127.0.0.1 127.0.0.1 https b True"),
        ((b"X-Forwarded-Proto: javascript", b"X-Forwarded-Host: b/../c"), b"127.0.0.1 127.0.0.1 http a True"),
        ((b'Forwarded: for="[2001:db8::1]:99";proto=https;host=b',), b"2001:db8::1 127.0.0.1 https b True"),
    ],
)
async def test_plugins_see_the_client_behind_a_trusted_proxy(lines: tuple[bytes, ...], answer: bytes) -> None:
    assert await seen(*lines) == answer


async def test_plugins_see_a_stranger_as_it_connects() -> None:
    answer = await seen(b"X-Forwarded-For: 1.2.3.4", b"X-Forwarded-Proto: https", trusted=False)
    assert answer == b"127.0.0.1 127.0.0.1 http a False"


async def test_forwarded_is_sent_when_asked_for() -> None:
    fields = await told(get(), forwarded=ForwardedConfig(x_forwarded=False, forwarded=True, via="edge"))
    assert fields == {b"forwarded": [b'for=127.0.0.1;host="a";proto=http'], b"via": [b"1.1 edge"]}


async def test_forwarded_of_a_trusted_proxy_goes_before_ours() -> None:
    fields = await told(
        get(b"Forwarded: for=1.2.3.4"), trusted_proxies=US, forwarded=ForwardedConfig(x_forwarded=False, forwarded=True)
    )
    assert fields[b"forwarded"][0] == b"for=1.2.3.4"
    assert len(fields[b"forwarded"]) == 2


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_via_is_added_behind_the_others_with_the_version_received(version: bytes) -> None:
    fields = await told(get(b"Via: 1.1 first", version=version))
    assert fields[b"via"] == [b"1.1 first", version + b" spork"]


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_via_of_an_answer_has_the_version_of_the_backend(version: bytes) -> None:
    told = OK.replace(b"1.1", version, 1).replace(b"Date", b"Via: 1.0 inner\r\nDate")
    async with upstream(told) as backend, gateway(backend) as gate:
        answer = await gate.ask(GET)
    assert answer.start == b"HTTP/1.1 200 OK"
    assert answer.values(b"via") == [b"1.0 inner", version + b" spork"]
