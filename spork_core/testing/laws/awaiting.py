"""The law about coroutines: what it calls, it awaits."""

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from gc import collect
from inspect import iscoroutine
from typing import Any, Final

from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place
from spork_core.testing.requests import ugly
from spork_core.testing.rig import Rig, alone, prepared, started
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_EACH: Final = 2
"""Every so many-th of the ugly requests is sent."""


@law()
def awaits_what_it_calls(subject: Subject) -> None:
    """Each coroutine that its code makes is awaited.

    A call of an `async def` without `await` does nothing at all, and Python says so once in a log that nobody reads.
    Where the call was the check that refuses, everybody is let in.
    """
    watch = _Answers()
    rig = Rig(subject, watch)

    async def main() -> None:
        async with started(rig, *prepared(rig)):
            async for _ in rig.drive(ugly()[::_EACH]):
                pass

    with _unawaited() as found:
        alone(main, rig.wires)
        collect()
    for name, file, line in found:
        if name not in watch.returned and subject.owns(file):
            raise Broken(f"{place(file, line)}: it calls {name} and does not await it", f"write await: await {name}(…)")


class _Answers(Watch):
    """Knows which coroutines hooks return from a ``def``: that is another law's."""

    def __init__(self) -> None:
        super().__init__()
        self.returned: set[str] = set()

    def before(self, call: Call) -> None:
        """Keeps no call: a coroutine in it would stay alive."""

    def after(self, call: Call) -> None:
        if iscoroutine(call.answer):
            self.returned.add(call.answer.__qualname__)


@contextmanager
def _unawaited() -> Iterator[list[tuple[str, str, int]]]:
    """The coroutines that end without having begun: the name, and the file and line that made it."""
    found: list[tuple[str, str, int]] = []

    def note(coroutine: Any) -> None:
        for file, line, _ in (coroutine.cr_origin or ())[:1]:
            found.append((coroutine.__qualname__, file, line))

    depth, before = sys.get_coroutine_origin_tracking_depth(), warnings._warn_unawaited_coroutine  # type: ignore[attr-defined]  # the interpreter calls it by this name
    sys.set_coroutine_origin_tracking_depth(1)
    warnings._warn_unawaited_coroutine = note  # type: ignore[attr-defined]
    try:
        yield found
    finally:
        warnings._warn_unawaited_coroutine = before  # type: ignore[attr-defined]
        sys.set_coroutine_origin_tracking_depth(depth)


LAWS: Final[tuple[Law, ...]] = (awaits_what_it_calls,)
