"""What the scaffold knows of one hook: code that does something with it, the settings of that, and a test.

Rules of the texts
1. They are templates of ``string.Template``: ``$name`` is the plugin's (``rate-limit``), ``$field`` the header field of
   that name (``X-Rate-Limit``). Where the name stands, the line has room for ``names.LONGEST`` characters of it.
2. They need no imports: the names they use are looked up when the file is put together.
3. Any of them go together. No two have a setting of the same name, and a test holds beside every other hook: ``$more``
   and ``$routes`` in it are what the plugin needs besides because it authenticates, or nothing.
"""

from collections.abc import Iterable
from textwrap import dedent, indent

from attrs import field, frozen


def method(text: str) -> str:
    """``text`` as it stands in a class."""
    return indent(dedent(text).strip("\n"), "    ")


def function(text: str) -> str:
    """``text`` as it stands in a module."""
    return dedent(text).strip("\n")


@frozen
class Setting:
    """One field of the config class, and its row in the README.

    ``annotation`` and ``default`` are Python; without a default it is required. ``kind`` and ``shown`` say the same to
    operators, ``meaning`` is a sentence for both. ``example``: a value as YAML. ``validator``: a name of
    ``code.HELPERS``, or a call of attrs's own.
    """

    name: str
    annotation: str
    default: str | None
    kind: str
    shown: str
    meaning: str
    example: str
    validator: str | None = None


@frozen
class Snippet:
    """``does``: a sentence for operators. ``limit``: what it does not do; "" when that is plain.

    ``code``: methods of the plugin class. ``declares``: what stands at the head of that class. ``test``: functions.
    """

    hook: str
    does: str
    settings: tuple[Setting, ...]
    code: str = field(converter=method)
    test: str = field(converter=function)
    limit: str = ""
    declares: tuple[str, ...] = ()


def settings_of(snippets: Iterable[Snippet]) -> list[Setting]:
    """The settings of a plugin; those that it cannot do without come first, as in every class with defaults."""
    return sorted(
        (each for snippet in snippets for each in snippet.settings), key=lambda each: each.default is not None
    )
