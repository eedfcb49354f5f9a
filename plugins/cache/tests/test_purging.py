"""Purges on the admin listener, what it says of what is cached, and the command that asks it."""

import asyncio
import json
import re
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from spork_cache.admin import canonical
from spork_cache.cli import cache
from spork_cache.purges import MOST, Purge, Recent, verdict
from spork_cache.rules import uri

from spork_core.api import BadRequest
from spork_core.testing import gateway, holds

PURGE = "/plugins/cache/purge"


def cached(origin: Any, **settings: Any) -> Any:
    plugins = {"cache": {"use": "cache", **settings}}
    return gateway(plugins=plugins, upstream=origin, admin={"listen": "127.0.0.1:0"})


def hit(answer: Any) -> bool:
    return "; hit" in answer.headers["Cache-Status"]


async def filled(gw: Any, origin: Any) -> None:
    for target, tags in (("/a/1", "red"), ("/a/2", "red, blue"), ("/b", "")):
        origin.headers = {"Cache-Control": "max-age=60", **({"Cache-Tag": tags} if tags else {})}
        await gw.get(target)


@pytest.mark.parametrize(
    ("what", "left"),
    [
        ({"url": "http://gateway.test/a/1"}, ["/a/2", "/b"]),
        ({"url": "HTTP://Gateway.Test:80/a/1#part"}, ["/a/2", "/b"]),
        ({"url": "http://gateway.test/a"}, ["/a/1", "/a/2", "/b"]),
        ({"prefix": "http://gateway.test/a/"}, ["/b"]),
        ({"prefix": "http://gateway.test"}, []),
        ({"tag": "blue"}, ["/a/1", "/b"]),
        ({"tag": "red"}, ["/b"]),
        ({"all": True}, []),
    ],
)
async def test_what_a_purge_takes(origin: Any, what: dict[str, Any], left: list[str]) -> None:
    async with cached(origin) as gw:
        await filled(gw, origin)
        said = (await gw.admin.post(PURGE, json=what)).must_be(200).json()
        assert (said["entries"], said["reach"]) == (3 - len(left), "this process")
        assert [target for target in ("/a/1", "/a/2", "/b") if hit(await gw.get(target))] == left


async def test_a_soft_purge_makes_stale_and_a_validator_makes_fresh(origin: Any) -> None:
    origin.etag = '"a"'
    async with cached(origin) as gw:
        await gw.get("/x")
        await gw.admin.post(PURGE, json={"all": True, "soft": True})
        (await gw.get("/x")).must_have("Cache-Status", re.compile(".*fwd=stale; fwd-status=304.*stored"))
        assert hit(await gw.get("/x"))


async def test_what_is_on_its_way_while_a_purge_comes_is_not_kept(origin: Any) -> None:
    origin.open.clear()
    async with cached(origin) as gw:
        before = asyncio.ensure_future(gw.get("/x"))
        await holds(lambda: gw.upstream.got, "the first request at the service")
        await gw.admin.post(PURGE, json={"url": "http://gateway.test/x"})
        after = asyncio.ensure_future(gw.get("/x"))
        await holds(lambda: len(gw.upstream.got) == 2, "another one, which does not join what is older than the purge")
        origin.open.set()
        await asyncio.gather(before, after)
        gw.upstream.must_have_got(2)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "nonsense",
        "[]",
        "{}",
        '{"url": 1}',
        '{"url": ""}',
        '{"url": "/x"}',
        '{"url": "ftp://a/"}',
        '{"url": "http://a@b/"}',
        '{"all": false}',
        '{"tag": "a", "url": "http://a/"}',
        '{"tag": "a\\nb"}',
        '{"tag": "a", "soft": 1}',
        '{"other": "x"}',
    ],
)
async def test_what_is_no_purge_is_refused(origin: Any, body: str) -> None:
    async with cached(origin) as gw:
        await gw.get("/x")
        (await gw.admin.post(PURGE, body=body)).must_be(400)
        assert hit(await gw.get("/x"))


async def test_inspect_tells_what_is_there_and_no_secret(origin: Any) -> None:
    origin.varies = "X-Secret"
    async with cached(origin) as gw:
        await gw.get("/x", headers={"X-Secret": "hidden"})
        found = (await gw.admin.get("/plugins/cache/inspect?url=http%3A%2F%2Fgateway.test%2Fx")).must_be(200)
        found.must_not_mention("hidden")
        (each,) = found.json()["entries"]
        assert (each["url"], each["status"], each["ttl"], each["vary"]) == (
            "http://gateway.test/x",
            200,
            60,
            ["x-secret"],
        )
        assert (await gw.admin.get("/plugins/cache/inspect?tag=none")).json() == {"entries": [], "count": 0}


