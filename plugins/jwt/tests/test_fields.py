"""What the service gets: fields from claims that nobody can spoof, and the token or not."""

from typing import Any

import pytest

from spork_core.api import Exchange, Identity, Plugin, hookimpl
from spork_core.testing import gateway

FORWARD = {"X-User-Id": "sub", "X-User-Roles": "roles", "X-Tier": "tier.name"}
OPTIONAL = {"all": {"match": {"path": "/*"}, "service": "up", "authenticate": "optional"}}
SPOOFED = (
    b"X-User-Id: root\r\nx-user-id: root\r\nX_User_Id: root\r\nX-User_Id: root\r\nX-USER-ROLES: admin\r\n"
    b"x_user-roles: admin\r\nX-Tier: gold\r\nX_Tier: gold\r\n"
)


class AnybodyIsBob(Plugin):
    """Knows everybody before anybody else is asked."""

    provides = ("identity",)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity:
        return Identity("bob")

    def challenge(self) -> str:
        return "Nobody"


def like_user(fields: list[tuple[str, str]]) -> dict[str, str]:
    """The fields that a service could take for the gateway's."""
    return {name: value for name, value in fields if name.lower().replace("_", "-").startswith(("x-user", "x-tier"))}


async def raw(gw: Any, fields: bytes, target: bytes = b"/") -> bytes:
    return await gw.raw(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + fields + b"\r\n")


async def test_claims_go_to_the_service(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "forward": FORWARD}}) as gw:
        for _ in range(2):  # the second time it is known
            claims = {"roles": ["admin", "ops"], "tier": {"name": "gold"}}
            (await gw.get("/", headers=issuer.bearer(**claims))).must_be(200)
            gw.upstream.last.must_have("X-User-Id", "alice").must_have("X-User-Roles", "admin,ops")
            gw.upstream.last.must_have("X-Tier", "gold").must_have("Authorization")


async def test_what_clients_send_in_their_place_is_removed(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "forward": FORWARD}}, routes=OPTIONAL) as gw:
        for _ in range(2):
            await raw(gw, SPOOFED)
            assert like_user(gw.upstream.last.headers.items()) == {}
            for _ in range(2):
                await raw(gw, SPOOFED + f"Authorization: Bearer {issuer.token()}\r\n".encode())
                assert like_user(gw.upstream.last.headers.items()) == {"X-User-Id": "alice"}


async def test_they_are_removed_also_where_another_instance_knows_the_caller(secret: str) -> None:
    plugins = {"bob": AnybodyIsBob, "jwt": {"secret": secret, "forward": FORWARD}}
    async with gateway(plugins=plugins) as gw:
        await raw(gw, SPOOFED)
        assert like_user(gw.upstream.last.headers.items()) == {}


async def test_also_after_thousands_of_other_names(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "forward": FORWARD}}, routes=OPTIONAL) as gw:
        for number in range(0, 3000, 50):
            await raw(gw, b"".join(b"X-Name-%d: 1\r\n" % each for each in range(number, number + 50)) + SPOOFED)
            assert like_user(gw.upstream.last.headers.items()) == {}
        assert len(gw.gateway.snapshot.instances["jwt"].plugin._guard._innocent) <= 1024


@pytest.mark.parametrize(
    ("value", "field"),
    [
        ("text", "text"),
        (7, "7"),
        (7.5, "7.5"),
        (True, "true"),
        (["a", "b"], "a,b"),
        ("ålice", "ålice"),
        ("a\r\nX-Evil: 1", None),
        ("a\x00", None),
        (" a", None),
        ("", None),
        (["a,b"], None),
        (["a", 1], None),
        ([], None),
        ({"a": 1}, None),
        (None, None),
    ],
)
async def test_a_claim_as_a_field(issuer: Any, secret: str, value: Any, field: str | None) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "forward": {"X-Tier": "tier"}}}) as gw:
        (await gw.get("/", headers={**issuer.bearer(tier=value), "X-Tier": "spoofed"})).must_be(200)
        if field is None:
            gw.upstream.last.must_not_have("X-Tier")
        else:
            gw.upstream.last.must_have("X-Tier", field)


async def test_a_claim_whose_name_has_dots(issuer: Any, secret: str) -> None:
    settings = {"secret": secret, "roles": "https://example.com/roles", "forward": {"X-R": "https://example.com/roles"}}
    async with gateway(plugins={"jwt": settings}) as gw:
        (await gw.get("/", headers=issuer.bearer(**{"https://example.com/roles": ["a"]}))).must_be(200)
        gw.upstream.last.must_have("X-R", "a")


async def test_nothing_is_forwarded_by_choice(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "forward": {}}}) as gw:
        (await gw.get("/", headers={**issuer.bearer(), "X-User-Id": "7"})).must_be(200)
        gw.upstream.last.must_have("X-User-Id", "7")


async def test_the_token_is_taken_out_by_choice(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "strip": True}}, routes=OPTIONAL) as gw:
        for _ in range(2):
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
            gw.upstream.last.must_not_have("Authorization").must_have("X-User-Id", "alice")
        (await gw.get("/", headers={"Authorization": "Basic YTpi"})).must_be(200)
        gw.upstream.last.must_have("Authorization", "Basic YTpi")  # not ours


async def test_a_cookie_by_choice(issuer: Any, secret: str) -> None:
    token = issuer.token()
    async with gateway(plugins={"jwt": {"secret": secret, "cookie": "session", "strip": True}}) as gw:
        for cookie in (f"a=1; session={token}; b=2", f'a=1;b=2;session="{token}"'):
            (await gw.get("/", headers={"Cookie": cookie, "Authorization": "Basic YTpi"})).must_be(200)
            gw.upstream.last.must_have("Cookie", "a=1; b=2").must_have("Authorization", "Basic YTpi")
        (await gw.get("/", headers={"Cookie": f"session={token}"})).must_be(200)
        gw.upstream.last.must_not_have("Cookie")
        (await gw.get("/", headers={"Cookie": f"my-session={token}"})).must_be(401)
        (await gw.get("/", headers={"Cookie": "session=x"})).must_be(401).must_mention("malformed")


async def test_a_parameter_by_choice(issuer: Any, secret: str) -> None:
    token = issuer.token()
    async with gateway(plugins={"jwt": {"secret": secret, "query": "access_token", "strip": True}}) as gw:
        for target, left in ((f"/a?x=1&access_token={token}&y", "/a?x=1&y"), (f"/a?access%5Ftoken={token}", "/a")):
            (await gw.get(target)).must_be(200)
            gw.upstream.last.must_ask("GET", left)


async def test_neither_is_looked_at_unless_chosen(issuer: Any, secret: str) -> None:
    token = issuer.token()
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        cookies = {"Cookie": f"session={token}; access_token={token}; token={token}; jwt={token}"}
        (await gw.get(f"/?access_token={token}&token={token}&jwt={token}", headers=cookies)).must_be(401)
