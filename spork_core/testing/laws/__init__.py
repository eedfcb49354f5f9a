"""The laws of the contract, in the order their tests run: those that only read come before those that run."""

from typing import Final

from spork_core.testing.law import Law
from spork_core.testing.laws import (
    blocking,
    bodies,
    cancelling,
    clocks,
    completing,
    config,
    dispatching,
    documented,
    failing,
    guarding,
    headers,
    hostile,
    importing,
    keeping,
    leaking,
    loading,
    mistakes,
    overhead,
    refusing,
    reloading,
    secrets,
    starting,
)

LAWS: Final[tuple[Law, ...]] = (
    *loading.LAWS,
    *documented.LAWS,
    *importing.LAWS,
    *config.LAWS,
    *mistakes.LAWS,
    *guarding.LAWS,
    *secrets.LAWS,
    *keeping.LAWS,
    *starting.LAWS,
    *completing.LAWS,
    *failing.LAWS,
    *refusing.LAWS,
    *bodies.LAWS,
    *headers.LAWS,
    *hostile.LAWS,
    *cancelling.LAWS,
    *clocks.LAWS,
    *blocking.LAWS,
    *reloading.LAWS,
    *dispatching.LAWS,
    *overhead.LAWS,
    *leaking.LAWS,
)
