"""What a field's type means in a config: one reading of types for loading, dumping, the schema and the docs."""

import functools
import operator
import types
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NewType, Union, get_args, get_origin, get_type_hints, is_typeddict

import attrs

from spork_core.config.fields import INTERNAL, KEY, Secret
from spork_core.config.model import Address
from spork_core.units import Duration, Rate, Size


@attrs.frozen
class Shape:
    """A type's ``kind``, the class itself, and the types or values inside it."""

    kind: str
    type: Any
    items: tuple[Any, ...] = ()


@attrs.frozen
class ConfigField:
    """A setting of a config class: its ``key`` in the file, its type, and the attrs field."""

    key: str
    type: Any
    attribute: "attrs.Attribute[Any]"

    @property
    def argument(self) -> str:
        """What the class's constructor calls it."""
        return self.attribute.alias or self.attribute.name

    @property
    def required(self) -> bool:
        """True when the config must set it."""
        return self.attribute.default is attrs.NOTHING

    def has(self, mark: str) -> bool:
        """True when the field's metadata carries the mark."""
        return bool(self.attribute.metadata.get(mark))


_SIMPLE: Final[dict[Any, str]] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    Path: "path",
    Secret: "secret",
    Rate: "rate",
    Address: "address",
    IPv4Address: "ip",
    IPv6Address: "ip",
    IPv4Network: "network",
    IPv6Network: "network",
    types.NoneType: "none",
    None: "none",
    object: "any",
    Any: "any",
}
EXACT: Final = tuple(hint for hint in _SIMPLE if isinstance(hint, type) and hint not in (object, Any, types.NoneType))
"""The classes with a notation of their own."""

_NAMES: Final = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "text": "text",
    "path": "a path",
    "secret": "a secret",
    "rate": "a rate",
    "duration": "a duration",
    "size": "a size",
    "address": "an address",
    "ip": "an IP address",
    "network": "a network",
    "none": "null",
    "any": "anything",
    "class": "a mapping",
    "other": "a value",
}


def shape(hint: Any) -> Shape:
    """The shape of a type hint; kind "other" for what Spork has no notation for."""
    if isinstance(hint, NewType):
        return shape(hint.__supertype__)
    if type(hint).__name__ == "TypeAliasType":
        return shape(hint.__value__)
    if (simple := _SIMPLE.get(hint) if isinstance(hint, type) or hint in (None, Any) else None) is not None:
        return Shape(simple, hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = {mark if isinstance(mark, type) else type(mark) for mark in args[1:]}
        if Duration in marks:
            return Shape("duration", float)
        return Shape("size", int) if Size in marks else shape(args[0])
    if origin in (Union, types.UnionType):
        return _union(hint, args)
    if origin is Literal:
        return Shape("literal", hint, args)
    container = origin or hint
    if isinstance(container, type):
        if attrs.has(container):
            return Shape("class", container)
        if issubclass(container, Enum):
            return Shape("enum", container, tuple(member.value for member in container))
        if issubclass(container, Mapping) and not is_typeddict(container):
            return Shape("mapping", dict, args or (str, object))
        if container is tuple and not (len(args) == 2 and args[1] is Ellipsis):
            return Shape("other", hint) if args else Shape("list", tuple, (object,))
        if issubclass(container, (Sequence, AbstractSet)) and not issubclass(container, (str, bytes)):
            built = {list: list, set: set, frozenset: frozenset}.get(container, tuple)
            if container is not built and issubclass(container, AbstractSet):
                built = frozenset
            return Shape("list", built, args[:1] or (object,))
    return Shape("other", hint)


def _union(hint: Any, members: tuple[Any, ...]) -> Shape:
    """A union; the two IP address (and network) classes together are one kind."""
    kinds = {shape(member).kind for member in members}
    if len(kinds) == 1 and kinds <= {"ip", "network"}:
        return Shape(kinds.pop(), hint)
    flat: list[Any] = []
    for member in members:
        found = shape(member)
        if found.kind in {"ip", "network"}:
            others = [other for other in members if shape(other).kind == found.kind]
            merged = functools.reduce(operator.or_, others)
            if merged not in flat:
                flat.append(merged)
        else:
            flat.append(member)
    return Shape("union", hint, tuple(flat))


def type_name(hint: Any, article: bool = True) -> str:
    """What operators call the type: ``a duration or null``; without articles for tables."""
    found = shape(hint)
    match found.kind:
        case "literal" | "enum":
            return " or ".join(f'"{item}"' if isinstance(item, str) else str(item).lower() for item in found.items)
        case "union":
            names = dict.fromkeys(type_name(item, article) for item in sorted(found.items, key=_is_none))
            return " or ".join(names)
        case "list":
            name = f"a list of {_plural(type_name(found.items[0], article=False))}"
        case "mapping":
            key, item = (type_name(item, article=False) for item in found.items)
            name = f"a mapping of {key} to {item}"
        case kind:
            name = _NAMES[kind]
    return name if article else name.removeprefix("an ").removeprefix("a ")


def _plural(name: str) -> str:
    """Of a name without its article; what is no countable noun stays as it is."""
    if name in {"text", "true or false", "anything"} or " or " in name or name.startswith(("list", "mapping of")):
        return name
    return f"{name}es" if name.endswith("s") else f"{name}s"


def _is_none(hint: Any) -> bool:
    return shape(hint).kind == "none"


def config_fields(cls: type) -> tuple[ConfigField, ...]:
    """The settings of a config class, in order. Raises NameError when a type hint cannot be resolved."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(
        ConfigField(field.metadata.get(KEY) or field.alias or field.name, hints.get(field.name, object), field)
        for field in attrs.fields(cls)
        if field.init and not field.metadata.get(INTERNAL)
    )
