"""Blocking calls refused inside a running loop, by blockbuster, and no trace of that afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import forbiddenfruit  # type: ignore[import-untyped]  # it has no types
from blockbuster import BlockBuster


@contextmanager
def unblocked(*packages: str, leaving_out: Sequence[str] = ()) -> Iterator[None]:
    """While the block runs, a call that blocks a running loop (file, socket, lock, sleep) raises BlockingError, when
    code of one of ``packages`` is behind it. ``leaving_out``: packages whose calls may block all the same."""
    guard = BlockBuster(list(packages), excluded_modules=list(leaving_out))
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()
        for function in guard.functions.values():
            if isinstance(function.module, type):
                # What was in the place of a method of a built-in type stays in the type under this name. A Python
                # function in there is freed after what it needs, and CPython 3.11 crashes when the process ends.
                forbiddenfruit.patchable_builtin(function.module).pop(f"_c_{function.func_name}", None)
