"""A config back to plain values and YAML: defaults filled in, secrets redacted, references as they were written."""

import json
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from spork_core.config.faults import Path
from spork_core.config.fields import REDACTED, SHORTHAND, Secret
from spork_core.config.model import GatewayConfig, InstanceConfig
from spork_core.config.plugins import ENVELOPE
from spork_core.config.references import escape
from spork_core.config.shapes import config_fields, shape
from spork_core.units import Rate, format_duration, format_size

#: Text that needs no quotes in any position: no indicator, no number, and no word of the core schema.
_BARE: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./*-]*(?:[ :][A-Za-z0-9_./-]+)*")
_WORDS: Final = frozenset({"null", "true", "false"})
_ESCAPED: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "bool": (bool,),
    "int": (int,),
    "size": (int,),
    "float": (float, int),
    "duration": (float, int),
    "text": (str,),
    "rate": (Rate,),
    "secret": (Secret,),
    "list": (tuple, list, set, frozenset),
    "mapping": (dict,),
    "none": (type(None),),
}

References = Mapping[Path, str]


def to_plain(config: GatewayConfig) -> dict[str, Any]:
    """The effective config as plain values."""
    references = config.references
    found: dict[str, Any] = {}
    for field in config_fields(GatewayConfig):
        if field.key == "plugins" and ("plugins",) not in references:
            found["plugins"] = {
                name: _instance(instance, ("plugins", name), references) for name, instance in config.plugins.items()
            }
        else:
            found[field.key] = plain(getattr(config, field.attribute.name), field.type, (field.key,), references)
    return found


def dump(config: GatewayConfig) -> str:
    """The effective config as YAML."""
    return "\n".join(_block(to_plain(config), 0)) + "\n"


def plain(value: Any, hint: Any, path: Path = (), references: References | None = None) -> Any:
    """One value of a type as a config would say it."""
    references = references or {}
    if path and path in references:
        return references[path]
    found = shape(hint)
    if value is None:
        return None
    match found.kind:
        case "duration":
            return format_duration(value)
        case "size":
            return format_size(value)
        case "secret":
            return value.reference or REDACTED
        case "bool" | "int" | "float":
            return value
        case "enum":
            return value.value
        case "literal":
            return value
        case "rate" | "text" | "path" | "address" | "ip" | "network":
            return escape(str(value))
        case "union":
            return plain(value, _member(value, found.items), path, references)
        case "list":
            items = sorted(value, key=repr) if isinstance(value, (set, frozenset)) else value
            return [plain(item, found.items[0], (*path, index), references) for index, item in enumerate(items)]
        case "mapping":
            return {key: plain(item, found.items[1], (*path, key), references) for key, item in value.items()}
        case "class":
            return _class(value, path, references)
    return _anything(value, path, references)


def _class(value: Any, path: Path, references: References) -> Any:
    fields = config_fields(type(value))
    short = next((field for field in fields if field.has(SHORTHAND)), None)
    if short is not None and not any(known[: len(path)] == path for known in references):
        others = (field.attribute for field in fields if field is not short)
        if all(getattr(value, other.name) == other.default for other in others):
            return plain(getattr(value, short.attribute.name), short.type, (), {})
    return {
        field.key: plain(getattr(value, field.attribute.name), field.type, (*path, field.key), references)
        for field in fields
    }


def _instance(instance: InstanceConfig, path: Path, references: References) -> Any:
    if path in references:
        return references[path]
    found = {
        field.key: plain(getattr(instance, field.key), field.type, (*path, field.key), references)
        for field in config_fields(InstanceConfig)
        if field.key in ENVELOPE
    }
    return found if instance.settings is None else {**found, **_fields(instance.settings, path, references)}


def _fields(settings: object, path: Path, references: References) -> dict[str, Any]:
    return {
        field.key: plain(getattr(settings, field.attribute.name), field.type, (*path, field.key), references)
        for field in config_fields(type(settings))
    }


def _member(value: Any, members: tuple[Any, ...]) -> Any:
    """The member of a union that the value is of."""
    for member in members:
        found = shape(member)
        if found.kind == "literal" and any(value == item and type(value) is type(item) for item in found.items):
            return member
        known = _PYTHON.get(found.kind)
        if known is None and isinstance(found.type, type):
            known = (found.type,)
        if known and isinstance(value, known) and (found.kind == "bool" or not isinstance(value, bool)):
            return member
    return object


def _anything(value: Any, path: Path, references: References) -> Any:
    """A value whose type says nothing of its form."""
    if path and path in references:
        return references[path]
    if isinstance(value, str) and not isinstance(value, Enum):
        return escape(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Secret):
        return value.reference or REDACTED
    if isinstance(value, Mapping):
        return {key: _anything(item, (*path, key), references) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_anything(item, (*path, index), references) for index, item in enumerate(value)]
    from cattrs import Converter

    unstructured = Converter().unstructure(value)
    return escape(str(value)) if unstructured is value else _anything(unstructured, path, references)


# -- YAML ---------------------------------------------------------------------------------------------


def _block(value: Any, depth: int) -> Iterator[str]:
    """Lines of block style. Our own, since ruamel leaves text bare that the core schema reads as a number."""
    indent = "  " * depth
    if isinstance(value, dict):
        for key, item in value.items():
            if _holds_blocks(item):
                yield f"{indent}{inline(key)}:"
                yield from _block(item, depth + 1)
            else:
                yield f"{indent}{inline(key)}: {inline(item)}"
        return
    for item in value:
        yield f"{indent}- {inline(item)}"


def _holds_blocks(value: Any) -> bool:
    """True for a mapping, and for a list with a mapping in it: those get lines of their own."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value)


def inline(value: Any) -> str:
    """The value in flow style, on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case float():
            return json.dumps(value)
        case str():
            if _BARE.fullmatch(value) and value.lower() not in _WORDS:
                return value
            quoted = json.dumps(value, ensure_ascii=False)
            return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)
        case dict():
            return "{" + ", ".join(f"{inline(key)}: {inline(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(inline, value)) + "]"
