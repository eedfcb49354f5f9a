"""Tokens that are revoked: also those that are remembered, on every gateway, and what happens without the store."""

from importlib.util import find_spec
from itertools import product
from typing import Any, ClassVar

import pytest
from spork_jwt.revocations import REVOKE_SUBJECT, Names

from spork_core.api import STORE, GatewayView, MemoryStore, Plugin, Script, StoreDown, hookimpl
from spork_core.testing import gateway, holds

REVOKED = "The token was revoked."
NO_ADMIN = {"listen": "127.0.0.1:0"}


class Elsewhere(MemoryStore):
    """A store that others see, too, and that can fail."""

    shared = True  # type: ignore[misc]  # what the kernel's is not

    def __init__(self, clock: Any) -> None:
        super().__init__(clock)
        self.down = False
        self.asked = 0
        self.deaf = False
        """Messages are lost."""
        self.lost: list[Any] = []

    async def get_many(self, keys: Any) -> list[bytes | None]:
        self.asked += 1
        if self.down:
            raise StoreDown
        return await super().get_many(keys)

    async def publish(self, channel: str, message: bytes) -> None:
        if not self.deaf:
            await super().publish(channel, message)

    def subscribe(self, channel: str, listener: Any, lost: Any = None) -> Any:
        self.lost.append(lost)
        return super().subscribe(channel, listener, lost)


class Shares(Plugin):
    """Gives a store that all gateways of a test share."""

    gives = (STORE,)
    store: ClassVar[Any] = None

    @hookimpl
    def startup(self, gateway: GatewayView) -> None:
        if Shares.store is None:
            Shares.store = Elsewhere(gateway.clock)
        gateway.resources[STORE] = Shares.store


@pytest.fixture(autouse=True)
def _afresh() -> None:
    Shares.store = None


async def revoke(gw: Any, **what: Any) -> Any:
    return await gw.admin.post("/plugins/jwt/revoke", json=what)


def settings(secret: str, **more: Any) -> dict[str, Any]:
    return {"secret": secret, "revocation": True, **more}


async def test_a_token_by_its_id(issuer: Any, secret: str, challenge: Any) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        for jti in ("one", "two"):
            (await gw.get("/", headers=issuer.bearer(jti=jti))).must_be(200)
        assert (await revoke(gw, jti="one")).must_be(200).json() == {"revoked": {"jti": "one"}}
        (await gw.get("/", headers=issuer.bearer(jti="two"))).must_be(200)
        for _ in range(2):
            answer = (await gw.get("/", headers=issuer.bearer(jti="one"))).must_be(401)
            answer.must_have("WWW-Authenticate", challenge(REVOKED))


async def test_all_tokens_of_a_subject_up_to_now(issuer: Any, secret: str, now: int) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        old, undated, bob = issuer.bearer(), issuer.bearer(iat=...), issuer.bearer(sub="bob")
        for headers in (old, undated, bob):
            (await gw.get("/", headers=headers)).must_be(200)
        gw.clock.advance(10)
        said = (await revoke(gw, subject="alice")).must_be(200).json()
        assert said == {"revoked": {"subject": "alice", "before": now + 10}}
        for headers in (old, undated):
            (await gw.get("/", headers=headers)).must_be(401)
        (await gw.get("/", headers=bob)).must_be(200)
        (await gw.get("/", headers=issuer.bearer(iat=now + 11))).must_be(200)


async def test_a_revocation_is_never_taken_back_by_an_earlier_one(secret: str, now: int) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        for before, holding in ((now, now), (now - 50, now), (now + 50, now + 50)):
            assert (await revoke(gw, subject="a", before=before)).json()["revoked"]["before"] == holding


async def test_it_is_remembered_for_as_long_as_a_token_can_live(issuer: Any, secret: str, now: int) -> None:
    async with gateway(plugins={"jwt": settings(secret, max_lifetime="1h")}, admin=NO_ADMIN) as gw:
        headers = issuer.bearer(jti="one", exp=now + 3600)
        await revoke(gw, jti="one")
        await revoke(gw, jti="two", expires=now + 60)
        gw.clock.advance(3629)
        (await gw.get("/", headers=headers)).must_be(401).must_mention("revoked")
        gw.clock.advance(1)
        (await gw.get("/", headers=headers)).must_be(401).must_mention("expired")
        gw.clock.advance(3600)
        assert [key for key in list(gw.gateway.store._kept) if gw.gateway.store.get_now(key)] == []


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"jti": "a", "subject": "b"}',
        b'{"jti": 7}',
        b'{"jti": ""}',
        b'{"jti": "a", "before": 1}',
        b'{"subject": "a", "expires": 1}',
        b'{"subject": "a", "before": "now"}',
        b'{"subject": "a", "before": true}',
        b'{"subject": "a", "before": 1e99}',
        b'{"jti": "a", "expires": 1}',
        b'{"jti": "a", "why": "b"}',
        b'{"jti": "' + b"a" * 5000 + b'"}',
        b"[" * 9999,
    ],
)
async def test_what_cannot_be_revoked(secret: str, content: bytes) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        answer = await gw.admin.post("/plugins/jwt/revoke", body=content, headers={"Content-Type": "application/json"})
        answer.must_be(400)


