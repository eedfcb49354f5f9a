"""Tokens that are remembered: until they expire and no longer, within bounds, and whatever else is sent meanwhile."""

from typing import Any

from spork_core.testing import gateway


def counted(gw: Any, result: str) -> float:
    return gw.metrics()["jwt_verifications"]["jwt", result]


async def test_a_token_is_verified_once(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        for _ in range(3):
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert (counted(gw, "accepted"), counted(gw, "cached")) == (1, 2)


async def test_not_longer_than_it_lives(issuer: Any, secret: str, now: int, challenge: Any) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "leeway": "10s", "cache": {"max_age": "1d"}}}) as gw:
        headers = issuer.bearer(exp=now + 60)
        (await gw.get("/", headers=headers)).must_be(200)
        gw.clock.advance(69)
        (await gw.get("/", headers=headers)).must_be(200)
        gw.clock.advance(1)
        expired = (await gw.get("/", headers=headers)).must_be(401)
        expired.must_have("WWW-Authenticate", challenge("The token has expired."))
        assert counted(gw, "cached") == 1


async def test_not_longer_than_max_age(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "cache": {"max_age": "1m"}}}) as gw:
        for seconds in (0, 59, 1):
            gw.clock.advance(seconds)
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert (counted(gw, "accepted"), counted(gw, "cached")) == (2, 1)


async def test_its_number_is_bounded_and_the_used_stay(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "cache": {"entries": 4}}}) as gw:
        for number in range(12):
            (await gw.get("/", headers=issuer.bearer(jti="often"))).must_be(200)
            (await gw.get("/", headers=issuer.bearer(jti=str(number)))).must_be(200)
        assert gw.metrics()["jwt_cache_entries"]["jwt",] == 4
        assert (counted(gw, "accepted"), counted(gw, "cached")) == (13, 11)
        assert gw.metrics()["jwt_cache_evictions"]["jwt",] == 9


async def test_its_size_is_bounded(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "cache": {"size": "64KiB"}}}) as gw:
        for number in range(40):
            (await gw.get("/", headers=issuer.bearer(jti=str(number), more="x" * 3000))).must_be(200)
        assert 0 < gw.metrics()["jwt_cache_bytes"]["jwt",] <= 64 << 10


async def test_bad_tokens_displace_nothing(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "cache": {"entries": 2}}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        for number in range(20):
            (await gw.get("/", headers={"Authorization": f"Bearer {issuer.token()[:-4]}{number:04}"})).must_be(401)
            (await gw.get("/", headers=issuer.bearer(exp=number))).must_be(401)
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert counted(gw, "cached") == 1


async def test_ways_to_write_it_are_one_entry(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        for scheme in ("Bearer ", "bearer ", "bEARER ", "Bearer  "):
            (await gw.get("/", headers={"Authorization": scheme + issuer.token()})).must_be(200)
        assert gw.metrics()["jwt_cache_entries"]["jwt",] == 1
        assert counted(gw, "cached") == 3


async def test_nothing_is_remembered_by_choice(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret, "cache": {"entries": 0}}}) as gw:
        for _ in range(2):
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert (counted(gw, "accepted"), counted(gw, "cached")) == (2, 0)


async def test_a_reload_forgets(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        await gw.reload(plugins={"jwt": {"secret": secret[::-1]}})
        (await gw.get("/", headers=issuer.bearer())).must_be(401)


async def test_operators_are_told(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": {"secrets": {"k1": secret}}}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        plugin = gw.gateway.snapshot.instances["jwt"].plugin
        told = plugin.describe(gw.gateway.view())
        assert told["keys"] == [{"kid": "k1", "algorithm": "HS256"}]
        assert told["cache"]["tokens"] == 1
        assert told["verified"] == {"accepted": 1}
        assert plugin.health(gw.gateway.view()) is None
