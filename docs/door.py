"""The reference page about the plugin author's door: the public names of spork_core.api."""

import inspect
from typing import Final

from kit import entry
from markdown import page

from spork_core import api
from spork_core.errors import Problem

_ORDER: Final = (
    "Plugin",
    "setting",
    "hookimpl",
    "Exchange",
    "Request",
    "Response",
    "Headers",
    "Identity",
    "GatewayView",
)
"""What most plugins need comes first."""
_ELSEWHERE: Final = {
    "KINDS": "the exchange hooks and their kinds, as [Hooks](hooks.md) has them",
    "GATEWAY_HOOKS": "the names of the others",
    "TOKEN": "a compiled pattern: what a field name or a method is made of (RFC 9110 section 5.6.2)",
    "FIELD_VALUE": "a compiled pattern: what a field value may be (RFC 9110 section 5.5)",
    "EMPTY": "the body that has nothing in it",
    "Seconds": "the type of a setting that holds a duration, written such as `250ms`, `5s`, `1.5h`; a float of seconds",
    "Bytes": "the type of a setting that holds a size, written such as `512B`, `64KiB`, `10MB`; an int of bytes",
    "OnFailure": "`closed` or `open`",
    "BodyUse": "`none`, `read` or `change`",
    "Source": "whose answer or fault something is: `client`, `gateway`, `plugin` or `upstream`",
    "Headers": "`multidict.CIMultiDict[str]`: fields in their order, names compared without regard to case",
    "hookimpl": "marks a method as the implementation of the hook of the same name",
}


def api_page() -> str:
    """The page of spork_core.api: classes with their members, then the plain names; problems are on another page."""
    names = [*_ORDER, *(name for name in api.__all__ if name not in _ORDER)]
    problems = [name for name in names if inspect.isclass(thing := getattr(api, name)) and issubclass(thing, Problem)]
    told = [name for name in names if name not in problems and name not in _ELSEWHERE]
    plain = "\n".join(f"- `{name}`: {_ELSEWHERE[name]}." for name in sorted(_ELSEWHERE))
    return page(
        "API",
        "spork_core/api.py",
        "The names of `spork_core.api`, the one module of Spork that a plugin imports. What is not here may change "
        "without notice. Moments stand under [Hooks](hooks.md), what may be raised under [Errors](errors.md).",
        *(entry(name, getattr(api, name)) for name in told),
        "## Plain names",
        plain,
        "## Problems",
        f"{', '.join(f'`{name}`' for name in sorted(problems))}: see [Errors](errors.md).",
    )
