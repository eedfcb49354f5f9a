"""The law about leaks: what an exchange takes, it gives back."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Mapping, Sized
from statistics import median
from typing import Final

from spork_core.hookspecs import KINDS
from spork_core.testing.blame import first_change
from spork_core.testing.ends import ANSWER, carrying, post
from spork_core.testing.fingerprint import fingerprint
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.leftovers import descriptors, named, opened, tasks, thread_names, threads
from spork_core.testing.places import place, place_of
from spork_core.testing.rig import Rig, run
from spork_core.testing.subject import Subject

_AT_ONCE: Final = 16
"""Exchanges that run together."""
_SEGMENTS: Final = 5
"""Parts of the run whose growth is compared; a warm-up as long as one stands before them."""
_NOISE: Final = 150
"""Blocks that a part may keep: what the kernel and its libraries remember comes to so much in a short one."""
_GROWTH: Final = 0.1
"""Blocks of memory, or entries, for each exchange from which on it leaks: in most segments, since one may free what is
not ours."""
_FEW: Final = 40
"""Entries that a container may gain in any case."""
_FURTHER: Final = 4
"""How many times as far a growth is followed to see whether it stops."""
_ENTRIES: Final = 2
"""Exchanges for an entry: a plugin may make none for those that it refuses, or whose client leaves."""
_FAILING: Final = 6
"""In every so many-th exchange the service fails."""
_FAILED: Final = [b""]
_LONG_HOST: Final = b"a" * 256
"""Makes hosts that the kernel does not remember, as it does up to 1024 others."""
_NUMBERS: Final = ("int", "bool")
_PAUSE: Final = 600.0
_HANGS: Final = 36_000.0
"""Seconds of the loop's time after which exchanges are taken not to end any more."""
_DEPTH: Final = 8
_TRACED: Final = 600
"""Exchanges of the second run, which says where."""


@law(hooks=KINDS)
def leaks_nothing(subject: Subject) -> None:
    """Over thousands of exchanges, each from another client to another path, it gathers nothing: no task, socket, file
    or thread, and no memory.

    A dictionary by client address, a cache by path, a task that waits for ever: each is small, and each is one more
    for every request, of which anybody can send as many as he likes. Gateways run for months. Some of the exchanges
    have a body, of some the client leaves half-way, and of some the service fails. What still grows then is followed
    four times as far, until it stops: a memory with a bound past that looks like one without.
    """
    try:
        found, where = run(subject, _grow, bare=True)
    except TimeoutError:
        return  # it hangs: what that takes others say
    if found:
        raise Broken(f"{place_of(subject.plugin_class)}: {found}", "end in on_complete what an exchange begins")
    if where:
        remedy = "give it a bound: drop the oldest past a number of them"
        raise Broken(where, f"{remedy}; where it has one, give the contract a config with one below {_far(subject)}")


def _far(subject: Subject) -> int:
    """Exchanges after which a memory with a bound should be full."""
    return subject.effort.exchanges * _FURTHER // _ENTRIES