async def test_a_page_in_a_browser_cannot_revoke(secret: str) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        answer = await gw.admin.post(
            "/plugins/jwt/revoke", body=b'{"jti": "a"}', headers={"Content-Type": "text/plain"}
        )
        answer.must_be(400).must_mention("application/json")


async def test_without_revocation_there_is_no_such_path(secret: str) -> None:
    async with gateway(plugins={"jwt": {"secret": secret}}, admin=NO_ADMIN) as gw:
        (await revoke(gw, jti="a")).must_be(404)


async def test_what_other_plugins_keep_displaces_no_revocation(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        await revoke(gw, jti="one")
        (await gw.get("/", headers=issuer.bearer(jti="one"))).must_be(401)
        for number in range(100_001):
            gw.gateway.store.set_now(f"limit:{number}", 1)
        (await gw.get("/", headers=issuer.bearer(jti="one"))).must_be(401)


# -- a store elsewhere --------------------------------------------------------------------------------


async def test_on_all_gateways_also_where_it_is_remembered(issuer: Any, secret: str) -> None:
    plugins = {"store": Shares, "jwt": settings(secret)}
    async with gateway(plugins=plugins, admin=NO_ADMIN) as one, gateway(plugins=plugins, clock=one.clock) as two:
        for gw in (one, two, two):
            (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        assert Shares.store.asked == 2  # once each
        await revoke(one, jti="a")
        for gw in (one, two):
            (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(401)


async def test_a_lost_message_is_made_up_for(issuer: Any, secret: str) -> None:
    plugins = {"store": Shares, "jwt": settings(secret, recheck="20s")}
    async with gateway(plugins=plugins, admin=NO_ADMIN) as gw:
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        Shares.store.deaf = True
        await revoke(gw, jti="a")
        gw.clock.advance(19)
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        gw.clock.advance(1)
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(401)


async def test_at_once_where_the_store_says_so(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        Shares.store.deaf = True
        await revoke(gw, jti="a")
        for lost in Shares.store.lost:
            lost()
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(401)


async def test_a_store_that_went_away_does_not_lock_out_whom_it_vouched_for(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret, recheck="20s")}, admin=NO_ADMIN) as gw:
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        for lost in Shares.store.lost:
            lost()
        Shares.store.down = True
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)
        (await gw.get("/", headers=issuer.bearer(jti="b"))).must_be(503)
        gw.clock.advance(20)
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(503)


async def test_asking_again_costs_no_signature(issuer: Any, secret: str) -> None:
    plugins = {"store": Shares, "jwt": settings(secret, cache={"max_age": "1h"})}
    async with gateway(plugins=plugins) as gw:
        tokens = gw.gateway.snapshot.instances["jwt"].plugin._tokens
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        tokens.verify = None  # whoever verifies fails
        for asked in (2, 3):
            gw.clock.advance(31)
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
            assert Shares.store.asked == asked


async def test_a_revocation_while_the_store_is_asked_counts(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret)}, admin=NO_ADMIN) as gw:
        store = Shares.store
        ask = store.get_many

        async def asked_before_the_revocation(keys: Any) -> Any:
            store.get_many = ask
            answer = await ask(keys)
            await revoke(gw, jti="a")
            return answer

        store.get_many = asked_before_the_revocation
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(200)  # it was good when it was asked about
        (await gw.get("/", headers=issuer.bearer(jti="a"))).must_be(401)


async def test_a_token_whose_key_goes_while_the_store_is_asked_is_not_remembered(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret)}) as gw:
        plugin, store = gw.gateway.snapshot.instances["jwt"].plugin, Shares.store
        ask = store.get_many

        async def while_keys_change(keys: Any) -> Any:
            plugin._changed()
            return await ask(keys)

        store.get_many = while_keys_change
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert gw.metrics()["jwt_cache_entries"] == {("jwt",): 0}


async def test_without_the_store_nobody_new_comes_in(issuer: Any, secret: str) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret)}) as gw:
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        Shares.store.down = True
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        (await gw.get("/", headers=issuer.bearer(jti="new"))).must_be_problem("store-down", 503).must_have(
            "Retry-After"
        )
        gw.clock.advance(31)
        (await gw.get("/", headers=issuer.bearer())).must_be(503)
        Shares.store.down = False
        for headers in (issuer.bearer(), issuer.bearer(jti="new")):
            (await gw.get("/", headers=headers)).must_be(200)


