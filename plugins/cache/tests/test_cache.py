"""The cache over a real socket: what is answered from it, what is not, and what it says about that."""

import re
from typing import Any

import pytest

from spork_core.api import CACHE_STATUS, Exchange, Identity, Plugin, hookimpl
from spork_core.testing import gateway, scripts


def cached(origin: Any, **settings: Any) -> Any:
    return gateway(plugins={"cache": {"use": "cache", **settings}}, upstream=origin)


async def test_the_second_request_is_a_hit(origin: Any) -> None:
    async with cached(origin) as gw:
        first = (await gw.get("/x")).must_be(200).must_say("hello").must_not_have("Age")
        first.must_have("Cache-Status", "spork; fwd=uri-miss; fwd-status=200; ttl=60; stored")
        gw.clock.advance(20)
        second = (await gw.get("/x")).must_be(200).must_say("hello").must_have("Via", "1.1 spork")
        second.must_have("Age", "20").must_have("Cache-Status", "spork; hit; ttl=40")
        gw.upstream.must_have_got(1)


async def test_path_query_host_and_route_make_the_key(origin: Any) -> None:
    routes = {
        "beta": {"match": {"path": "/*", "headers": {"X-Beta": "1"}}, "service": "up"},
        "all": {"match": {"path": "/*"}, "service": "up"},
    }
    asks = [("/x", {}), ("/X", {}), ("/x?", {}), ("/x?a=1", {}), ("/x", {"Host": "b.test"}), ("/x", {"X-Beta": "1"})]
    async with gateway(plugins={"cache": {"use": "cache"}}, upstream=origin, routes=routes) as gw:
        for target, headers in asks:
            (await gw.get(target, headers=headers)).must_have("Cache-Status", re.compile(".*uri-miss.*"))
        for target, headers in asks:
            (await gw.get(target, headers=headers)).must_have("Cache-Status", re.compile(".*hit.*"))
        (await gw.get("/x", headers={"Host": "GATEWAY.test:80"})).must_have("Cache-Status", re.compile(".*hit.*"))


async def test_query_parameters_that_make_no_difference(origin: Any) -> None:
    async with cached(origin, key={"ignore_query": ["utm_source"], "sort_query": True}) as gw:
        await gw.get("/x?b=2&a=1&utm_source=mail")
        (await gw.get("/x?a=1&b=2")).must_have("Age")
        gw.upstream.must_have_got(1).last.must_ask("GET", "/x?b=2&a=1&utm_source=mail")


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Cache-Control": "no-store"}, "no-store"),
        ({"Cache-Control": "private"}, "private"),
        ({"Cache-Control": "max-age=60", "Set-Cookie": "a=b"}, "set-cookie"),
        ({"Cache-Control": "max-age=60", "Vary": "*"}, "vary-star"),
        ({"Cache-Control": "max-age=60", "Vary": ", ".join(f"X-{n}" for n in range(20))}, "vary-long"),
        ({}, "no-freshness"),
    ],
)
async def test_what_is_not_stored_says_why(origin: Any, headers: dict[str, str], why: str) -> None:
    origin.headers = headers
    async with cached(origin) as gw:
        for _ in range(2):
            (await gw.get("/x")).must_have("Cache-Status", re.compile(f".*detail={why}.*"))
        gw.upstream.must_have_got(2)


async def test_what_is_too_large_is_not_stored(origin: Any) -> None:
    origin.body = b"x" * 2000
    async with cached(origin, max_entry="1KiB") as gw:
        (await gw.get("/x")).must_say(origin.body).must_have("Cache-Status", re.compile(".*detail=too-large"))


async def test_variants_are_kept_apart(origin: Any) -> None:
    origin.varies = "Accept-Language"
    async with cached(origin) as gw:
        for language in ("en", "de", "en", "de"):
            (await gw.get("/x", headers={"Accept-Language": language})).must_say(language)
        (await gw.get("/x")).must_say("none").must_have("Cache-Status", re.compile(".*vary-miss.*"))
        gw.upstream.must_have_got(3)


