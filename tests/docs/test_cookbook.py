"""The recipes of the cookbook: each keeps the laws, does what its page says, and is as short as that says."""

import asyncio
import hmac
import shlex
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spork_core.api import Body, IteratorBody
from spork_core.testing import Answer, Effort, Harness, Subject, Upstream, gateway, scripts, upstream
from spork_core.testing.contract import laws_of
from spork_core.testing.laws import documented
from tests.docs.blocks import agrees
from tests.docs.recipes import FOLDER, RECIPES, installed, module_of, plugin_class, settings, shown

SECRET: Final = "a-secret-that-nobody-guesses"
PUSH: Final = '{"ref": "main"}'
SIGNATURE: Final = hmac.digest(SECRET.encode(), PUSH.encode(), "sha256").hex()
QUICK: Final = Effort(exchanges=1500, examples=25)
SMALL: Final[Mapping[str, Mapping[str, Any]]] = {"quota": {"callers": 100}, "stale-if-error": {"answers": 100}}
"""Bounds that are reached while the laws look."""
HEADERS: Final[Mapping[str, Mapping[str, str]]] = {"api-keys": {"X-API-Key": "anns-key-of-32-random-characters"}}
"""What a recipe accepts, so that the laws see what it does then."""


@pytest.fixture(scope="module", autouse=True)
def _installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with installed(tmp_path_factory.mktemp("cookbook") / "site"):
        yield


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWAY_SECRET", SECRET)
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)


@asynccontextmanager
async def recipe(name: str, users: scripts.Turn | None = None) -> AsyncIterator[Harness]:
    """A gateway with a recipe as its page configures it, in front of a service."""
    plugins = {name: (plugin_class(name), settings(name))}
    async with gateway(plugins=plugins, upstream=scripts.ok() if users is None else users) as gw:
        yield gw


async def typed(gw: Harness, command: str) -> Answer:
    """The answer to a curl command of the page."""
    words = iter(shlex.split(command.replace("\n", " ")))
    method, target, body, headers = "GET", "", None, []
    for word in words:
        if word == "-H":
            name, _, value = next(words).partition(": ")
            headers.append((name, value.replace("SIGNATURE", SIGNATURE)))
        elif word == "-d":
            method, body = "POST", next(words)
        elif word.startswith("http://"):
            target = word
    return await gw.request(method, target, headers=headers, body=body)


async def sees(gw: Harness, name: str) -> None:
    """A client sees what the page shows."""
    for block in shown(name, "console"):
        for command, wanted in block.commands():
            answer = await typed(gw, command)
            head = answer.raw.head.decode() if command.startswith("curl -si") else ""
            said = f"{head}{answer.text}".replace("\r\n", "\n")
            assert agrees(said, wanted), f"$ {command} shows\n{said}\nnot\n{wanted}"


def test_there_are_eight_and_each_is_short() -> None:
    lines = {name: (FOLDER / f"{module_of(name)}.py").read_text(encoding="utf-8").splitlines() for name in RECIPES}

    assert len(lines) == 8
    assert {name: len(lines) for name, lines in lines.items() if sum(map(bool, lines)) > 62} == {}


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_keeps_the_laws(name: str) -> None:
    subject = Subject(name, {**settings(name), **SMALL.get(name, {})}, effort=QUICK, headers=HEADERS.get(name, {}))
    about_distributions = documented.LAWS

    for law in laws_of(subject):
        if law not in about_distributions:
            law.check(subject)


@pytest.mark.parametrize("name", ["api-keys", "quota"])
async def test_a_client_sees_what_the_page_shows(name: str) -> None:
    async with recipe(name) as gw:
        await sees(gw, name)


async def test_an_api_key_stays_at_the_gateway() -> None:
    async with recipe("api-keys") as gw:
        await gw.get("/", headers={"X-API-Key": "anns-key-of-32-random-characters"})
        gw.upstream.last.must_not_have("X-API-Key")
        (await gw.get("/", headers={"X-API-Key": "another"})).must_be(401)
        gw.upstream.must_have_got(1)


@pytest.mark.parametrize(("share", "expected"), [(0.0, 0), (0.5, 50), (1.0, 100)])
async def test_a_canary_gets_its_share_of_callers_and_keeps_them(share: float, expected: int) -> None:
    async with upstream() as old, upstream() as new:
        both = {"users": {"endpoints": [old.url, new.url]}}
        plugins = {"canary": (plugin_class("canary"), {"endpoint": new.url, "share": share})}
        all_there: Mapping[str, Any] = {"all": {"match": {}, "service": "users"}}
        async with gateway(plugins, services=both, routes=all_there, trusted_proxies=["127.0.0.1"]) as gw:
            for _ in range(2):
                async with await gw.connect() as client:
                    for caller in range(100):
                        await client.get("/", headers={"X-Forwarded-For": f"192.0.2.{caller}"})
        assert abs(len(new.got) / 2 - expected) <= 15
        callers = [each.headers["X-Forwarded-For"] for each in new.got]
        assert all(callers.count(caller) == 2 for caller in callers)


