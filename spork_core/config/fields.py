"""What a config class is declared with: described settings, secrets and bounds. Imports attrs only."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, overload

import attrs

T = TypeVar("T")

DESCRIPTION: Final = "description"
"""The key of a field's metadata that holds its description."""

KEY: Final = "key"
"""The key of a field's metadata that holds what the config calls it, where that is not the field's name."""

ALONE: Final = "alone"
"""Metadata of a field that holds a list: one item may stand there without the list."""

SHORTHAND: Final = "shorthand"
"""Metadata of the one field of a class that may stand there for the whole mapping."""

NAMES: Final = "names"
"""Metadata of a field whose URLs are names, such as origins and issuers: nobody connects to them."""

INTERNAL: Final = "internal"
"""Metadata of a field that no config sets."""

REDACTED: Final = "***"
"""What stands in place of a secret."""


class Secret:
    """Text that no repr, str, log or dump shows; ``reveal()`` gives it. Two are equal when their texts are.

    ``reference`` is what the config says in its place, such as ``${env:KEY}``, or "" when the text stands there itself.
    """

    __slots__ = ("__text", "reference")

    def __init__(self, text: str, reference: str = "") -> None:
        self.__text = text
        self.reference = reference

    def reveal(self) -> str:
        """The text itself."""
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({REDACTED})"

    def __str__(self) -> str:
        return REDACTED

    def __eq__(self, other: object) -> bool:
        return self.__text == other.__text if isinstance(other, Secret) else NotImplemented

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __bool__(self) -> bool:
        return bool(self.__text)


@overload
def setting(
    description: str,
    *,
    default: T,
    validator: Any = None,
    converter: Callable[[Any], Any] | None = None,
    key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> T: ...
@overload
def setting(
    description: str,
    *,
    factory: Callable[[], T],
    validator: Any = None,
    converter: Callable[[Any], Any] | None = None,
    key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> T: ...
@overload
def setting(
    description: str,
    *,
    validator: Any = None,
    converter: Callable[[Any], Any] | None = None,
    key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Any: ...
def setting(
    description: str,
    *,
    default: Any = attrs.NOTHING,
    factory: Callable[[], Any] | None = None,
    validator: Any = None,
    converter: Callable[[Any], Any] | None = None,
    key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Any:
    """An attrs field with the description that docs, the JSON Schema and the contract kit read.

    Without ``default`` and ``factory`` the setting is required. ``key`` is what the config calls it where that
    cannot be a Python name, such as ``from``. A validator's ValueError becomes the config error shown.
    """
    return attrs.field(
        default=default,
        factory=factory,
        validator=validator,
        converter=converter,
        metadata={**(metadata or {}), DESCRIPTION: description, **({} if key is None else {KEY: key})},
    )


@attrs.frozen(repr=False)
class Bound:
    """A validator: the number is at least ``minimum`` (more than it where ``open``) and at most ``maximum``."""

    minimum: float
    maximum: float | None = None
    open: bool = False

    def __call__(self, instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        if not isinstance(value, (int, float)):
            return  # the other members of a union, such as None or "auto"
        if value < self.minimum or (self.open and value == self.minimum):
            raise ValueError(f"must be {'more than' if self.open else 'at least'} {self.minimum:g}")
        if self.maximum is not None and value > self.maximum:
            raise ValueError(f"must be at most {self.maximum:g}")


def at_least(minimum: float) -> Bound:
    """A validator: the number is ``minimum`` or more."""
    return Bound(minimum)


def more_than(minimum: float) -> Bound:
    """A validator: the number is more than ``minimum``."""
    return Bound(minimum, open=True)


def between(minimum: float, maximum: float) -> Bound:
    """A validator: the number lies from ``minimum`` to ``maximum``, both included."""
    return Bound(minimum, maximum)
