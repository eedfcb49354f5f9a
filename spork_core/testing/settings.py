"""The settings of a config class, nested ones too: where each stands, and where it is declared."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
from attrs import frozen

from spork_core.config.docs import default_of
from spork_core.config.shapes import ConfigField, config_fields, shape
from spork_core.errors import ConfigError
from spork_core.testing.places import place
from spork_core.testing.subject import Subject

Path = tuple[str | int, ...]


@frozen
class Setting:
    """One setting. ``path``: keys from the instance's mapping on; 0 stands for an item of a list, ``*`` for a key of a
    mapping. ``cls``: the class that declares it."""

    path: Path
    cls: type
    field: ConfigField

    @property
    def name(self) -> str:
        """``only.methods``: as README tables call it."""
        return ".".join(str(step) for step in self.path if step not in (0, "*"))

    @property
    def kinds(self) -> frozenset[str]:
        """The kinds of single values it takes, such as ``text``; those of a list's items and a mapping's values too."""
        return frozenset(_kinds(self.field.type))

    @property
    def has_default(self) -> bool:
        """False for a required one, one whose default depends on others, and a secret, which no dump shows."""
        default: Any = self.field.attribute.default
        computed = isinstance(default, attrs.Factory) and default.takes_self  # type: ignore[arg-type]  # a class
        return not (self.field.required or computed or "secret" in self.kinds)

    def default(self) -> object:
        """As a config would say it; for those that have one."""
        return default_of(self.field)


def settings_of(cls: type, prefix: Path = (), around: tuple[type, ...] = ()) -> Iterator[Setting]:
    """All settings, each before those inside it."""
    for field in config_fields(cls):
        path = (*prefix, field.key)
        yield Setting(path, cls, field)
        for steps, inner in _classes(field.type):
            if inner not in (*around, cls):
                yield from settings_of(inner, (*path, *steps), (*around, cls))


def classes_of(cls: type) -> list[type]:
    """The config class and those inside it."""
    return list(dict.fromkeys([cls, *(each.cls for each in settings_of(cls))]))


def _classes(hint: Any) -> Iterator[tuple[Path, type]]:
    found = shape(hint)
    match found.kind:
        case "class":
            yield (), found.type
        case "union":
            for member in found.items:
                yield from _classes(member)
        case "list" | "mapping":
            step: str | int = 0 if found.kind == "list" else "*"
            for steps, inner in _classes(found.items[-1]):
                yield (step, *steps), inner


def _kinds(hint: Any) -> Iterator[str]:
    found = shape(hint)
    if found.kind in {"list", "mapping", "union"}:
        for item in found.items[-1:] if found.kind == "mapping" else found.items:
            yield from _kinds(item)
    else:
        yield found.kind


def put(settings: Any, path: Path, value: object) -> Any:
    """A copy of ``settings`` with ``value`` at ``path``; what is missing on the way is made."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if step == 0:
        items = list(settings) if isinstance(settings, (list, tuple)) and settings else [{}]
        return [put(items[0], rest, value), *items[1:]]
    inside = dict(settings) if isinstance(settings, Mapping) else {}
    key = next(iter(inside), "x") if step == "*" else step
    return {**inside, key: put(inside.get(key), rest, value)}


def get(built: Any, path: Path) -> object:
    """What a built config holds at ``path``. Raises LookupError when there is nothing."""
    for step in path:
        if isinstance(step, int) or step == "*":
            built = next(iter(built.values() if isinstance(built, Mapping) else built or ()), None)
            continue
        names = (
            {field.key: field.attribute.name for field in config_fields(type(built))} if attrs.has(type(built)) else {}
        )
        if step not in names:
            raise LookupError(step)
        built = getattr(built, names[step])
    return built


def around(subject: Subject, setting: Setting) -> dict[str, Any] | None:
    """Settings that the plugin accepts and that hold an object of the class that declares ``setting``: those of the
    contract, or with an empty mapping in the place of that object. None when neither do, as with a list of objects that
    require something and are not in the contract's settings."""
    parent = setting.path[:-1]
    for settings in (subject.settings, put(subject.settings, parent, {})):
        try:
            built = get(subject.instance_config(settings).settings, parent)
        except (ConfigError, LookupError):
            continue
        if isinstance(built, setting.cls):
            return dict(settings)
    return None


def path_in(settings: Any, path: Path) -> Path:
    """The path with the first key of each mapping in place of ``*``."""
    found: list[str | int] = []
    for step in path:
        step = next(iter(settings), "x") if step == "*" and isinstance(settings, Mapping) else step
        found.append(step)
        try:
            settings = settings[step]
        except (LookupError, TypeError):
            settings = None
    return tuple(found)


def line_of(setting: Setting) -> str:
    """Where it is declared, as ``file:line``; "" when its source cannot be found."""
    try:
        lines, first = inspect.getsourcelines(setting.cls)
        file = inspect.getsourcefile(setting.cls)
    except (OSError, TypeError):
        return ""
    name = re.compile(rf"\s*{re.escape(setting.field.attribute.name)}\s*[:=]")
    at = next((at for at, line in enumerate(lines) if name.match(line)), 0)
    return "" if file is None else place(file, first + at)
