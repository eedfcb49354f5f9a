"""A cattrs converter that is strict, collects every fault with its path, and reads Spork's notations.

Types that Spork has no notation for (dates, UUIDs, dataclasses, …) go to cattrs' own hooks.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from spork_core.config.faults import Fault, Faults, Resolved, show, suggest
from spork_core.config.fields import ALONE, SHORTHAND
from spork_core.config.leaves import choice, leaf, plain
from spork_core.config.model import Certificate, ListenerTLS
from spork_core.config.shapes import EXACT, ConfigField, Shape, config_fields, shape, type_name
from spork_core.errors import SporkError
from spork_core.units import ParseError

if TYPE_CHECKING:
    from cattrs import Converter

Hook = Callable[[Any, Any], Any]


def make_converter(base: Path) -> "Converter":
    """A converter whose hooks raise ParseError for one value and Faults for a collection.

    Relative paths start at ``base``.
    """
    from cattrs import Converter

    converter = Converter(forbid_extra_keys=True, detailed_validation=True)

    def factory(hint: Any) -> Hook:
        return _hook(hint, converter, base)

    converter.register_structure_hook_factory(lambda hint: shape(hint).kind != "other", factory)
    for exact in EXACT:  # cattrs has hooks of its own for some, and asks those before any factory
        converter.register_structure_hook(exact, _exactly(exact, factory))
    return converter


def _exactly(exact: type, factory: Callable[[Any], Hook]) -> Hook:
    """The hook for a type; a subclass of it, such as an Enum of text, gets its own."""
    own = factory(exact)
    return lambda raw, hint: (own if hint is exact else factory(hint))(raw, hint)


def faults_of(exc: Exception, raw: Any = None) -> tuple[Fault, ...]:
    """The faults that an exception of a hook, a validator or a config class stands for."""
    if isinstance(exc, Faults):
        return exc.faults
    if isinstance(exc, ParseError):
        return (Fault((), redact(exc.message, raw), redact(exc.remedy, raw)),)
    if isinstance(exc, ExceptionGroup):
        from cattrs import transform_error

        return tuple(Fault((), redact(text, raw)) for text in transform_error(exc, path=""))
    if type(exc).__name__ == "StructureHandlerNotFoundError":
        name = getattr(getattr(exc, "type_", None), "__name__", "this type")
        return (Fault((), f"a config has no notation for {name}", "the author of the class must use another type"),)
    text = str(exc.args[0]) if exc.args else ""
    named = isinstance(exc, (ValueError, TypeError, SporkError)) and text
    return (Fault((), redact(text if named else f"{type(exc).__name__}: {text}", raw)),)


def redact(text: str, raw: Any) -> str:
    """The text with the references of ``raw`` in place of what they resolved to."""
    for item in _resolved(raw):
        for form in (item.text, repr(item.text)[1:-1]):
            if form:
                text = text.replace(form, item.reference)
    return text


def _resolved(raw: Any) -> list[Resolved]:
    if isinstance(raw, Resolved):
        return [raw]
    inner = raw.values() if isinstance(raw, dict) else raw if isinstance(raw, list) else ()
    return [found for item in inner for found in _resolved(item)]


def _hook(hint: Any, converter: "Converter", base: Path) -> Hook:
    found = shape(hint)
    read = leaf(found.kind, hint, base)
    if found.kind in {"literal", "enum"}:
        read = choice(found.items, hint)
    if read is not None:
        if found.kind == "enum":
            return lambda raw, _: found.type(read(raw))
        return lambda raw, _: read(raw)
    match found.kind:
        case "list":
            return _list_hook(found, converter)
        case "mapping":
            return _mapping_hook(found, converter)
        case "union":
            return _union_hook(found, converter)
    reader = _ClassReader(found.type, converter)
    return reader.tls if found.type is ListenerTLS else reader.read


def _list_hook(found: Shape, converter: "Converter") -> Hook:
    (item_type,) = found.items

    def read(raw: Any, hint: Any) -> Any:
        if not isinstance(raw, list):
            raise ParseError(f"expected {type_name(hint)}, found {show(raw)}")
        hook = converter.get_structure_hook(item_type)
        good, faults = _each(((index, item) for index, item in enumerate(raw)), hook, item_type)
        if faults:
            raise Faults(faults, found.type(good.values()))
        return found.type(good.values())

    return read


def _mapping_hook(found: Shape, converter: "Converter") -> Hook:
    key_type, item_type = found.items

    def read(raw: Any, hint: Any) -> Any:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            raise ParseError(f"expected {type_name(hint)}, found {show(raw)}")
        key_hook = converter.get_structure_hook(key_type)
        good, faults = _each(raw.items(), converter.get_structure_hook(item_type), item_type)
        for key in raw:
            try:
                changed = key_hook(key, key_type)
                if changed is not key and key in good:
                    good[changed] = good.pop(key)
            except Exception as exc:
                faults += [attrs.evolve(fault, path=(key,), at_key=True) for fault in faults_of(exc)]
                good.pop(key, None)
        if faults:
            raise Faults(faults, good)
        return good

    return read


def _each(pairs: Any, hook: Callable[..., Any], item_type: Any) -> tuple[dict[Any, Any], list[Fault]]:
    """What the items become, by key or index, with partial ones; and their faults."""
    good, faults = {}, []
    for key, item in pairs:
        try:
            good[key] = hook(item, item_type)
        except Exception as exc:
            faults += [fault.under(key) for fault in faults_of(exc, item)]
            if getattr(exc, "partial", None) is not None:
                good[key] = exc.partial  # type: ignore[attr-defined]  # only Faults have it
    return good, faults


def _union_hook(found: Shape, converter: "Converter") -> Hook:
    members = [(shape(item).kind, item) for item in found.items]
    # Values that are written exactly come first: "auto" before text.
    members.sort(key=lambda member: ("none", "literal", "enum").index(member[0]) if member[0] in _EXACT else 3)

    def read(raw: Any, _: Any) -> Any:
        if raw is None and members[0][0] == "none":
            return None
        candidates = [member for member in members if member[0] != "none"]
        failures: list[tuple[str, Exception]] = []
        for kind, item in candidates:
            try:
                return converter.get_structure_hook(item)(raw, item)
            except Exception as exc:
                failures.append((kind, exc))
        fitting = [exc for kind, exc in failures if _fits(kind, raw)]
        if len(failures) == 1:
            raise failures[0][1]
        if fitting:
            raise fitting[0] if len(fitting) == 1 else min(fitting, key=_distance)
        raise ParseError(f"expected {type_name(found.type)}, found {show(raw)}")

    return read


_EXACT = frozenset({"none", "literal", "enum"})


def _fits(kind: str, raw: Any) -> bool:
    """True when the value has the outer form of the kind, so that its faults are the ones to show."""
    if kind in {"class", "mapping"}:
        return isinstance(raw, dict)
    if kind == "list":
        return isinstance(raw, list)
    return kind in {"duration", "size", "rate"} and isinstance(raw, str) and raw[:1].isdecimal()


def _distance(exc: Exception) -> tuple[bool, int]:
    """How far a value is from a member of a union: a wrong word, such as its ``kind``, weighs most."""
    faults = faults_of(exc)
    return any(fault.message.startswith('expected "') for fault in faults), len(faults)


class _ClassReader:
    """Structures mappings into one attrs class, with all faults of all fields."""

    def __init__(self, cls: type, converter: "Converter") -> None:
        self.cls = cls
        self.converter = converter
        self.fields: dict[str, ConfigField] | None = None
        self.hooks: dict[str, Hook] = {}
        self.shorthand: str | None = None

    def prepare(self) -> dict[str, ConfigField]:
        """Look the fields up at first use, since a class may contain itself."""
        self.fields = {field.key: field for field in config_fields(self.cls)}
        for key, field in self.fields.items():
            self.hooks[key] = self.converter.get_structure_hook(field.type)
            if field.has(SHORTHAND):
                self.shorthand = key
        return self.fields

    def read(self, raw: Any, _: Any) -> Any:
        fields = self.prepare() if self.fields is None else self.fields
        if raw is None:
            raw = {}
        if not isinstance(raw, dict):
            if self.shorthand is None:
                raise ParseError(f"expected a mapping, found {show(raw)}")
            if isinstance(raw, list) and not fields[self.shorthand].has(ALONE):
                raise ParseError(f"expected {type_name(fields[self.shorthand].type)} or a mapping, found a list")
            try:
                return self.read({self.shorthand: raw}, _)
            except Faults as exc:
                raise Faults([attrs.evolve(fault, path=fault.path[1:]) for fault in exc.faults], exc.partial) from None
        values: dict[str, Any] = {}
        faults: list[Fault] = []
        for key, item in raw.items():
            if key not in fields:
                faults.append(Fault((key,), "unknown key", suggest(key, fields, "keys"), at_key=True))
                continue
            try:
                values[key] = self.read_field(fields[key], item)
            except Exception as exc:
                faults += [fault.under(key) for fault in faults_of(exc, item)]
                if getattr(exc, "partial", None) is not None:
                    values[key] = exc.partial  # type: ignore[attr-defined]  # only Faults have it
        for key, field in fields.items():
            if field.required and key not in raw:
                faults.append(Fault((), f'"{key}" is missing', f"add {key}: {type_name(field.type)}", at_key=True))
        return self.build(values, faults, raw)

    def read_field(self, field: ConfigField, item: Any) -> Any:
        if field.has(ALONE) and not isinstance(item, list) and item is not None:
            try:
                return self.hooks[field.key]([item], field.type)
            except Faults as exc:
                alone = [attrs.evolve(fault, path=fault.path[1:]) for fault in exc.faults]
                raise Faults(alone, exc.partial) from None
        return self.hooks[field.key]([] if item is None and shape(field.type).kind == "list" else item, field.type)

    def build(self, values: dict[str, Any], faults: list[Fault], raw: dict[Any, Any]) -> Any:
        """The object; or Faults, with those of every validator."""
        assert self.fields is not None
        names = {key: field.argument for key, field in self.fields.items()}
        try:
            built = self.cls(**{names[key]: value for key, value in values.items()})
        except Exception as exc:
            refused = [fault for fault in self.validate(values, raw) if all(f.path[:1] != fault.path for f in faults)]
            if refused or not faults:
                faults = [*faults, *(refused or faults_of(exc, raw))]
            wrong = {fault.path[0] for fault in refused}
            try:
                built = self.cls(**{names[key]: value for key, value in values.items() if key not in wrong})
            except Exception:
                built = None
        if faults:
            raise Faults(faults, built)
        return built

    def validate(self, values: dict[str, Any], raw: dict[Any, Any]) -> list[Fault]:
        """Run every field's own validator, where the class stops at the first that refuses."""
        assert self.fields is not None
        keys = {field.attribute.name: key for key, field in self.fields.items()}
        bare: Any = object.__new__(self.cls)
        for field in attrs.fields(self.cls):
            value = values.get(keys.get(field.name, ""), field.default)
            if isinstance(value, attrs.Factory) and not value.takes_self:  # type: ignore[arg-type]  # a class at run time
                value = value.factory()
            object.__setattr__(bare, field.name, value)
        faults = []
        for field in attrs.fields(self.cls):
            key = keys.get(field.name, "")
            if field.validator is None or key not in values:
                continue
            try:
                field.validator(bare, field, values[key])
            except (ValueError, TypeError, SporkError) as exc:
                faults += [fault.under(key) for fault in faults_of(exc, raw.get(key))]
            except Exception:  # a validator that looks at a field which is not there; the class itself will say
                continue
        return faults

    def tls(self, raw: Any, hint: Any) -> Any:
        """``{certificate, key}`` beside the other keys is short for a list of one certificate."""
        keys = {field.key for field in config_fields(Certificate)}
        if not isinstance(raw, dict) or "certificates" in raw or not keys & raw.keys():
            return self.read(raw, hint)
        one = {key: item for key, item in raw.items() if key in keys}
        rest = {key: item for key, item in raw.items() if key not in keys}
        try:
            return self.read({**rest, "certificates": [one]}, hint)
        except Faults as exc:
            raise Faults(
                [
                    attrs.evolve(fault, path=fault.path[2:]) if fault.path[:2] == ("certificates", 0) else fault
                    for fault in exc.faults
                ],
                exc.partial,
            ) from None


__all__ = ["faults_of", "make_converter", "plain", "redact"]
