"""Laws about plugins that guard something: those that say who is calling, and those that decide what it may do."""

import re
from typing import Final

from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.subject import Subject

_CHALLENGE: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+( .+)?")
"""A scheme and, after a blank, its parameters (RFC 9110 section 11.3)."""


@law(hooks=("authenticate", "authorize"))
def fails_closed(subject: Subject) -> None:
    """A plugin that says who is calling, or what they may do, refuses when it fails.

    When it crashes or times out nobody has been checked; going on lets everybody in, just when something is wrong. An
    operator who wants that can write `on_failure: open` himself.
    """
    cls = subject.plugin_class
    if cls.on_failure != "closed":
        raise Broken(
            f"{cls.__name__} ({place_of(cls)}) has on_failure = {cls.on_failure!r}",
            'take the line out: "closed" is what Plugin has',
        )


@law(hooks=("authenticate",))
def challenges_who_brings_nothing(subject: Subject) -> None:
    """A plugin that says who is calling tells the client how to prove it.

    A 401 without `WWW-Authenticate` breaks RFC 9110 section 15.5.2, and leaves the caller with no idea which
    credential is wanted.
    """
    cls = subject.plugin_class
    challenge = subject.instance().challenge
    if not challenge or not _CHALLENGE.fullmatch(challenge):
        raise Broken(
            f"challenge() of {cls.__name__} ({place_of(cls)}) gives {challenge!r}",
            "return a scheme and its parameters, such as 'Bearer realm=\"api\"'",
        )


LAWS: Final[tuple[Law, ...]] = (fails_closed, challenges_who_brings_nothing)