async def test_or_everybody_by_choice(issuer: Any, secret: str) -> None:
    plugins = {"store": Shares, "jwt": settings(secret, on_store_error="allow")}
    async with gateway(plugins=plugins) as gw:
        Shares.store.down = True
        for _ in range(3):
            (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert Shares.store.asked == 1  # not for each of them
        (await gw.get("/", headers=issuer.bearer(exp=1))).must_be(401)
        gw.clock.advance(1.5)
        (await gw.get("/", headers=issuer.bearer())).must_be(200)
        assert Shares.store.asked == 2


@pytest.mark.parametrize("value", [b"", b"x", b"18934", b"\xff"])
async def test_a_value_that_was_cut_short_lets_nobody_in(issuer: Any, secret: str, now: int, value: bytes) -> None:
    async with gateway(plugins={"store": Shares, "jwt": settings(secret)}) as gw:
        Shares.store.set_now(Names("spork").key("sub", "alice"), value)
        answer = await gw.get("/", headers=issuer.bearer())
        answer.must_be(200 if value == b"18934" else 401)


async def test_realms_are_apart(issuer: Any, secret: str) -> None:
    plugins = {"jwt": settings(secret), "other": {"use": "jwt", **settings(secret, realm="other realm")}}
    routes = {
        "all": {"match": {"path": "/*"}, "service": "up", "chain": ["jwt"]},
        "other": {"match": {"path": "/other"}, "service": "up", "chain": ["other"]},
    }
    async with gateway(plugins=plugins, routes=routes, chain=[], admin=NO_ADMIN) as gw:
        await revoke(gw, subject="alice", before=gw.clock.now + 1)
        (await gw.get("/", headers=issuer.bearer())).must_be(401)
        (await gw.get("/other", headers=issuer.bearer())).must_be(200)


def test_the_keys_are_those_of_the_readme() -> None:
    names = Names("spork")
    assert names.key("jti", "abc") == "jwt:{spork}:jti:ba7816bf8f01cfea414140de5dae2223"
    assert names.channel == "jwt:{spork}"


needs_redis = pytest.mark.skipif(find_spec("spork_redis") is None, reason="needs the redis plugin")
LEFT = Script(
    "jwt-test-left",
    "return {redis.call('GET', KEYS[1]), redis.call('PTTL', KEYS[1])}",
    lambda table, keys, _arguments, _now: [table.get(keys[0]), round((table.ttl(keys[0]) or 0) * 1000)],
)


@needs_redis
async def test_the_two_forms_of_the_script_do_the_same(secret: str) -> None:
    from tests.services import valkey

    with valkey() as server:
        plugins = {"store": {"use": "redis", "url": f"redis://127.0.0.1:{server.port}"}, "jwt": settings(secret)}
        async with gateway(plugins=plugins) as gw:
            stores = (gw.gateway.view().resources[STORE], MemoryStore(gw.clock.clock))
            for number, steps in enumerate(product([("100.5", "60"), ("99.25", "90.5"), ("1e3", "30")], repeat=3)):
                left = []
                for store in stores:
                    said = [await store.run(REVOKE_SUBJECT, [f"k{number}"], step) for step in steps]
                    value, milliseconds = await store.run(LEFT, [f"k{number}"])
                    left.append((said, value, round(milliseconds / 1000)))
                assert left[0] == left[1]


@needs_redis
async def test_a_real_store_between_two_gateways(issuer: Any, secret: str) -> None:
    from tests.services import valkey

    with valkey() as server:
        plugins = {"store": {"use": "redis", "url": f"redis://127.0.0.1:{server.port}"}, "jwt": settings(secret)}
        async with gateway(plugins=plugins, admin=NO_ADMIN) as one, gateway(plugins=plugins, clock=one.clock) as two:
            tokens = [issuer.bearer(jti="a"), issuer.bearer(sub="bob")]
            for headers in tokens:
                for gw in (one, two):
                    (await gw.get("/", headers=headers)).must_be(200)
            (await revoke(one, jti="a")).must_be(200)
            for before in (one.clock.now + 5, one.clock.now + 1):
                said = (await revoke(one, subject="bob", before=before)).must_be(200).json()
                assert said["revoked"]["before"] == one.clock.now + 5  # the script's two forms agree
            heard = two.gateway.snapshot.instances["jwt"].plugin._revocations
            await holds(lambda: heard.heard >= 3)
            for headers in tokens:
                for gw in (one, two):
                    (await gw.get("/", headers=headers)).must_be(401)
