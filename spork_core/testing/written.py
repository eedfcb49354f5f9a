"""How a config says a value."""

import math
from typing import Final

from spork_core.config.dumper import inline

_LONGEST: Final = 40


def as_yaml(value: object) -> str:
    """The value in flow style, on one line."""
    match value:
        case dict():
            return "{" + ", ".join(f"{inline(key)}: {as_yaml(item)}" for key, item in value.items()) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(as_yaml, value)) + "]"
        case float() if not math.isfinite(value):
            return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return inline(value)


def show(value: object) -> str:
    """The value for a message, cut when it is long."""
    text = as_yaml(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 10]}… ({len(text)} characters)"