async def test_a_service_can_check_who_sent_a_signed_request() -> None:
    async with recipe("signed-requests") as gw:
        await gw.get("/", headers={"X-Gateway-Caller": "forged"})
        got = gw.upstream.last.must_have("X-Gateway-Caller", "").must_have("X-Gateway-Time", str(int(gw.clock.now)))
        text = f"GET\n\n{int(gw.clock.now)}".encode()
        got.must_have("X-Gateway-Signature", hmac.digest(SECRET.encode(), text, "sha256").hex())


async def test_only_signed_webhooks_get_through() -> None:
    async with recipe("webhook-signature") as gw:
        await sees(gw, "webhook-signature")
        gw.upstream.must_have_got(1).last.must_say(PUSH)
        signed = {"X-Hub-Signature-256": f"sha256={SIGNATURE}"}
        (await gw.post("/", headers=signed, body=PUSH + " ")).must_be(403)
        (await gw.post("/", headers=signed, body=b"x" * 300_000)).must_be(413)


CARDS: Final = '{"card": "4111111111111111", "order": 1234567890123456}'


@pytest.mark.parametrize("users", [scripts.ok, scripts.slow_body, scripts.trailers], ids=["whole", "bytes", "trailers"])
async def test_card_numbers_are_masked_at_any_pace(users: Any) -> None:
    more = {"every": 0.0} if users is scripts.slow_body else {}
    played = users(CARDS, headers={"Content-Type": "application/json"}, **more)
    async with recipe("masked-numbers", played) as gw:
        await sees(gw, "masked-numbers")
        answer = await gw.get("/", headers={"Accept-Encoding": "gzip", "TE": "trailers", "Connection": "TE"})
        assert len(answer.body) == len(CARDS)
        assert ("X-Checksum" in answer.trailers) is (users is scripts.trailers)
        gw.upstream.last.must_not_have("Accept-Encoding")


@given(st.text("0159x ", max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_wherever_a_number_is_cut_it_is_masked_alike(text: str, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(text)]
    pieces = [text[at:end].encode() for at, end in pairwise(places)]

    assert asyncio.run(masked(pieces)) == asyncio.run(masked([text.encode()]))


async def masked(pieces: list[bytes]) -> bytes:
    """What a body of these pieces is made into."""

    async def chunks() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    body: Body = import_module("masked_numbers").Masked(IteratorBody(chunks()))
    return await body.read(1000)


async def test_stale_answers_are_given_while_the_service_is_gone() -> None:
    gone = scripts.sequence(scripts.ok("yesterday's news"), scripts.closes_at_once())
    async with recipe("stale-if-error", gone) as gw:
        await gw.get("http://127.0.0.1:8080/news")
        gw.clock.advance(60)
        await sees(gw, "stale-if-error")
        (await gw.get("http://127.0.0.1:8080/news", headers={"Cookie": "me"})).must_be(502)
        gw.clock.advance(600)
        (await gw.get("http://127.0.0.1:8080/news")).must_be(502)


@pytest.mark.parametrize("headers", [{"Cache-Control": "private"}, {"Set-Cookie": "a=b"}, {"Vary": "Accept"}])
async def test_what_is_not_for_everybody_is_not_kept(headers: Mapping[str, str]) -> None:
    async with recipe("stale-if-error", scripts.sequence(scripts.ok("mine", headers), scripts.closes_at_once())) as gw:
        (await gw.get("/")).must_say("mine")
        (await gw.get("/")).must_be(502)


async def test_a_quota_is_counted_on_over_a_reload_and_begins_anew_with_the_period() -> None:
    async with recipe("quota") as gw:
        for status in (200, 200, 429):
            (await gw.get("/")).must_be(status)
        await gw.reload(plugins={"quota": (plugin_class("quota"), {"limit": "4/day"})})
        for status in (200, 429):
            (await gw.get("/")).must_be(status)
        gw.clock.advance(86400)
        (await gw.get("/")).must_be(200)


async def test_operators_are_told_by_a_service() -> None:
    plugins = {"tell-operators": (plugin_class("tell-operators"), settings("tell-operators"))}
    routes: Mapping[str, Any] = {"all": {"match": {}, "service": "up"}}
    async with gateway(plugins=plugins, upstream={"up": None, "pager": None}, routes=routes) as gw:
        gw.gateway.view().event("quarantined", "instance limit: it failed", instance="limit")
        gw.gateway.view().event("gossip", "nothing that a pager is for")
        pager: Upstream = gw.upstreams["pager"]
        await gw.clock.elapse(1)
        said = pager.must_have_got(1).last.must_ask("POST", "/alerts").json()
    assert (said["kind"], said["facts"]) == ("quarantined", {"instance": "limit"})