async def _grow(rig: Rig) -> tuple[str, str]:
    """What gathers, and where memory does; two empty texts when nothing does."""
    each = max(1, rig.subject.effort.exchanges // (_SEGMENTS + 1))
    sent = await _send(rig, 0, each)
    running, files, others = tasks(), descriptors(), threads()
    growth: list[float] = []
    sizes = _sizes(rig)
    before = _blocks()
    for _ in range(_SEGMENTS):
        sent = await _send(rig, sent, each)
        after = _blocks()
        growth.append((after - before) / each)
        before = after
    gathered = [
        *named(tasks() - running)[:3],
        *opened(files, descriptors())[:3],
        *thread_names(threads() - others)[:3],
    ]
    if gathered:
        return f"after {each * _SEGMENTS} exchanges there is besides {', '.join(gathered)}", ""
    larger = _largest(sizes, _sizes(rig), each * _SEGMENTS)
    usual = median(growth)
    if not larger and (usual * each < _NOISE or usual < _GROWTH or sum(growth) < _GROWTH * _SEGMENTS):
        return "", ""
    while sent < rig.subject.effort.exchanges * _FURTHER:
        sizes, before = _sizes(rig), _blocks()
        sent = await _send(rig, sent, each * _SEGMENTS)
        usual = (_blocks() - before) / (each * _SEGMENTS)
        if not _largest(sizes, _sizes(rig), each * _SEGMENTS) and usual < _GROWTH:
            return "", ""
    return "", await _where(rig, sent, usual)


def _largest(before: dict[str, int], after: dict[str, int], exchanges: int) -> str:
    """The container that has grown most; "" when that is less than it takes."""
    grown = {path: size - before[path] for path, size in after.items() if path in before}
    path = max(grown, key=lambda each: grown[each], default="")
    return path if path and grown[path] >= max(exchanges * _GROWTH, _FEW) else ""


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


async def _send(rig: Rig, first: int, count: int) -> int:
    """``count`` exchanges, no two alike; the service fails in the last of them."""
    failing = count // _FAILING
    for script, number, many in (([ANSWER], first, count - failing), (_FAILED, first + count - failing, failing)):
        rig.service.script = script
        each = max(1, many // _AT_ONCE)
        begins = range(number, number + many, each)
        async with asyncio.timeout(_HANGS):
            await asyncio.gather(*(_lane(rig, at, min(each, number + many - at)) for at in begins))
    await asyncio.sleep(_PAUSE)  # nobody waits for it; timers are over then, and what is kept for a while is not
    return first + count


async def _lane(rig: Rig, first: int, count: int) -> None:
    for number in range(first, first + count):
        client = rig.client((f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000))
        head, *rest = _request(number, rig.subject.headers if number // 4 % 2 else {})
        client.feed(head)
        if number % 4 == 3:
            await rig.turn()
            client.leave()
        else:
            client.feed(b"".join(rest))
        await client.gone
        rig.service.received.clear()


def _request(number: int, fields: Mapping[str, str]) -> list[bytes]:
    """In pieces; ``fields`` take the place of those that are different each time."""
    target = b"/users/%d?page=%d" % (number, number)
    head, *rest = post(target=target) if number % 4 in (1, 3) else [b"GET %b HTTP/1.1\r\n\r\n" % target]
    head = head.replace(b"api.example", b"h%d.%b" % (number, _LONG_HOST))
    other = {
        "Host": f"h{number}.{_LONG_HOST.decode()}",
        "X-Request-Id": f"id-{number}",
        "Authorization": f"Bearer t{number}",
        "X-Api-Key": f"k{number}",
        "User-Agent": f"agent/{number}",
        "Cookie": f"session={number}",
        "Connection": "close",
    }
    return [carrying(carrying(head, fields), other), *rest]


async def _where(rig: Rig, sent: int, growth: float) -> str:
    """What keeps the memory: a container that grows, or else the plugin's line that asked for the most of it."""
    keeps = f"keeps {max(growth, _GROWTH):.1f} blocks of memory for each exchange, for good"
    plugin = rig.instance.plugin
    tracemalloc.start(_DEPTH)
    try:
        sent = await _send(rig, sent, _TRACED // 3)
        gc.collect()
        memory, sizes = tracemalloc.take_snapshot(), _sizes(rig)
        sent = await _send(rig, sent, _TRACED)
        gc.collect()
        grown = tracemalloc.take_snapshot().compare_to(memory, "traceback")
    finally:
        tracemalloc.stop()
    after = _sizes(rig)
    largest = max(after, key=lambda path: after[path] - sizes.get(path, 0))
    if after[largest] - sizes.get(largest, 0) >= _TRACED * _GROWTH / 2:
        with first_change(rig.subject.owns, lambda: _sizes(rig).get(largest)) as blame:
            await _send(rig, sent, _FAILING * 4)
        entries = (after[largest] - sizes.get(largest, 0)) / _TRACED
        where = blame.place or place_of(type(plugin))
        return f"{where}: {largest} grows by {entries:.1f} for each exchange, for good"
    for change in grown:
        if change.count_diff >= _TRACED * _GROWTH / 2:
            for frame in reversed(list(change.traceback)):
                if rig.subject.owns(frame.filename):
                    return f"{place(frame.filename, frame.lineno)}: what is made here {keeps}"
    return f"{place_of(type(plugin))}: it {keeps}"


def _sizes(rig: Rig) -> dict[str, int]:
    """How much is in each container of the instance, its class and its modules."""
    subject = rig.subject
    held: dict[str, object] = {
        "self": rig.instance.plugin,
        subject.plugin_class.__name__: dict(vars(subject.plugin_class)),
    }
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == subject.package:
            held |= {f"{name}.{each}": value for each, value in vars(module).items() if isinstance(value, Sized)}
    found = {}
    for name, value in held.items():
        for path, entry in fingerprint(value, name).items():
            match entry:
                case (str(kind), int(size)) if kind not in _NUMBERS:
                    found[path] = size
                case (_, (str() | bytes()) as text):
                    found[path] = len(text)
    return found


LAWS: Final[tuple[Law, ...]] = (leaks_nothing,)
