"""Stale answers: while one request revalidates, and when the service fails (RFC 5861)."""

import re
from typing import Any

import pytest

from spork_core.testing import gateway, holds, scripts


def cached(origin: Any, **settings: Any) -> Any:
    return gateway(plugins={"cache": {"use": "cache", **settings}}, upstream=origin)


def refreshing(gw: Any) -> int:
    running: int = gw.gateway.snapshot.instances["cache"].plugin._core.refreshing
    return running


async def refreshed(gw: Any) -> None:
    await holds(lambda: not refreshing(gw), "the revalidation to end")


async def test_a_stale_answer_is_served_at_once_and_renewed_beside(origin: Any) -> None:
    origin.headers, origin.etag = {"Cache-Control": "max-age=60, stale-while-revalidate=30"}, '"a"'
    async with cached(origin) as gw:
        await gw.get("/x", headers={"Accept-Language": "de"})
        gw.clock.advance(70)
        origin.open.clear()
        for _ in range(3):
            stale = (await gw.get("/x", headers={"If-None-Match": '"z"'})).must_say("hello").must_have("Age", "70")
            stale.must_have("Cache-Status", "spork; hit; ttl=-10; detail=stale-while-revalidate")
        await holds(lambda: len(gw.upstream.got) == 2, "one revalidation")
        asked = gw.upstream.last.must_ask("GET", "/x").must_have("If-None-Match", '"a"')
        asked.must_have("X-Forwarded-Host", "gateway.test").must_have("X-Forwarded-For", "127.0.0.1")
        origin.open.set()
        await refreshed(gw)
        (await gw.get("/x")).must_have("Age", "0").must_have("Cache-Status", "spork; hit; ttl=60")
        gw.upstream.must_have_got(2)


@pytest.mark.parametrize("pieces", [(), (b"ne", b"w")])
async def test_a_new_answer_beside_takes_its_place(origin: Any, pieces: Any) -> None:
    origin.headers = {"Cache-Control": "max-age=60, stale-while-revalidate=30"}
    async with cached(origin) as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        origin.body, origin.pieces = b"new", pieces
        origin.more(5)
        (await gw.get("/x")).must_say("hello")
        await refreshed(gw)
        (await gw.get("/x")).must_say("new").must_have("Age", "0")
        gw.upstream.must_have_got(2)


async def test_beyond_the_window_it_is_asked_for(origin: Any) -> None:
    async with cached(origin, stale_while_revalidate="30s") as gw:
        await gw.get("/x")
        gw.clock.advance(91)
        origin.body = b"new"
        (await gw.get("/x")).must_say("new").must_have("Cache-Status", re.compile(".*fwd=stale.*"))


async def test_the_route_rewrites_what_is_asked_beside_too(origin: Any) -> None:
    routes = {
        "all": {
            "match": {"path": "/api/*"},
            "service": "up",
            "rewrite": {"strip_prefix": "/api", "set_headers": {"X-Set": "1"}},
        }
    }
    settings = {"use": "cache", "stale_while_revalidate": "30s"}
    async with gateway(plugins={"cache": settings}, upstream=origin, routes=routes) as gw:
        await gw.get("/api/x?q=1")
        gw.clock.advance(70)
        (await gw.get("/api/x?q=1")).must_have("Age", "70")
        await refreshed(gw)
        gw.upstream.must_have_got(2).last.must_ask("GET", "/x?q=1").must_have("X-Set", "1")


async def test_a_revalidation_that_fails_leaves_the_stale_answer(origin: Any) -> None:
    async with cached(origin, stale_while_revalidate="30s") as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        gw.upstream.plays = scripts.closes_at_once()
        for wire in gw.upstream.wires:
            wire.close()
        for _ in range(2):
            (await gw.get("/x")).must_be(200).must_say("hello")
            await refreshed(gw)
        assert gw.metrics()["cache_refreshes"]["cache", "failed"] == 2


async def test_so_many_revalidations_and_no_more(origin: Any) -> None:
    async with cached(origin, stale_while_revalidate="30s", background=2) as gw:
        for number in range(4):
            await gw.get(f"/{number}")
        gw.clock.advance(70)
        origin.open.clear()
        for number in range(4):
            (await gw.get(f"/{number}")).must_say("hello")
        assert refreshing(gw) == 2
        origin.open.set()


async def test_a_gateway_that_stops_ends_revalidations(origin: Any) -> None:
    async with cached(origin, stale_while_revalidate="30s") as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        origin.open.clear()
        (await gw.get("/x")).must_say("hello")
        assert refreshing(gw) == 1
    # the end of the block fails where a task is left


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_stale_answer_stands_in_for_an_error(origin: Any, status: int) -> None:
    origin.headers = {"Cache-Control": "max-age=60, stale-if-error=100"}
    async with cached(origin) as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        origin.status = status
        stale = (await gw.get("/x")).must_be(200).must_say("hello").must_have("Age", "70")
        stale.must_have("Cache-Status", f"spork; fwd=stale; fwd-status={status}; ttl=-10; detail=stale-if-error")
        gw.clock.advance(100)
        (await gw.get("/x")).must_be(status)


async def test_and_for_no_answer_at_all(origin: Any) -> None:
    async with cached(origin, stale_if_error="100s") as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        gw.upstream.plays = scripts.closes_at_once()
        for wire in gw.upstream.wires:
            wire.close()
        (await gw.get("/x")).must_be(200).must_have("Cache-Status", "spork; fwd=stale; ttl=-10; detail=stale-if-error")


async def test_must_revalidate_is_never_served_stale(origin: Any) -> None:
    origin.headers = {"Cache-Control": "max-age=60, must-revalidate"}
    async with cached(origin, stale_if_error="100s", stale_while_revalidate="100s") as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        origin.status = 503
        (await gw.get("/x")).must_be(503)


async def test_a_status_that_is_no_failure_of_the_service_is_passed_on(origin: Any) -> None:
    async with cached(origin, stale_if_error="100s") as gw:
        await gw.get("/x")
        gw.clock.advance(70)
        origin.status = 404
        (await gw.get("/x")).must_be(404)