async def test_what_the_instance_says_of_itself(origin: Any) -> None:
    async with cached(origin) as gw:
        await gw.get("/x")
        await gw.get("/x")
        said = (await gw.admin.get("/status")).json()["instances"]["cache"]["describe"]
        assert (said["memory"]["entries"], said["requests"]["hit"], said["requests"]["miss"]) == (1, 1, 1)


# -- the command ----------------------------------------------------------------------------------------


async def run(gw: Any, *arguments: str) -> Result:
    where = ["--admin", gw.admin.url]
    return await asyncio.to_thread(CliRunner().invoke, cache, [arguments[0], *where, *arguments[1:]])


async def test_the_command_purges(origin: Any) -> None:
    async with cached(origin) as gw:
        await filled(gw, origin)
        done = await run(gw, "purge", "http://gateway.test/b")
        assert done.output == "purged 1 answer in that process's memory; it holds in that process only\n"
        assert "made stale 2 answers" in (await run(gw, "purge", "--tag", "red", "--soft")).output
        assert json.loads((await run(gw, "purge", "--all", "--json")).output)["entries"] == 2


async def test_the_command_tells_what_there_is(origin: Any) -> None:
    async with cached(origin) as gw:
        await filled(gw, origin)
        await gw.get("/b")
        stats = (await run(gw, "stats")).output
        assert re.search(r"answers in memory +3\n", stats)
        assert re.search(r"hit +1 \(25%\)\n", stats)
        shown = (await run(gw, "inspect", "--prefix", "http://gateway.test/a/")).output.splitlines()
        assert shown[0].split() == ["STATUS", "AGE", "TTL", "SIZE", "URL", "MORE"]
        assert shown[2].split() == "200 0s 60s 5 B http://gateway.test/a/2 tags blue, red".split()
        assert json.loads((await run(gw, "stats", "--json")).output)["memory"]["entries"] == 3


async def test_the_command_says_what_is_wrong_and_what_to_do(origin: Any) -> None:
    async with cached(origin) as gw:
        for arguments, words in [
            (("purge",), "Say one of URL, --prefix, --tag and --all"),
            (("purge", "--all", "--tag", "x"), "Say one of"),
            (("purge", "/x"), "scheme and a host"),
            (("stats", "--instance", "other"), 'no cache called "other"'),
        ]:
            result = await run(gw, *arguments)
            assert result.exit_code != 0
            assert words in result.output
    result = CliRunner().invoke(cache, ["stats", "--admin", "127.0.0.1:1"])
    assert "no gateway answers at 127.0.0.1:1" in result.output


# -- what was purged ------------------------------------------------------------------------------------

purges = st.lists(st.builds(Purge, st.sampled_from(["url", "prefix", "tag"]), st.sampled_from("abc"), st.booleans()))


@given(purges, st.integers(0, 5), st.sampled_from("abc"))
def test_recent_purges_are_those_since_a_number(todo: list[Purge], back: int, name: str) -> None:
    recent = Recent()
    for each in todo:
        recent.note(each)
    since = max(0, recent.last - back)
    assert list(recent.since(since)) == todo[since:]
    found = verdict(recent.since(since), name, (name,))
    hard = any(not each.soft for each in todo[since:] if each.what == name)
    assert found == ("purged" if hard else "soft" if any(each.what == name for each in todo[since:]) else "good")


def test_what_is_older_than_all_that_is_remembered_counts_as_purged() -> None:
    recent = Recent()
    for number in range(MOST + 1):
        recent.note(Purge("tag", str(number)))
    assert verdict(recent.since(0), "http://a/", ()) == "purged"
    assert verdict(recent.since(1), "http://a/", ()) == "good"


@given(st.text(max_size=40))
def test_a_url_is_taken_or_refused(text: str) -> None:
    for url in (text, f"http://a.test/{text}", f"http://{text}"):
        try:
            found = canonical(url)
        except BadRequest:
            continue
        assert found.startswith(("http://", "https://"))
        assert canonical(found) == found


def test_an_entry_lies_where_a_purge_looks() -> None:
    assert canonical("https://A.test:443/x?y=1#z") == uri("https", "a.test", "/x?y=1")