async def test_head_and_range_and_conditions_are_answered_from_a_stored_get(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        await gw.get("/x")
        (await gw.head("/x")).must_be(200).must_have("Content-Length", "5").must_have("Age", "0")
        part = await gw.get("/x", headers={"Range": "bytes=1-2"})
        part.must_be(206).must_say("el").must_have("Content-Range", "bytes 1-2/5")
        (await gw.get("/x", headers={"Range": "bytes=9-"})).must_be(416)
        (await gw.get("/x", headers={"If-None-Match": '"b", W/"a"'})).must_be(304).must_say("")
        (await gw.get("/x", headers={"If-None-Match": '"b"'})).must_be(200).must_say("hello")
        gw.upstream.must_have_got(1)


async def test_a_condition_on_a_miss_is_answered_here_and_the_whole_is_stored(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        (await gw.get("/x", headers={"If-None-Match": '"a"'})).must_be(304)
        gw.upstream.last.must_not_have("If-None-Match")
        (await gw.get("/x")).must_be(200).must_say("hello").must_have("Age", "0")


async def test_a_range_of_what_is_not_stored_passes_through(origin: Any) -> None:
    async with cached(origin) as gw:
        await gw.get("/x", headers={"Range": "bytes=0-1"})
        gw.upstream.last.must_have("Range", "bytes=0-1")


async def test_a_304_renews_what_is_stored(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        await gw.get("/x")
        gw.clock.advance(61)
        origin.headers = {"Cache-Control": "max-age=100", "X-New": "1"}
        renewed = (await gw.get("/x")).must_be(200).must_say("hello").must_have("X-New", "1")
        renewed.must_have("Cache-Status", re.compile("spork; fwd=stale; fwd-status=304; ttl=100; stored"))
        gw.upstream.last.must_have("If-None-Match", '"a"')
        (await gw.get("/x")).must_have("Cache-Status", "spork; hit; ttl=100")


async def test_a_304_answers_the_clients_own_condition(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        await gw.get("/x")
        gw.clock.advance(61)
        (await gw.get("/x", headers={"If-None-Match": '"a"'})).must_be(304)


async def test_another_answer_takes_the_place_of_what_was_stored(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        await gw.get("/x")
        gw.clock.advance(61)
        origin.etag, origin.body = '"b"', b"other"
        (await gw.get("/x")).must_say("other").must_have("Cache-Status", re.compile(".*fwd=stale; fwd-status=200.*"))
        (await gw.get("/x")).must_say("other").must_have("Age", "0")


async def test_a_client_may_ask_for_a_fresh_one_unless_that_is_switched_off(origin: Any) -> None:
    for honour, count in ((True, 2), (False, 1)):
        async with cached(origin, honour_client=honour) as gw:
            await gw.get("/x")
            await gw.get("/x", headers={"Cache-Control": "no-cache"})
            gw.upstream.must_have_got(count)


async def test_only_if_cached(origin: Any) -> None:
    only = {"Cache-Control": "only-if-cached"}
    async with cached(origin) as gw:
        answer = (await gw.get("/x", headers=only)).must_be_problem("not-cached", 504)
        answer.must_have("Cache-Status", re.compile(".*detail=only-if-cached"))
        gw.upstream.must_not_be_reached()
        await gw.get("/x")
        (await gw.get("/x", headers=only)).must_be(200)


async def test_a_request_with_content_is_no_question_for_the_cache(origin: Any) -> None:
    async with cached(origin) as gw:
        await gw.get("/x")
        (await gw.get("/x", body="fat")).must_have("Cache-Status", re.compile(".*fwd=bypass.*detail=content"))
        gw.upstream.must_have_got(2)


async def test_an_unsafe_method_makes_its_target_and_location_out_of_date(origin: Any) -> None:
    async with cached(origin) as gw:
        for target in ("/x", "/y", "/z"):
            await gw.get(target)
        origin.headers = {"Location": "/y"}
        (await gw.post("/x")).must_have("Cache-Status", "spork; fwd=method; fwd-status=200")
        origin.headers = {"Cache-Control": "max-age=60"}
        for target, fwd in (("/x", "uri-miss"), ("/y", "uri-miss"), ("/z", "hit")):
            (await gw.get(target)).must_have("Cache-Status", re.compile(f".*{fwd}.*"))


async def test_an_unsafe_method_that_fails_changes_nothing(origin: Any) -> None:
    async with cached(origin) as gw:
        await gw.get("/x")
        origin.status = 404
        await gw.delete("/x")
        (await gw.get("/x")).must_be(200).must_have("Age")


class Who(Plugin):
    """Takes X-User for who it is."""

    provides = ("identity",)

    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity | None:
        name = exchange.request.headers.get("X-User")
        return None if name is None else Identity(name)


OPTIONAL = {"all": {"match": {"path": "/*"}, "service": "up", "authenticate": "optional"}}


async def test_what_one_identity_got_no_other_gets(origin: Any) -> None:
    plugins = {"who": Who, "cache": {"use": "cache"}}
    async with gateway(plugins=plugins, upstream=origin, routes=OPTIONAL) as gw:
        (await gw.get("/x")).must_say("hello")
        origin.body = b"for ann"
        for _ in range(2):
            known = (await gw.get("/x", headers={"X-User": "ann"})).must_say("for ann")
            known.must_have("Cache-Status", re.compile(".*fwd=request.*authorization.*"))
        (await gw.get("/x")).must_say("hello").must_have("Age")


async def test_what_the_service_calls_public_is_for_everybody(origin: Any) -> None:
    origin.headers = {"Cache-Control": "public, max-age=60"}
    async with gateway(plugins={"who": Who, "cache": {"use": "cache"}}, upstream=origin, routes=OPTIONAL) as gw:
        await gw.get("/x", headers={"X-User": "ann"})
        (await gw.get("/x", headers={"X-User": "bob"})).must_have("Age")
        (await gw.get("/x", headers={"Authorization": "Bearer x"})).must_have("Age")


async def test_answers_by_identity(origin: Any) -> None:
    plugins = {"who": Who, "cache": {"use": "cache", "key": {"per_identity": True}}}
    async with gateway(plugins=plugins, upstream=origin) as gw:
        for name in ("ann", "bob", "ann", "bob"):
            origin.body = name.encode()
            (await gw.get("/x", headers={"X-User": name, "Authorization": "x"})).must_say(name)
        gw.upstream.must_have_got(2)


@pytest.mark.parametrize("field", ["Authorization", "X-Api-Key"])
async def test_credentials_without_a_plugin_count_too(origin: Any, field: str) -> None:
    async with cached(origin, identified_by=["Authorization", "X-Api-Key"]) as gw:
        for _ in range(2):
            (await gw.get("/x", headers={field: "secret"})).must_be(200)
        gw.upstream.must_have_got(2)


async def test_trailers_reach_the_one_who_asked(origin: Any) -> None:
    async with cached(scripts.trailers("hello", headers={"Cache-Control": "max-age=60"})) as gw:
        (await gw.get("/x", headers={"TE": "trailers"})).must_say("hello").must_have_trailer("X-Checksum", "1")
        (await gw.get("/x")).must_say("hello").must_have("Content-Length", "5").must_have("Age")


async def test_a_host_that_a_trusted_proxy_names_does_not_hide_the_one_that_is_passed_on(origin: Any) -> None:
    origin.varies = None
    plugins = {"cache": {"use": "cache"}}
    async with gateway(plugins=plugins, upstream=origin, trusted_proxies=["127.0.0.1"]) as gw:
        named = {"X-Forwarded-Host": "a.test"}
        for host in ("one.test", "two.test"):
            origin.body = host.encode()
            for _ in range(2):
                (await gw.get("/x", headers={**named, "Host": host})).must_say(host)
        gw.upstream.must_have_got(2)


async def test_who_is_known_by_a_cookie_does_not_get_the_anonymous_answer(origin: Any) -> None:
    async with cached(origin, identified_by=["Cookie"]) as gw:
        await gw.get("/x")
        origin.body = b"for ann"
        (await gw.get("/x", headers={"Cookie": "session=ann"})).must_say("for ann")
        (await gw.get("/x")).must_say("hello").must_have("Age")


async def test_other_plugins_learn_what_became_of_it(origin: Any) -> None:
    seen: list[str | None] = []

    class Looks(Plugin):
        """Looks."""

        @hookimpl
        def on_complete(self, exchange: Exchange) -> None:
            seen.append(exchange.get(CACHE_STATUS))

    async with gateway(plugins={"looks": Looks, "cache": {"use": "cache"}}, upstream=origin) as gw:
        await gw.get("/x")
        await gw.get("/x")
        await gw.post("/x")
        counted = gw.metrics()["cache_requests"]
        assert [counted["cache", result] for result in ("hit", "miss", "bypass")] == [1, 1, 1]
    assert seen == ["uri-miss", "hit", "method"]


async def test_no_field_when_it_is_switched_off(origin: Any) -> None:
    async with cached(origin, status=False) as gw:
        for _ in range(2):
            (await gw.get("/x")).must_not_have("Cache-Status")
        gw.clock.advance(10)
        (await gw.get("/x")).must_have("Age", "10")


async def test_a_field_that_a_hook_adds_to_a_hit_is_sent(origin: Any) -> None:
    class Adds(Plugin):
        """Adds."""

        @hookimpl
        def on_response(self, exchange: Exchange) -> None:
            assert exchange.response is not None
            exchange.response.headers["X-Added"] = "1"

    async with gateway(plugins={"adds": Adds, "cache": {"use": "cache"}}, upstream=origin) as gw:
        for _ in range(2):
            (await gw.get("/x")).must_have("X-Added", "1")
