"""Tokens that are good: every algorithm and every source of keys, what is known of the caller, and who is asked."""

from pathlib import Path
from typing import Any

import pytest

from spork_core.api import Exchange, Plugin, hookimpl
from spork_core.testing import gateway

HS = ("HS256", "HS384", "HS512")
PUBLIC = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")


class Listens(Plugin):
    """Keeps who is calling."""

    def __init__(self, config: Any, name: str) -> None:
        super().__init__(config, name)
        LISTENED.clear()

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        LISTENED.append(exchange.identity)


LISTENED: list[Any] = []


@pytest.mark.parametrize("algorithm", HS)
async def test_a_secret(of: Any, secret: str, algorithm: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "algorithms": list(HS)}}) as gw:
        (await gw.get("/", headers=of(algorithm).bearer())).must_be(200)


@pytest.mark.parametrize("algorithm", PUBLIC)
async def test_a_public_key_in_pem(of: Any, tmp_path: Path, algorithm: str) -> None:
    issuer = of(algorithm)
    (tmp_path / "key.pem").write_bytes(issuer.pem)
    jwt = {"public_key_file": str(tmp_path / "key.pem"), "algorithms": [algorithm]}
    async with gateway(plugins={"jwt": jwt}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        (await gw.get("/", headers=of(algorithm, name="other").bearer())).must_be(401)


@pytest.mark.parametrize("algorithm", [*HS, *PUBLIC])
async def test_a_jwks_file(of: Any, jwks: Any, tmp_path: Path, algorithm: str) -> None:
    issuer = of(algorithm, "k1")
    (tmp_path / "jwks.json").write_text(jwks(issuer.jwk(use="sig", alg=algorithm)))
    async with gateway(plugins={"jwt": {"jwks_file": f"{tmp_path}/jwks.json", "algorithms": [algorithm]}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        (await gw.get("/", headers=of(algorithm, "k2").bearer())).must_be(401)


async def test_ed448(of: Any, tmp_path: Path) -> None:
    issuer = of("EdDSA", kind="Ed448")
    (tmp_path / "key.pem").write_bytes(issuer.pem)
    async with gateway(plugins={"jwt": {"public_key_file": f"{tmp_path}/key.pem"}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)


async def test_secrets_rotate_by_kid(of: Any, secret: str) -> None:
    secrets = {"old": secret[::-1], "new": secret}
    async with gateway(plugins={"jwt": {"secrets": secrets}}) as gw:
        (await gw.get("/", headers=of("HS256", "new").bearer())).must_be(200)
        (await gw.get("/", headers=of("HS256", "old").bearer())).must_be(401)  # signed with the new one
        (await gw.get("/", headers=of("HS256", "older").bearer())).must_be(401)
        (await gw.get("/", headers=of("HS256").bearer())).must_be(200)  # names none: each is tried


async def test_pem_files_rotate_by_kid(of: Any, tmp_path: Path) -> None:
    old, new = of("RS256", "old", "old"), of("ES256", "new")
    files = {}
    for issuer in (old, new):
        (tmp_path / issuer.kid).write_bytes(issuer.pem)
        files[issuer.kid] = f"{tmp_path}/{issuer.kid}"
    async with gateway(plugins={"jwt": {"public_key_files": files}}) as gw:
        for issuer in (old, new):
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
        (await gw.get("/", headers=of("RS256", "new", "old").bearer())).must_be(401)


async def test_a_secret_in_base64(secret: str) -> None:
    from base64 import b64encode

    import jwt as pyjwt

    settings = {"secret": b64encode(b"\xff" * 3 + secret.encode()).decode(), "secret_encoding": "base64"}
    async with gateway(plugins={"jwt": settings}) as gw:
        token = pyjwt.encode({"sub": "a", "exp": gw.clock.now + 9}, b"\xff" * 3 + secret.encode(), "HS256")
        (await gw.get("/", headers={"Authorization": f"Bearer {token}"})).must_be(200)


async def test_who_is_calling(issuer: Any, secret: str) -> None:
    settings = {"secret": secret, "subject": "user.id", "scopes": "scp", "roles": "realm_access.roles"}
    claims = {"user": {"id": "u7"}, "scp": ["read", "write"], "realm_access": {"roles": ["admin"]}, "sub": ...}
    async with gateway(plugins={"jwt": settings, "listens": Listens}) as gw:
        (await gw.get("/", headers=issuer.bearer(**claims))).must_be(200)
    (identity,) = LISTENED
    assert (identity.subject, identity.scheme) == ("u7", "jwt")
    assert (identity.scopes, identity.roles) == ({"read", "write"}, {"admin"})
    assert identity.claims["realm_access"] == {"roles": ["admin"]}


@pytest.mark.parametrize("scope", ["read write", ["read", "write"]])
async def test_scopes_are_a_text_or_a_list(issuer: Any, secret: str, scope: Any) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}, "listens": Listens}) as gw:
        (await gw.get("/", headers=issuer.bearer(scope=scope))).must_be(200)
    assert LISTENED[0].scopes == {"read", "write"}


async def test_who_brings_nothing_is_challenged_without_an_error(secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "realm": "api"}}) as gw:
        answer = await gw.get("/")
        answer.must_be_problem("unauthenticated", 401).must_have("WWW-Authenticate", 'Bearer realm="api"')
        basic = await gw.get("/", headers={"Authorization": "Basic YTpi"})
        basic.must_be(401).must_have("WWW-Authenticate", 'Bearer realm="api"')
        gw.upstream.must_not_be_reached()


async def test_where_identity_is_optional_only_bad_tokens_are_refused(issuer: Any, secret: str) -> None:
    routes = {"all": {"match": {"path": "/*"}, "service": "up", "authenticate": "optional"}}
    async with gateway(plugins={"jwt": {"secret": secret}}, routes=routes) as gw:
        (await gw.get("/")).must_be(200)
        (await gw.get("/", headers={"Authorization": "Basic YTpi"})).must_be(200)
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        (await gw.get("/", headers=issuer.bearer(exp=1))).must_be(401)


@pytest.mark.parametrize("scheme", ["bearer ", "BEARER ", "Bearer   "])
async def test_the_scheme_is_written_in_many_ways(issuer: Any, secret: str, scheme: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        for _ in range(2):
            (await gw.get("/", headers={"Authorization": scheme + issuer.token()})).must_be(200)
