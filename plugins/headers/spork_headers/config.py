"""The config classes: what to change on requests and responses, and which fields are not for the operator to change."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from attrs import Attribute, frozen

from spork_core.api import TOKEN, setting
from spork_headers.templates import Template

_MESSAGE: Final = "it frames the message or belongs to one connection, and the gateway writes it itself"
_FORWARDED: Final = "the gateway writes it itself, by trusted_proxies and forwarded"

_EITHER: Final = dict.fromkeys(
    "connection content-length keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
    "transfer-encoding upgrade".split(),
    _MESSAGE,
) | {"via": "the gateway writes it itself; its name in it is forwarded.via"}

MANAGED_ON_REQUESTS: Final[Mapping[str, str]] = _EITHER | {
    "host": "it belongs to routing; use the route's rewrite.host",
    "expect": _MESSAGE,
    "max-forwards": _MESSAGE,
    "forwarded": _FORWARDED,
    "x-forwarded-for": _FORWARDED,
    "x-forwarded-host": _FORWARDED,
    "x-forwarded-proto": _FORWARDED,
}
"""Fields of requests that this plugin leaves alone, in lower case, and why."""

MANAGED_ON_RESPONSES: Final[Mapping[str, str]] = _EITHER | {"date": "the gateway or the service says when it answered"}
"""Fields of responses that this plugin leaves alone, in lower case, and why."""


def _names(changes: "Changes", names: Iterable[str]) -> None:
    """Refuses what is no field name, what is managed, and a field that is named twice."""
    seen: dict[str, str] = {}
    for name in names:
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')
        if why := changes.managed.get(name.lower()):
            raise ValueError(f'"{name}" cannot be changed here: {why}')
        if other := seen.get(name.lower()):
            raise ValueError(f'"{other}" and "{name}" are the same field; keep one')
        seen[name.lower()] = name


def _removed(changes: "Changes", _field: "Attribute[Any]", names: tuple[str, ...]) -> None:
    for name in names:
        if name == "*":
            raise ValueError(
                '"*" would remove every field; put the beginning of names before it, such as "X-Internal-*"'
            )
        if "*" in name[:-1]:
            raise ValueError(f'"{name}" has a * inside; one is allowed at the end, such as "X-Internal-*"')
    _names(changes, (name.removesuffix("*") for name in names if not name.endswith("*")))


def _renamed(changes: "Changes", _field: "Attribute[Any]", names: Mapping[str, str]) -> None:
    _names(changes, names)
    _names(changes, names.values())
    for old, new in names.items():
        if old.lower() == new.lower():
            raise ValueError(f'"{old}" and "{new}" are the same field; names do not differ by case')


def _values(changes: "Changes", _field: "Attribute[Any]", values: Mapping[str, str]) -> None:
    _names(changes, values)
    for name, text in values.items():
        try:
            Template(text, responding=changes.responding)
        except ValueError as exc:
            raise ValueError(f"{name}: {exc}") from None


@frozen
class Changes:
    """What to change on one side, in this order: remove, rename, set, default, add."""

    managed: ClassVar[Mapping[str, str]] = {}
    responding: ClassVar[bool] = False

    remove: tuple[str, ...] = setting(
        'Fields to remove; "X-Internal-*" removes all whose names begin so.', default=(), validator=_removed
    )
    rename: dict[str, str] = setting(
        "Old name to new name; takes the place of a field that has the new name already.",
        factory=dict,
        validator=_renamed,
    )
    set: dict[str, str] = setting(
        "Fields to set, in place of what was sent: name to value, which may hold {names}.",
        factory=dict,
        validator=_values,
    )
    default: dict[str, str] = setting(
        "Fields to set only when there is none of that name.", factory=dict, validator=_values
    )
    add: dict[str, str] = setting("Fields to add beside those of the same name.", factory=dict, validator=_values)


@frozen
class RequestChanges(Changes):
    """What to change on the request before it goes to the service."""

    managed: ClassVar[Mapping[str, str]] = MANAGED_ON_REQUESTS


@frozen
class ResponseChanges(Changes):
    """What to change on the response before it goes to the client."""

    managed: ClassVar[Mapping[str, str]] = MANAGED_ON_RESPONSES
    responding: ClassVar[bool] = True


@frozen
class HeadersConfig:
    """Changes on the way in and on the way out."""

    request: RequestChanges = setting("Changes to requests, before they go to the service.", default=RequestChanges())
    response: ResponseChanges = setting(
        "Changes to responses, the gateway's own included, before they go to the client.", default=ResponseChanges()
    )
