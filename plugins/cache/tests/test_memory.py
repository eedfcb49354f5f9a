"""The tier in memory: what is found, what goes first, and that nothing else stays."""

from itertools import count
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from spork_cache.entry import Entry
from spork_cache.memory import Memory
from spork_cache.rules import Policy, Stored, store_rule, vary_key

from spork_core.api import Headers

NOW = 1_000_000_000.0
URI = "http://a.test/{}"


def stored(lifetime: int = 60, *, vary: str = "", value: str = "", tags: str = "", etag: str = "") -> Stored:
    fields = {"Cache-Control": f"max-age={lifetime}", "Vary": vary, "Surrogate-Key": tags, "ETag": etag}
    headers = Headers({name: text for name, text in fields.items() if text})
    request = Headers({vary: value} if vary else {})
    found = store_rule(
        "GET", request, 200, "OK", headers, requested_at=NOW, received_at=NOW, policy=Policy(stale_if_error=0)
    )
    assert isinstance(found, Stored), found
    return found


def entry(name: object, size: int = 100, **more: Any) -> Entry:
    uri = URI.format(name)
    return Entry(stored(**more), b"x" * size, f"key {uri}", uri, "spork")


def memory(size: int = 100_000, variants: int = 4, now: Any = lambda: NOW) -> Memory:
    return Memory(size, variants, 600.0, now)


def kept(tier: Memory) -> set[str]:
    return {each.uri.rpartition("/")[2] for each in tier}


def test_what_is_put_is_found_until_it_is_dropped() -> None:
    tier, one = memory(), entry(1)
    assert tier.put(one)
    assert tier.get(one.key).find(Headers()) is one
    assert tier.drop(one)
    assert not tier.drop(one)
    assert (tier.get(one.key), len(tier), tier.size) == (None, 0, 0)


def test_variants_lie_together_and_the_oldest_goes() -> None:
    tier = memory(variants=3)
    for language in ("de", "en", "fr", "nl"):
        tier.put(entry(1, vary="Accept-Language", value=language))
    slot = tier.get("key " + URI.format(1))
    found = {lang: slot.find(Headers({"Accept-Language": lang})) for lang in ("de", "en", "fr", "nl")}
    assert [lang for lang, each in found.items() if each is not None] == ["en", "fr", "nl"]
    assert slot.find(Headers()) is None


def test_another_vary_forgets_what_was_stored_by_the_old_one() -> None:
    tier = memory()
    tier.put(entry(1, vary="Accept-Language", value="de"))
    tier.put(entry(1))
    assert len(tier) == 1
    tier.put(entry(1, vary="Accept", value="text/plain"))
    assert len(tier) == 1


def test_what_has_ended_goes_first_then_what_was_not_used() -> None:
    now = [NOW]
    tier = memory(size=entry(0).size * 4 + 200, now=lambda: now[0])
    used, unused = entry("used"), entry("unused")
    for each in (used, unused, entry("ended", lifetime=5), entry("other")):
        tier.put(each)
    used.visited = True
    now[0] += 10
    tier.put(entry("new"))
    assert kept(tier) == {"used", "unused", "other", "new"}
    tier.put(entry("newer"))
    assert kept(tier) == {"used", "other", "new", "newer"}


def test_what_is_larger_than_everything_is_not_kept() -> None:
    tier = memory(size=4000)
    tier.put(entry(1))
    assert not tier.put(entry(2, size=5000))
    assert kept(tier) == {"1"}


def test_something_stale_with_a_validator_is_kept_for_a_while() -> None:
    assert entry(1, etag='"a"').useful_until(600) == NOW + 660
    assert entry(1).useful_until(600) == NOW + 60


names = st.integers(0, 8)
moves = st.lists(
    st.one_of(
        st.tuples(
            st.just("put"), names, st.sampled_from(["", "de", "en", "fr"]), st.sampled_from(["", "a", "a b", "b"])
        ),
        st.tuples(st.just("drop"), names),
        st.tuples(st.just("use"), names),
        st.tuples(st.just("time"), st.integers(1, 50)),
    ),
    max_size=80,
)


@given(moves)
def test_the_sums_and_the_indexes_are_those_of_the_entries(todo: list[tuple[Any, ...]]) -> None:
    now = [NOW]
    tier = memory(size=8 * 2000, now=lambda: now[0])
    sizes = count(10)
    for what, *more in todo:
        if what == "put":
            name, language, tags = more
            vary = "Accept-Language" if language else ""
            assert tier.put(entry(name, size=next(sizes), vary=vary, value=language, tags=tags))
        elif what == "time":
            now[0] += more[0]
        else:
            for each in tier.at(URI.format(more[0])):
                each.visited = True
                if what == "drop":
                    assert tier.drop(each)
        entries = list(tier)
        assert tier.size == sum(each.size for each in entries) <= 8 * 2000
        assert {each for each in entries if "a" in each.stored.tags} == set(tier.tagged("a"))
        assert sorted(map(id, entries)) == sorted(map(id, tier.below("http://a.test/")))
        for each in entries:
            assert each in tier.at(each.uri)
            slot = tier.get(each.key)
            headers = Headers({"Accept-Language": _language(each)} if each.stored.vary else {})
            assert slot.find(headers) is each


def _language(each: Entry) -> str:
    return next(
        lang
        for lang in ("de", "en", "fr")
        if each.stored.vary_key == vary_key(Headers({"Accept-Language": lang}), each.stored.vary)
    )


def test_a_full_memory_wants_what_is_asked_for_again_and_not_what_comes_in_turn() -> None:
    tier = memory(size=entry(0).size * 4 + 200)
    for name in range(4):
        assert tier.wants(entry(name))
        tier.put(entry(name))
    for _ in range(2):  # each is asked for twice, and too many others lie between
        assert not any(tier.wants(entry(f"turn {name}")) for name in range(100))
    assert not tier.wants(entry("again"))
    assert tier.wants(entry("again"))
    assert kept(tier) == {"0", "1", "2", "3"}
