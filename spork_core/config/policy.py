"""The config of what instances may cost and how they fail, and of who is told."""

from typing import Any, Final, Literal

import attrs

from spork_core.config.fields import SHORTHAND, Secret, at_least, between, more_than, setting
from spork_core.units import Seconds


@attrs.frozen
class BudgetConfig:
    """What the hooks of one instance may take in one exchange, own time and waiting together."""

    time: Seconds = setting(
        "For all its hooks in one exchange. Past it a warning is logged.",
        validator=more_than(0),
        metadata={SHORTHAND: True},
    )
    then: Literal["warn", "skip", "deny"] = setting(
        "When it is past it repeatedly: only warn; go on without the instance (skip), never for one that protects a "
        "route, for a slow client can bring it about; refuse exchanges (deny).",
        default="warn",
    )
    repeated: int = setting(
        "So many exchanges past it within `within` are repeatedly.", default=10, validator=at_least(1)
    )
    within: Seconds = setting("The window that `repeated` counts in.", default=10.0, validator=more_than(0))
    pause: Seconds = setting(
        "How long skip or deny lasts; then one exchange tries the instance again.", default=30.0, validator=more_than(0)
    )


@attrs.frozen
class QuarantineConfig:
    """When an instance that keeps failing is left out, with its on_failure as the rule, until it works again."""

    enabled: bool | None = setting(
        "null: only where on_failure is open. Where it is closed, a request that makes the plugin fail could be "
        "repeated to shut the route for everybody.",
        default=None,
    )
    ratio: float = setting(
        "Share of the exchanges in which a hook of it failed, from 0 to 1.", default=0.5, validator=between(0, 1)
    )
    failures: int = setting("Failures that there must be in the window.", default=20, validator=at_least(1))
    within: Seconds = setting("The window in which both are counted.", default=10.0, validator=more_than(0))
    pause: Seconds = setting(
        "How long it is left out before one exchange tries it again; doubled each time that fails.",
        default=10.0,
        validator=more_than(0),
    )
    max_pause: Seconds = setting("The longest pause.", default=300.0, validator=more_than(0))


@attrs.frozen
class AttributionConfig:
    """Who took how long: measured for each instance and hook, always."""

    hooks: bool = setting(
        "Measure each call of a hook. false: no times, nor what is made of them: server_timing, budgets, timings.",
        default=True,
    )
    blocking: Seconds | None = setting(
        "Warn, with instance, file and line, when code holds up the event loop for longer. null: do not look.",
        default=0.05,
        validator=more_than(0),
    )


SHORTEST_SECRET: Final = 32
"""Characters of a secret that nobody guesses: 128 bits even when they are hex digits."""


@attrs.frozen
class _LongEnough:
    """A validator: nobody guesses the secret."""

    def __call__(self, instance: object, attribute: "attrs.Attribute[Any]", secret: Secret) -> None:
        if len(secret.reveal()) < SHORTEST_SECRET:
            remedy = "`openssl rand -hex 32` prints a good one"
            raise ValueError(f"must be {SHORTEST_SECRET} characters or more, for it signs tokens; {remedy}")


@attrs.frozen
class ExplainConfig:
    """Who may ask what became of a request, by the header X-Spork-Explain."""

    secret: Secret = setting(
        "What tokens are signed with, 32 characters or more; `spork explain --token` makes tokens.",
        validator=_LongEnough(),
        metadata={SHORTHAND: True},
    )
