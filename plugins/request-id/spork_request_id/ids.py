"""Ids by the million: random bytes are read in bulk, because one system call per id costs more than the id.

Each maker is a generator without end. It draws its first digits when the first id is asked for, so that processes
forked from one parent never share a block.
"""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Final

from spork_core.api import Chance, Clock

_BLOCK: Final = 256
"""Ids for which random digits are drawn at once: 8192, the most that a Chance gives."""

_VARIANT: Final = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""A random hex digit → one whose two top bits are RFC 9562's variant ``10``; the two low bits stay random."""


def hex_ids(chance: Chance, _: Clock) -> Iterator[str]:
    """32 hex digits, all 128 bits random; also a valid trace id."""
    while True:
        block = chance.hex(32 * _BLOCK)
        for start in range(0, len(block), 32):
            yield block[start : start + 32]


def uuid4_ids(chance: Chance, clock: Clock) -> Iterator[str]:
    """RFC 9562 section 5.4: 122 random bits."""
    for text in hex_ids(chance, clock):
        yield f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


def uuid7_ids(chance: Chance, clock: Clock) -> Iterator[str]:
    """RFC 9562 section 5.7: 48 bits of milliseconds since the epoch, then 74 random bits."""
    for text in hex_ids(chance, clock):
        ms = f"{int(clock.time() * 1000):012x}"
        yield f"{ms[:8]}-{ms[8:]}-7{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:]}"


def counter_ids(chance: Chance, _: Clock) -> Iterator[str]:
    """A random prefix of 16 hex digits, a hyphen and a number that counts from 1. Short and cheap; tells the rate."""
    prefix = chance.hex(16)
    for number in count(1):
        yield f"{prefix}-{number}"


FORMATS: Final[dict[str, Callable[[Chance, Clock], Iterator[str]]]] = {
    "hex": hex_ids,
    "uuid4": uuid4_ids,
    "uuid7": uuid7_ids,
    "counter": counter_ids,
}
"""What ``format`` may say, and who makes it."""
