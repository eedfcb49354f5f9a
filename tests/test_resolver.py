"""Names to addresses: one lookup at a time, the last good answer kept."""

import asyncio
import socket
from typing import Any

import pytest

from spork_core.upstream.resolver import Resolver


class Names:
    """The system's resolver, in place of the loop's ``getaddrinfo``; each lookup waits for ``open``."""

    def __init__(self, known: dict[str, list[str]]) -> None:
        self.known = known
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def getaddrinfo(self, host: str, port: object, **_: object) -> list[Any]:
        self.asked.append(host)
        await self.open.wait()
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(None, None, None, "", (address, 0)) for address in self.known[host]]


@pytest.fixture
async def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    made = Names({"a": ["10.0.0.1", "10.0.0.2"], "b": ["10.0.1.1", "10.0.1.2"]})
    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", made.getaddrinfo)
    return made


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("address", ["10.0.0.7", "::1", "fe80::1"])
async def test_an_address_is_not_looked_up(names: Names, address: str) -> None:
    assert (await Resolver(30).addresses(address), names.asked) == ((address,), [])


async def test_another_address_stands_first_each_time(names: Names) -> None:
    resolver = Resolver(30)

    found = [await resolver.addresses("a") for _ in range(4)]

    assert {first for first, _ in found[:2]} == {first for first, _ in found[2:]} == {"10.0.0.1", "10.0.0.2"}
    assert (names.asked, {len(each) for each in found}) == (["a"], {2})


async def test_names_asked_in_turn_take_turns_each(names: Names) -> None:
    resolver = Resolver(30)

    found = [(await resolver.addresses("a"))[0] for _ in range(2) if await resolver.addresses("b")]

    assert set(found) == {"10.0.0.1", "10.0.0.2"}


async def test_many_who_ask_wait_for_one_lookup(names: Names) -> None:
    resolver, many = Resolver(30), 5

    found = await asyncio.gather(*(resolver.addresses("a") for _ in range(many)))

    assert (len(found), names.asked) == (many, ["a"])


async def test_one_who_gives_up_does_not_end_it_for_the_others(names: Names) -> None:
    resolver = Resolver(30)
    names.open.clear()
    gone, stays = (asyncio.create_task(resolver.addresses("a")) for _ in range(2))
    await settled()
    gone.cancel()
    names.open.set()

    assert set(await stays) == {"10.0.0.1", "10.0.0.2"}
    assert names.asked == ["a"]


async def test_what_is_due_is_refreshed_behind_the_one_who_asks(names: Names) -> None:
    resolver = Resolver(0)
    await resolver.addresses("a")
    names.known["a"] = ["10.9.9.9"]

    assert len(await resolver.addresses("a")) == 2
    await settled()
    assert await resolver.addresses("a") == ("10.9.9.9",)


@pytest.mark.parametrize("answer", [None, []], ids=["not found", "no address"])
async def test_the_last_good_answer_is_kept_while_lookups_fail(names: Names, answer: Any) -> None:
    resolver = Resolver(0)
    await resolver.addresses("a")
    names.known = {} if answer is None else {"a": answer}
    for _ in range(3):
        assert len(await resolver.addresses("a")) == 2
        await settled()
    assert names.asked == ["a"] * 4


@pytest.mark.parametrize("host", ["nowhere", "empty"])
async def test_what_was_never_found_is_an_os_error_each_time(names: Names, host: str) -> None:
    resolver = Resolver(30)
    names.known["empty"] = []
    for _ in range(2):
        with pytest.raises(OSError, match=r"Name or service not known|has no address"):
            await resolver.addresses(host)
    assert names.asked == [host, host]


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..b", ".a"])
async def test_a_name_that_cannot_be_encoded_is_an_os_error(host: str) -> None:
    with pytest.raises(OSError, match="not a host name"):
        await Resolver(30).addresses(host)


async def test_close_ends_what_runs(names: Names) -> None:
    resolver = Resolver(30)
    names.open.clear()
    waiting = asyncio.create_task(resolver.addresses("a"))
    await settled()
    resolver.close()

    with pytest.raises(OSError, match="closed"):
        await waiting
    assert asyncio.all_tasks() == {asyncio.current_task()}
