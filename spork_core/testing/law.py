"""What a law of the contract is: a sentence, a reason, and a check that says what it found and what to do."""

import inspect
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from spork_core.testing.subject import Subject

Check = Callable[["Subject"], None]


class Broken(AssertionError):
    """A law does not hold. ``found``: what, with file and line where there is one. ``remedy``: what to do about it."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(f"{found}\nRemedy: {remedy}")
        self.found = found
        self.remedy = remedy


@frozen
class Law:
    """One law.

    ``name``: the function's, the id of its test. ``sentence``: what holds. ``why``: what goes wrong in a gateway where
    it does not. ``hooks``: it applies to plugins that implement one of these; empty: to every plugin. ``when``: a
    further condition; None: no other. ``early``: it says why a plugin cannot be made, so it is tried on those too.
    """

    name: str
    sentence: str
    why: str
    check: Check
    hooks: frozenset[str] = frozenset()
    when: "Callable[[Subject], bool] | None" = None
    early: bool = False

    def applies(self, subject: "Subject") -> bool:
        """True when the law says something about this plugin."""
        return (not self.hooks or not self.hooks.isdisjoint(subject.hooks)) and (
            self.when is None or self.when(subject)
        )


def law(
    *, hooks: Collection[str] = (), when: "Callable[[Subject], bool] | None" = None, early: bool = False
) -> Callable[[Check], Law]:
    """Makes a Law of a check. The docstring's first paragraph is its sentence, the rest is the reason.

    The check raises ``Broken`` when the law does not hold.
    """

    def make(check: Check) -> Law:
        sentence, _, why = inspect.cleandoc(check.__doc__ or "").partition("\n\n")
        reason = "\n\n".join(map(_line, why.split("\n\n")))
        return Law(check.__name__, _line(sentence), reason, check, frozenset(hooks), when, early)

    return make


def _line(paragraph: str) -> str:
    return " ".join(paragraph.split())


REQUEST_HOOKS: Final = ("pre_auth", "authenticate", "authorize", "on_request", "serve", "before_attempt")
"""The hooks in which a plugin can refuse or answer."""
