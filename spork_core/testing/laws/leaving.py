"""The law about clients that leave: many of them change nothing for the next."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final

from spork_core.hookspecs import KINDS
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.laws.cancelling import cancellation_goes_through
from spork_core.testing.places import place_of
from spork_core.testing.rig import ANSWER, LONG, Passed, Rig, run
from spork_core.testing.subject import Subject

_MANY: Final = 120
"""Clients that leave at the same moment of their exchange."""
_MOMENTS: Final = (0, 2, 6)
"""Turns of the loop after which they leave; the service has not answered yet."""
_BEGUN: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
_PLACES: Final = ("authorize", "authenticate", "on_request", "pre_auth", "serve", "before_attempt", "on_response")

Leaves = Callable[[Rig], Awaitable[None]]


@law(hooks=KINDS)
def serves_on_when_clients_leave(subject: Subject) -> None:
    """However many clients leave in the middle of their exchanges, the next is served as if they had not come.

    A count of what runs that goes up on the way in, and down in a hook or a line that a cancelled exchange does not
    reach, goes up only. An entry that others wait for stays when the one who made it is gone. Both end with everybody
    refused, or waiting, on a day with a bad network.
    """
    usual = run(subject, partial(_next, leaves=_stays))
    first = run(subject, _one)
    if usual.status != first.status or usual.hung:
        return  # so many exchanges have a consequence of their own
    ways: list[tuple[str, Leaves]] = [("before it is answered", partial(_gone, turns=turns)) for turns in _MOMENTS]
    ways += [("in the middle of its body", _gone_sending), ("in the middle of the answer", _gone_reading)]
    for when, leaves in ways:
        passed = run(subject, partial(_next, leaves=leaves))
        if (passed.hung or passed.status != usual.status) and _keeps(cancellation_goes_through, subject):
            came = "never answered" if passed.hung else f"answered {passed.status or 'not at all'}"
            cls = subject.plugin_class
            where = next((getattr(cls, hook) for hook in _PLACES if hook in subject.hooks), cls)
            raise Broken(
                f"{place_of(where)}: after {_MANY} clients that leave {when}, the next is {came}, not {usual.status}",
                "give back in on_complete, which is always called, or in finally, what the way in takes",
            )


def _keeps(other: Law, subject: Subject) -> bool:
    """False when ``other`` says what is wrong already."""
    try:
        if other.applies(subject):
            other.check(subject)
    except Broken:
        return False
    return True


async def _next(rig: Rig, leaves: Leaves) -> Passed:
    """What the client gets that comes after those who leave."""
    for _ in range(_MANY):
        await leaves(rig)
    await rig.settled()
    rig.watch.calls.clear()
    rig.service.script = [ANSWER]
    await asyncio.sleep(LONG)  # limits on how many a minute are over then
    return await rig.send(rig.get)


async def _one(rig: Rig) -> Passed:
    return await rig.send(rig.get)


async def _stays(rig: Rig) -> None:
    await rig.send(rig.get)


async def _gone(rig: Rig, turns: int) -> None:
    rig.service.script = []
    client = rig.client()
    client.feed(rig.get)
    for _ in range(turns):
        await asyncio.sleep(0)
    await _leave(rig, client.leave)


async def _gone_sending(rig: Rig) -> None:
    client = rig.client()
    for piece in rig.post([b"{"])[:2]:
        client.feed(piece)
        await rig.turn()
    await _leave(rig, client.leave)


async def _gone_reading(rig: Rig) -> None:
    rig.service.script = [_BEGUN]
    client = rig.client()
    client.feed(rig.get)
    await rig.turn()
    await rig.turn()
    await _leave(rig, client.leave)


async def _leave(rig: Rig, leave: Callable[[], None]) -> None:
    leave()
    await rig.turn()
    rig.watch.calls.clear()


LAWS: Final[tuple[Law, ...]] = (serves_on_when_clients_leave,)
