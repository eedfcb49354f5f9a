"""Keys from a provider: fetched once for all, anew when they rotate, and kept when it does not answer."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import trustme
from aiohttp import TraceConfig

from spork_core.api import SESSION_TRACING, GatewayView, Plugin, hookimpl
from spork_core.testing import gateway, holds, scripts, upstream
from spork_core.testing.scripts import http

MALFORMED = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}}"
ISSUER, AUDIENCE = "https://id.example.com", "spork"


class Provider:
    """An identity provider: what it publishes, and what it does on bad days."""

    def __init__(self, *issuers: Any) -> None:
        self.keys = [issuer.jwk() for issuer in issuers]
        self.raw: bytes | None = None
        """An answer in the place of the keys."""
        self.gate = asyncio.Event()
        """No answer before it is set."""
        self.gate.set()
        self.place: Any = None

    async def play(self, wire: Any) -> None:
        while await wire.begun():
            await wire.message()
            await self.gate.wait()
            await wire.send(self.raw or http(200, json.dumps({"keys": self.keys})))

    @property
    def fetches(self) -> int:
        return len(self.place.got)

    def settings(self, **jwks: Any) -> dict[str, Any]:
        url = f"{self.place.url}/keys"
        return {"jwks_url": url, "issuer": ISSUER, "audience": AUDIENCE, "jwks": jwks, "cache": {"max_age": "1d"}}


class Traces(Plugin):
    """Traces the sessions of other instances."""

    gives = (SESSION_TRACING,)
    seen: ClassVar[list[str]] = []

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        async def begun(_session: object, _context: object, params: Any) -> None:
            Traces.seen.append(str(params.url))

        tracing = TraceConfig()
        tracing.on_request_start.append(begun)
        gateway.resources[SESSION_TRACING] = [tracing]


@asynccontextmanager
async def running(*issuers: Any) -> AsyncIterator[Provider]:
    provider = Provider(*issuers)
    async with upstream(provider.play) as provider.place:
        yield provider


async def ask(gw: Any, issuer: Any, **claims: Any) -> Any:
    return await gw.get("/", headers=issuer.bearer(iss=ISSUER, aud=AUDIENCE, **claims))


async def test_keys_are_fetched_at_start(of: Any) -> None:
    one, two = of("RS256", "k1"), of("ES256", "k2")
    async with running(one, two) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        for issuer in (one, two):
            (await ask(gw, issuer)).must_be(200)
        assert provider.fetches == 1
        provider.place.last.must_ask("GET", "/keys").must_not_have("Cookie")


async def test_a_token_with_a_new_key_has_them_fetched(of: Any) -> None:
    old, new = of("RS256", "k1"), of("ES256", "k2")
    async with running(old) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        provider.keys.append(new.jwk())
        gw.clock.advance(31)
        asked = [asyncio.ensure_future(ask(gw, new, jti=str(number))) for number in range(8)]
        for answer in await asyncio.gather(*asked):
            answer.must_be(200)
        assert provider.fetches == 2


async def test_a_flood_of_unknown_keys_is_one_fetch_in_a_cooldown(of: Any, challenge: Any) -> None:
    good = of("ES256", "k1")
    async with running(good) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        for round_ in range(3):
            forged = [ask(gw, of("ES256", f"x{round_}-{number}", "forger")) for number in range(20)]
            for answer in await asyncio.gather(*forged):
                answer.must_be(401).must_have("WWW-Authenticate", challenge("The key of the token is not known."))
            (await ask(gw, good)).must_be(200)
            assert provider.fetches == 1 + round_
            gw.clock.advance(31)


async def test_a_key_that_is_gone_vouches_for_nothing(of: Any) -> None:
    old, new = of("RS256", "k1"), of("RS256", "k2", "new")
    async with running(old) as provider, gateway(plugins={"jwt": provider.settings(refresh="10m")}) as gw:
        (await ask(gw, old)).must_be(200)
        provider.keys = [new.jwk()]
        gw.clock.advance(601)
        await holds(lambda: provider.fetches == 2)
        await holds(lambda: gw.metrics()["jwt_jwks_fetches"]["jwt", "good"] == 2)
        (await ask(gw, old)).must_be(401)
        (await ask(gw, new)).must_be(200)


@pytest.mark.parametrize(
    "raw",
    [
        http(500),
        http(404),
        http(200, b"no JSON"),
        http(200, b"[" * 100_000),
        http(200, b"[]"),
        http(200, b'{"keys": {}}'),
        http(200, b'{"keys": []}'),
        http(200, json.dumps({"keys": [{"kty": "oct", "k": "c2VjcmV0" * 8, "kid": "k1"}]})),
        http(200, json.dumps({"keys": [{}] * 101})),
        http(200, b"{", length=1000),
        MALFORMED,
        b"HTTP/9 what\r\n\r\n",
    ],
)
async def test_the_last_good_keys_serve_on(of: Any, raw: bytes) -> None:
    issuer = of("ES256", "k1")
    async with running(issuer) as provider, gateway(plugins={"jwt": provider.settings(timeout="1s")}) as gw:
        provider.raw = raw
        gw.clock.advance(601)
        await holds(lambda: provider.fetches >= 2)
        gw.clock.advance(2)
        await holds(lambda: gw.metrics()["jwt_jwks_fetches"]["jwt", "failed"] >= 1)
        (await ask(gw, issuer)).must_be(200)
        plugin = gw.gateway.snapshot.instances["jwt"].plugin
        assert plugin.health(gw.gateway.view()) is None
        assert plugin.describe(gw.gateway.view())["jwks"]["last_failure"]


async def test_what_is_too_large_or_elsewhere_is_not_taken(of: Any) -> None:
    issuer, other = of("ES256", "k1"), of("ES256", "k2", "new")
    async with running(issuer) as provider, running(other) as elsewhere:
        large = json.dumps({"keys": [other.jwk()], "more": "x" * (300 << 10)})
        async with gateway(plugins={"jwt": provider.settings()}) as gw:
            for raw in (http(200, large), http(302, b"", {"Location": f"{elsewhere.place.url}/keys"})):
                provider.raw = raw
                gw.clock.advance(31)
                (await ask(gw, other)).must_be(401)
            assert gw.metrics()["jwt_jwks_fetches"]["jwt", "failed"] >= 2
        elsewhere.place.must_not_be_reached()


async def test_but_not_for_ever(of: Any) -> None:
    issuer = of("ES256", "k1")
    async with running(issuer) as provider, gateway(plugins={"jwt": provider.settings(max_stale="2h")}) as gw:
        provider.raw = http(503)
        gw.clock.advance(7000)
        (await ask(gw, issuer, exp=int(gw.clock.now) + 9999)).must_be(200)
        gw.clock.advance(400)
        await holds(lambda: gw.metrics()["jwt_jwks_fetches"]["jwt", "failed"] >= 1)
        (await ask(gw, issuer, exp=int(gw.clock.now) + 9998)).must_be_problem("dependency-down", 503)
        plugin = gw.gateway.snapshot.instances["jwt"].plugin
        assert "503" in str(plugin.health(gw.gateway.view()))


async def test_a_provider_that_is_down_at_the_start(of: Any) -> None:
    issuer = of("ES256", "k1")
    routes = {"all": {"match": {"path": "/*"}, "service": "up", "authenticate": "optional"}}
    async with running(issuer) as provider:
        provider.raw = http(503)
        async with gateway(plugins={"jwt": provider.settings()}, routes=routes) as gw:
            plugin = gw.gateway.snapshot.instances["jwt"].plugin
            (await gw.get("/")).must_be(200)
            down = (await ask(gw, issuer)).must_be_problem("dependency-down", 503)
            down.must_have("Retry-After", "30").must_not_mention("127.0.0.1")
            (await gw.get("/", headers={"Authorization": "Bearer a.b.c"})).must_be(401)
            assert provider.fetches == 1
            assert "no keys from" in str(plugin.health(gw.gateway.view()))
            provider.raw = None
            gw.clock.advance(2)
            await holds(lambda: plugin.health(gw.gateway.view()) is None)
            (await ask(gw, issuer)).must_be(200)


async def test_a_provider_that_is_down_is_asked_less_and_less_often(of: Any) -> None:
    async with running(of("ES256", "k1")) as provider:
        provider.raw = http(503)
        async with gateway(plugins={"jwt": provider.settings()}) as gw:
            failed = 1
            for seconds in (1, 2, 4, 8):
                gw.clock.advance(seconds)
                failed += 1
                await holds(lambda count=failed: gw.metrics()["jwt_jwks_fetches"]["jwt", "failed"] == count)
            await gw.clock.elapse(8)  # of 16
            assert provider.fetches == failed


async def test_the_keys_outlive_a_reload_while_it_is_down(of: Any) -> None:
    issuer = of("ES256", "k1")
    async with running(issuer) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        provider.raw = http(503)
        await gw.reload(plugins={"jwt": {**provider.settings(), "leeway": "1s"}})
        (await ask(gw, issuer)).must_be(200)
        assert provider.fetches == 2


async def test_a_provider_that_hangs_holds_up_the_start_no_longer_than_it_may(of: Any) -> None:
    issuer = of("ES256", "k1")
    async with running(issuer) as provider:
        provider.gate.clear()
        async with gateway(plugins={"jwt": provider.settings(timeout="100ms")}) as gw:
            (await ask(gw, issuer)).must_be(503)
            provider.gate.set()


async def test_whoever_leaves_takes_nothing_from_those_who_wait(of: Any) -> None:
    old, new = of("ES256", "k1"), of("ES256", "k2", "new")
    async with running(old) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        provider.keys.append(new.jwk())
        provider.gate.clear()
        gw.clock.advance(31)
        leaving, waiting = (asyncio.ensure_future(ask(gw, new, jti=jti)) for jti in "ab")
        await holds(lambda: provider.fetches == 2)
        await holds(lambda: gw.gateway.snapshot.running == 2)
        leaving.cancel()
        await holds(lambda: gw.gateway.snapshot.running == 1)
        provider.gate.set()
        (await waiting).must_be(200)
        assert provider.fetches == 2


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"use": "enc"}, "its use is not sig"),
        ({"key_ops": ["sign"]}, "its key_ops do not have verify"),
        ({"key_ops": "verify"}, "its key_ops do not have verify"),
        ({"alg": "ES384"}, "its kty, crv and alg fit none of the algorithms that are accepted"),
        ({"alg": ["ES256"]}, "its kty, crv and alg fit none of the algorithms that are accepted"),
        ({"kty": "RSA"}, "it cannot be read (InvalidKeyError)"),
        ({"kty": ["EC"]}, "its kty is none of RSA, EC, OKP and oct"),
        ({"kty": "oct", "k": "c2VjcmV0" * 8}, "it is a secret, which no URL should give away"),
        ({"crv": "secp256k1"}, "its kty, crv and alg fit none of the algorithms that are accepted"),
        ({"crv": {}}, "its kty, crv and alg fit none of the algorithms that are accepted"),
        ({"d": "AAAA"}, "it holds its private half, so that whoever reads it can sign"),
        ({"x": "AAAA"}, "it cannot be read (InvalidKeyError)"),
        ({"x": None}, "it cannot be read (TypeError)"),
        ({"kid": 7}, "its kid is no text"),
    ],
)
async def test_keys_for_something_else_are_left_out(of: Any, more: dict[str, Any], why: str) -> None:
    good, odd = of("ES256", "k1"), of("ES256", "k2", "odd")
    async with running(good) as provider:
        provider.keys.append({**odd.jwk(), **more})
        async with gateway(plugins={"jwt": provider.settings()}) as gw:
            (await ask(gw, good)).must_be(200)
            (await ask(gw, odd)).must_be(401)
            told = gw.gateway.snapshot.instances["jwt"].plugin.describe(gw.gateway.view())
            (left_out,) = told["keys_left_out"]
            assert left_out.partition(": ")[2] == why


async def test_a_weak_rsa_key_is_left_out(of: Any) -> None:
    good, weak = of("ES256", "k1"), of("RS256", "k2", kind="RSA1024")
    async with running(good, weak) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        (await ask(gw, good)).must_be(200)
        forged = weak.signed(b'{"alg":"RS256","kid":"k2"}', json.dumps(weak.claims(iss=ISSUER, aud=AUDIENCE)).encode())
        (await gw.get("/", headers={"Authorization": f"Bearer {forged}"})).must_be(401)


async def test_tokens_and_keys_without_a_kid(of: Any) -> None:
    one, two = of("ES256", None, "one"), of("ES256", None, "two")
    async with running(one, two) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        for issuer in (one, two):
            (await ask(gw, issuer)).must_be(200)
        (await ask(gw, of("ES256", None, "three"))).must_be(401)


async def test_keys_without_a_kid_rotate(of: Any) -> None:
    old, new = of("ES256", None, "one"), of("ES256", None, "two")
    async with running(old) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        provider.keys = [new.jwk()]
        (await ask(gw, new)).must_be(401)
        gw.clock.advance(31)
        (await ask(gw, new)).must_be(200)
        for number in range(5):
            (await ask(gw, old, jti=str(number))).must_be(401)
        assert provider.fetches == 2


async def test_a_fetch_is_traced_where_somebody_traces(of: Any) -> None:
    issuer = of("ES256", "k1")
    async with running(issuer) as provider:
        plugins = {"traces": Traces, "jwt": provider.settings()}
        async with gateway(plugins=plugins):
            assert Traces.seen == [f"{provider.place.url}/keys"]


async def test_a_provider_with_a_certificate_of_its_own(of: Any, tmp_path: Path) -> None:
    issuer, authority = of("ES256", "k1"), trustme.CA()
    authority.cert_pem.write_to_path(f"{tmp_path}/ca.pem")
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(tls)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(http(200, json.dumps({"keys": [issuer.jwk()]})))
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "localhost", 0, ssl=tls) as server:
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}/keys"
        settings = {"jwks_url": url, "issuer": ISSUER, "audience": AUDIENCE}
        async with gateway(plugins={"jwt": settings}) as gw:
            (await ask(gw, issuer)).must_be(503)
            await gw.reload(plugins={"jwt": {**settings, "jwks": {"ca_file": f"{tmp_path}/ca.pem"}}})
            (await ask(gw, issuer)).must_be(200)


async def test_too_many_keys_to_try_them_all(of: Any) -> None:
    issuers = [of("ES256", f"k{number}", f"many{number}") for number in range(5)]
    async with running(*issuers) as provider, gateway(plugins={"jwt": provider.settings()}) as gw:
        (await ask(gw, issuers[4])).must_be(200)
        (await ask(gw, of("ES256", None, "many4"))).must_be(401)


async def test_a_provider_that_is_nobody(of: Any) -> None:
    async with upstream(scripts.closes_at_once()) as place:
        url = place.url
    settings = {"jwks_url": url, "issuer": ISSUER, "audience": AUDIENCE}
    async with gateway(plugins={"jwt": settings}) as gw:
        (await ask(gw, of("ES256", "k1"))).must_be(503)
