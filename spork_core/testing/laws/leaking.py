"""The law about leaks: what an exchange takes, it gives back."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import Sized
from statistics import median
from typing import Final

from spork_core.hookspecs import KINDS
from spork_core.testing.blame import first_change
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
_GROWTH: Final = 0.15
"""Blocks of memory for each exchange from which on it leaks: in most segments, since one may free what is not ours."""
_LONG_HOST: Final = b"a" * 256
"""Makes hosts that the kernel does not remember, as it does up to 1024 others."""
_NUMBERS: Final = ("int", "bool")
_PAUSE: Final = 600.0
_DEPTH: Final = 8
_TRACED: Final = 600
"""Exchanges of the second run, which says where."""


@law(hooks=KINDS)
def leaks_nothing(subject: Subject) -> None:
    """Over thousands of exchanges, each from another client to another path, it gathers nothing: no task, socket, file
    or thread, and no memory.

    A dictionary by client address, a cache by path, a task that waits for ever: each is small, and each is one more
    for every request, of which anybody can send as many as he likes. Gateways run for months. A memory with a bound
    that the law does not reach looks the same: give the contract a config with a smaller one.
    """
    found, where = run(subject, _grow, bare=True)
    if found:
        raise Broken(f"{place_of(subject.plugin_class)}: {found}", "end in on_complete what an exchange begins")
    if where:
        remedy = "give it a bound: drop the oldest past a number of them"
        raise Broken(where, f"{remedy}; where it has one, give the contract a config with one below {_share(subject)}")


def _share(subject: Subject) -> int:
    """Exchanges after which a memory with a bound should be full."""
    return subject.effort.exchanges // (_SEGMENTS + 1)


async def _grow(rig: Rig) -> tuple[str, str]:
    """What gathers, and where memory does; two empty texts when nothing does."""
    each = max(1, _share(rig.subject))
    sent = await _send(rig, 0, each)
    running, files, others = tasks(), descriptors(), threads()
    growth = []
    before = _blocks()
    for _ in range(_SEGMENTS):
        sent = await _send(rig, sent, each)
        after = _blocks()
        growth.append((after - before) / each)
        before = after
    started = tasks() - running
    gathered = [
        *named(started)[:3],
        *opened(files, descriptors())[:3],
        *thread_names(threads() - others)[:3],
    ]
    if gathered:
        return f"after {each * _SEGMENTS} exchanges there is besides {', '.join(gathered)}", ""
    usual = median(growth)
    if usual * each < _NOISE or usual < _GROWTH or sum(growth) < _GROWTH * _SEGMENTS:
        return "", ""
    return "", await _where(rig, sent, usual)


def _blocks() -> int:
    gc.collect()
    return sys.getallocatedblocks()


async def _send(rig: Rig, first: int, count: int) -> int:
    """``count`` exchanges, no two alike."""
    lanes = [_lane(rig, number, count // _AT_ONCE + 1) for number in range(first, first + count, count // _AT_ONCE + 1)]
    await asyncio.gather(*lanes)
    await asyncio.sleep(_PAUSE)  # nobody waits for it; timers are over then, and what is kept for a while is not
    return first + count + _AT_ONCE * 2


async def _lane(rig: Rig, first: int, count: int) -> None:
    for number in range(first, first + count):
        client = rig.client((f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}", 1024 + number % 60000))
        client.feed(
            b"GET /users/%d?page=%d HTTP/1.1\r\nHost: h%d.%b\r\nX-Request-Id: id-%d\r\n"
            b"Authorization: Bearer t%d\r\nX-Api-Key: k%d\r\nUser-Agent: agent/%d\r\nCookie: session=%d\r\n"
            b"Connection: close\r\n\r\n" % (number, number, number, _LONG_HOST, *(number,) * 5)
        )
        await client.gone
        rig.service.received.clear()


async def _where(rig: Rig, sent: int, growth: float) -> str:
    """What keeps the memory: a container that grows, or else the plugin's line that asked for the most of it."""
    keeps = f"keeps {growth:.1f} blocks of memory for each exchange, for good"
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
    if after[largest] - sizes.get(largest, 0) >= _TRACED * _GROWTH:
        with first_change(rig.subject.owns, lambda: _sizes(rig).get(largest)) as blame:
            await _lane(rig, sent, 1)
        return f"{blame.place or place_of(type(plugin))}: {largest} {keeps}"
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
    return found


LAWS: Final[tuple[Law, ...]] = (leaks_nothing,)
