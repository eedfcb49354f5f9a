"""The snippets of all hooks."""

from typing import Final

from spork_core.cli.scaffold import after, attempts, before, life
from spork_core.cli.scaffold.snippet import Snippet

SNIPPETS: Final[dict[str, Snippet]] = {
    snippet.hook: snippet for module in (before, attempts, after, life) for snippet in module.SNIPPETS
}
"""By hook, in the order of an exchange's life; those of an instance's life at the end."""

DEFAULT: Final = ("on_response",)
"""The hooks of a plugin whose author asks for none: one whose work every answer shows."""

GUARDS: Final = frozenset(("pre_auth", "authenticate", "authorize", "on_request", "serve", "before_attempt"))
"""Hooks whose failure must not let a request pass: a plugin without any of them fails open."""
