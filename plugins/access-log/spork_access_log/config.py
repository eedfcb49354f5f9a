"""The config classes: where lines go, what they say, and which exchanges get one."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final, Literal

from attrs import Attribute, frozen

from spork_access_log.fields import FIELDS
from spork_access_log.writer import STANDARD
from spork_core.api import TOKEN, Bytes, Seconds, setting, statuses_of

_SMALLEST_BUFFER: Final = 64 * 1024


def _statuses(_: object, _field: "Attribute[Any]", written: tuple[int | str, ...]) -> None:
    statuses_of(written)


def _path(_: object, _field: "Attribute[Any]", path: str) -> None:
    if f"/dev/{path}" in STANDARD:
        raise ValueError(f'"{path}" is not a path; write /dev/{path}')
    if not path.startswith("/") or path.endswith("/") or "\0" in path:
        raise ValueError(f'"{path}" is not the absolute path of a file; write one, or /dev/stdout or /dev/stderr')


def _fields(_: object, _field: "Attribute[Any]", names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if name not in FIELDS:
            near = get_close_matches(name, FIELDS, n=1)
            hint = f'did you mean "{near[0]}"? ' if near else ""
            raise ValueError(f'"{name}" is not a field; {hint}fields are: {", ".join(FIELDS)}')
        if name in seen:
            raise ValueError(f'"{name}" is there twice; keep one')
        seen.add(name)


def _rename(config: "AccessLogConfig", field: "Attribute[Any]", names: Mapping[str, str]) -> None:
    _fields(config, field, names)
    keys: dict[str, str] = {"timings": "timings"} if config.timings else {}
    for name in config.fields or FIELDS:
        key = names.get(name, name)
        if not re.fullmatch(r"[A-Za-z_@][A-Za-z0-9_.@-]*", key):
            raise ValueError(f'"{key}" is not a key; use letters, digits, underscores, dots and hyphens')
        if other := keys.get(key):
            raise ValueError(f'"{other}" and "{name}" would both be called "{key}"; give one another name')
        keys[key] = name


def _header_names(_: object, _field: "Attribute[Any]", names: Iterable[str]) -> None:
    seen = set()
    for name in names:
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')
        if name.lower() in seen:
            raise ValueError(f'"{name}" is there twice; keep one')
        seen.add(name.lower())


def _hidden(_: object, _field: "Attribute[Any]", names: Iterable[str]) -> None:
    if not all(map(str.strip, names)):
        raise ValueError("an empty name hides nothing; write the name of a header or of a query parameter")


def _share(_: object, _field: "Attribute[Any]", share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{share:g} is not a share; write a number from 0 (errors only) to 1 (every line)")


def _duration(_: object, _field: "Attribute[Any]", seconds: float | None) -> None:
    if seconds is not None and seconds < 0:
        raise ValueError("a duration is not negative; write 0s or more")


def _buffer(_: object, _field: "Attribute[Any]", size: int) -> None:
    if size < _SMALLEST_BUFFER:
        raise ValueError(f"{size} bytes hold too few lines; write 64KiB or more")


@frozen
class Only:
    """Which exchanges get a line: those for which at least one of these holds."""

    statuses: tuple[int | str, ...] = setting(
        "The answer has one of these: 404, 5xx, 400-499.", default=(), validator=_statuses
    )
    min_duration: Seconds | None = setting("It took at least so long.", default=None, validator=_duration)
    errors: bool = setting("The answer is a 5xx, or was not complete when the exchange ended.", default=False)


@frozen
class AccessLogConfig:
    """One line for every exchange, unless ``only`` or ``sample`` say otherwise."""

    path: str = setting(
        "Where lines go: /dev/stdout, /dev/stderr or the absolute path of a file.",
        default="/dev/stdout",
        validator=_path,
    )
    format: Literal["json", "text"] = setting("One JSON object a line, or key=value.", default="json")
    fields: tuple[str, ...] = setting(
        "What a line says, in this order. Empty: every field.", default=(), validator=_fields
    )
    rename: dict[str, str] = setting("Field to the key it gets in the line.", factory=dict, validator=_rename)
    request_headers: tuple[str, ...] = setting(
        "Request headers to log besides, as they went to the service.", default=(), validator=_header_names
    )
    response_headers: tuple[str, ...] = setting("Response headers to log besides.", default=(), validator=_header_names)
    timings: bool = setting(
        "Say besides what each plugin instance took: own_ms while its code ran, waiting_ms while it waited.",
        default=False,
    )
    query: Literal["names", "all", "none"] = setting(
        "Of query strings, the Referer's too: the names only, all but the values of secrets, or nothing.",
        default="names",
    )
    redact: tuple[str, ...] = setting(
        "Names of headers and query parameters to hide besides Authorization, Cookie and the other built-in ones.",
        default=(),
        validator=_hidden,
    )
    only: Only | None = setting("Write a line for these exchanges only.", default=None)
    sample: float = setting(
        "Share of the lines to write, from 0 to 1; those of errors (5xx, or not complete) are always written.",
        default=1.0,
        validator=_share,
    )
    buffer: Bytes = setting(
        "How much may wait for a slow output; lines past it are dropped and counted.",
        default=8 * 1024 * 1024,
        validator=_buffer,
    )
