"""A config class as rows of a table, for the reference pages and the contract kit."""

from typing import Any

import attrs

from spork_core.config.dumper import inline, plain
from spork_core.config.fields import DESCRIPTION
from spork_core.config.shapes import ConfigField, config_fields, type_name


@attrs.frozen
class FieldDoc:
    """One setting. ``default`` is as YAML says it, None when the setting is required."""

    name: str
    type: str
    default: str | None
    description: str


def describe(cls: type) -> list[FieldDoc]:
    """The settings of a config class, in order."""
    return [
        FieldDoc(
            name=field.key,
            type=type_name(field.type, article=False),
            default=None if field.required else inline(default_of(field)),
            description=str(field.attribute.metadata.get(DESCRIPTION, "")),
        )
        for field in config_fields(cls)
    ]


def default_of(field: ConfigField) -> object:
    """The default as a config would say it. Raises TypeError when it is of another type than the setting."""
    default: Any = field.attribute.default
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]  # a class at run time
        default = None if default.takes_self else default.factory()
    try:
        return plain(default, field.type)
    except (TypeError, AttributeError, ValueError) as error:
        # The text of a config, such as "200ms" for seconds, is no default: attrs does not read it.
        # It is not shown: the setting may be a secret.
        raise TypeError(
            f"the default of {field.key} is of the type {type(default).__name__}, and not what the code gets for "
            f"{type_name(field.type)}"
        ) from error
