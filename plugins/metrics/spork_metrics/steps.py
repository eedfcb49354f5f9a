"""Long work in a thread, in steps between which the event loop gets the interpreter.

A thread that works in Python gives it up only after 5 ms, and each time the loop wakes up it would wait so long: 57 ms
of work on a page left it 18 turns. With a pause after every hundred steps it had 70, half of them 0.2 ms late or less.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

_STRIDE: Final = 100
_PAUSE: Final = 50e-6
"""Seconds. None at all would not do: who gives up the interpreter for no time mostly gets it back."""


def in_steps(things: Iterable[T]) -> Iterator[T]:
    """``things``, with pauses. Not for the event loop's own thread."""
    for at, thing in enumerate(things, 1):
        yield thing
        if at % _STRIDE == 0:
            time.sleep(_PAUSE)
