"""What an object holds, however deep, as a flat table from paths to values: two tables tell what has changed between.

Rules of this file
1. Only what holds state is followed: containers, attributes, bound methods, partials, generators, counters.
2. What is derived is no state: of a frozen attrs class the fields are, of others all but cached properties.
3. What is not the plugin's own state is one value: classes, functions, modules, loggers, tasks, threads, loops and the
   kernel's objects, by identity.
"""

import asyncio
import functools
import itertools
import logging
import threading
import types
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from enum import Enum
from typing import Any, Final

import attrs

from spork_core.config.fields import Secret

Table = dict[str, object]
"""Path, such as ``._names[0]``, → value."""

_PLAIN: Final = (bool, int, float, complex, str, bytes, type(None), type(...), Enum, range)
_WHOLE: Final = (
    type,
    types.FunctionType,
    types.ModuleType,
    types.CoroutineType,
    types.FrameType,
    types.CodeType,
    logging.Logger,
    logging.Handler,
    asyncio.Future,
    asyncio.AbstractEventLoop,
    threading.Thread,
)
_LARGEST: Final = 50_000
"""Entries of a table; what is larger is cut, so that a cache of millions does not stop the contract."""


def fingerprint(value: object, name: str = "") -> Table:
    """The table of ``value``; ``name`` begins its paths."""
    table: Table = {}
    _Walk(table).follow(name, value)
    return table


def changes(before: Table, after: Table) -> list[str]:
    """The paths whose values differ, in order."""
    return [path for path in dict.fromkeys((*after, *before)) if before.get(path, _NONE) != after.get(path, _NONE)]


_NONE: Final = object()


class _Walk:
    def __init__(self, table: Table) -> None:
        self.table = table
        self.seen: dict[int, str] = {}
        self.kept: list[object] = []
        """Values that were made on the way, so that no other takes their id."""

    def follow(self, path: str, value: Any) -> None:
        table = self.table
        if len(table) > _LARGEST:
            return
        if isinstance(value, _PLAIN):
            same = repr(value) if isinstance(value, float) else value  # NaN does not equal itself
            table[path] = (type(value).__name__, same)
            return
        if isinstance(value, Secret):
            table[path] = ("Secret", hash(value))
            return
        if isinstance(value, _WHOLE) or _kernel(value):
            table[path] = (type(value).__name__, id(value))
            return
        if id(value) in self.seen:
            table[path] = ("as", self.seen[id(value)])
            return
        self.seen[id(value)] = path
        self.kept.append(value)
        table[path] = (type(value).__qualname__, len(value) if isinstance(value, Collection) else None)
        for step, part in _parts(value):
            self.follow(f"{path}{step}", part)


def _kernel(value: object) -> bool:
    module = type(value).__module__
    return module.startswith("spork_core.") and not module.startswith(("spork_core.config", "spork_core.headers"))


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    match value:
        case Mapping():
            for key, part in _items(value):
                yield f"[{key!r}]", part
        case list() | tuple() | deque():
            for at, part in enumerate(list(value)):
                yield f"[{at}]", part
        case set() | frozenset():
            for part in sorted(map(repr, value)):
                yield f"{{{part}}}", None
        case bytearray() | memoryview():
            yield ".content", bytes(value)
        case itertools.count():
            yield ".next", repr(value)
        case types.MethodType() | types.BuiltinMethodType():
            yield ".__self__", value.__self__
        case functools.partial():
            yield ".args", (value.args, value.keywords)
        case types.GeneratorType():
            frame = value.gi_frame
            yield ".locals", None if frame is None else (frame.f_lasti, dict(frame.f_locals))
        case ContextVar():
            yield ".value", value.get(None)
    if type(value).__module__ in {"_thread", "threading"} and hasattr(value, "locked"):
        yield ".locked", value.locked()
    if not isinstance(value, (types.MethodType, types.BuiltinMethodType, functools.partial)):
        yield from _attributes(value)


def _items(value: Mapping[Any, Any]) -> list[tuple[Any, Any]]:
    try:
        return list(value.items())
    except NotImplementedError:  # a mapping for several threads, such as urllib3's: its attributes hold what it holds
        return []


def _attributes(value: Any) -> Iterator[tuple[str, Any]]:
    cls: type = type(value)
    if is_frozen(cls):
        for field in attrs.fields(cls):
            yield f".{field.name}", getattr(value, field.name)
        return
    for name, part in list(getattr(value, "__dict__", {}).items()):
        if not isinstance(getattr(cls, name, None), functools.cached_property):
            yield f".{name}", part
    for base in cls.__mro__:
        slots = base.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            mangled = (
                f"_{base.__name__.lstrip('_')}{name}" if name.startswith("__") and not name.endswith("__") else name
            )
            if mangled not in {"__dict__", "__weakref__"} and hasattr(value, mangled):
                yield f".{mangled}", getattr(value, mangled)


@functools.lru_cache(maxsize=512)
def is_frozen(cls: type) -> bool:
    """True for an attrs class whose instances refuse assignment."""
    if not attrs.has(cls):
        return False
    try:
        object.__new__(cls).__setattr__("spork_contract", None)
    except attrs.exceptions.FrozenInstanceError:
        return True
    except (AttributeError, TypeError):  # TypeError: the base is a class of C's, which makes its instances itself
        return False
    return False


__all__ = ["Table", "changes", "fingerprint", "is_frozen"]
