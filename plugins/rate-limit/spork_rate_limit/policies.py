"""What the config says, made ready for the hot path: which windows a caller is held to, and how they are told."""

from collections.abc import Sequence
from typing import Any

from spork_core.api import Rate, Script
from spork_rate_limit.scripts import SCRIPTS
from spork_rate_limit.windows import FixedWindow, Gcra, SlidingWindow, Window


class Policy:
    """One window under its name. ``name``: in fields and problems."""

    __slots__ = ("begin", "limit", "name", "rate", "text", "window")

    def __init__(self, name: str, rate: Rate, window: Window[Any]) -> None:
        self.name = name
        self.rate = rate
        self.window = window
        self.limit = str(rate.count)
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        self.begin = f"{quoted};r="
        """What its item of ``RateLimit`` begins with."""
        length = f";w={rate.seconds:.0f}" if rate.seconds.is_integer() else ""  # the draft knows whole seconds only
        self.text = f"{quoted};q={rate.count}{length}"
        """Its item of ``RateLimit-Policy``."""


class Plan:
    """All windows that a caller is held to at once. ``tier``: whose it is; "" for callers of no tier."""

    __slots__ = ("arguments", "kinds", "one", "policies", "script", "text", "tier", "windows")

    def __init__(self, tier: str, policies: Sequence[Policy]) -> None:
        self.tier = tier
        self.policies = tuple(policies)
        self.windows = tuple(policy.window for policy in policies)
        self.one: Window[Any] | None = self.windows[0] if len(policies) == 1 else None
        """The window, where there is only one."""
        self.text = ", ".join(policy.text for policy in policies)
        """The value of ``RateLimit-Policy``."""
        self.script: Script = SCRIPTS[type(self.windows[0])]
        self.arguments: tuple[int, ...] = tuple(number for window in self.windows for number in window.numbers)
        """What follows ``cost`` in the arguments of the script."""
        self.kinds = tuple(window.kind for window in self.windows)
        """Of its windows; counts go on where a new plan has the same."""


def plan(tier: str, name: str, rates: Sequence[Rate], algorithm: str, burst: int | None) -> Plan:
    """The Plan of ``rates``, the shortest window first. ``name``: of the policies; where there are several, their
    period follows it."""
    several = len(rates) > 1
    return Plan(
        tier,
        [
            Policy(f"{name}-{period(rate)}" if several else name, rate, window(rate, algorithm, burst))
            for rate in sorted(rates, key=lambda rate: rate.seconds)
        ],
    )


def period(rate: Rate) -> str:
    """``minute``, ``10s``: what stands behind the slash when the rate is written."""
    return str(rate).partition("/")[2]


def window(rate: Rate, algorithm: str, burst: int | None) -> Window[Any]:
    """How ``rate`` is counted. ``burst``: the most at once by gcra; None: the count of the rate."""
    if algorithm == "gcra":
        return Gcra.of(rate, burst or rate.count)
    return FixedWindow.of(rate) if algorithm == "fixed-window" else SlidingWindow.of(rate)
