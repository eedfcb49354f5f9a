"""All mutants: for each law of the contract, plugins that only that law catches. How to add one: see ``frame``."""

from typing import Final

from tests.testing.mutants import (
    again,
    bodies,
    config,
    crowds,
    documented,
    exchanges,
    guarding,
    importing,
    keeping,
    lives,
    loading,
    secrets,
)
from tests.testing.mutants.frame import Mutant

MUTANTS: Final[tuple[Mutant, ...]] = (
    Mutant("good", breaks=None),
    *loading.MUTANTS,
    *documented.MUTANTS,
    *importing.MUTANTS,
    *config.MUTANTS,
    *guarding.MUTANTS,
    *secrets.MUTANTS,
    *keeping.MUTANTS,
    *exchanges.MUTANTS,
    *bodies.MUTANTS,
    *lives.MUTANTS,
    *crowds.MUTANTS,
    *again.MUTANTS,
)
