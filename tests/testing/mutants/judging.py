"""All laws tried on a mutant, in a process that is not the tests', so that what mutants do to theirs hurts nobody."""

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from spork_core.testing import Broken, Effort, Subject
from spork_core.testing.contract import laws_of
from spork_core.testing.laws.beginning import tried
from tests.testing.mutants import MUTANTS
from tests.testing.mutants.frame import Mutant, forget

QUICK: Final = Effort(exchanges=500, examples=15)


def verdicts(name: str) -> dict[str, str]:
    """What each law says that the mutant of this name breaks, by the law's name."""
    (mutant,) = (each for each in MUTANTS if each.name == name)
    found = {}
    with _installed(mutant):
        subject = Subject(mutant.use, mutant.config, mutant.others, QUICK, mutant.headers)
        for law in laws_of(subject):
            try:
                tried(law, subject)
            except Broken as broken:
                found[law.name] = str(broken)
            except Exception as error:
                found[f"{law.name} itself"] = f"{type(error).__name__}: {error}"
    gc.collect()
    return found


@contextmanager
def _installed(mutant: Mutant) -> Iterator[None]:
    environ, level, path = dict(os.environ), logging.root.level, list(sys.path)
    with TemporaryDirectory() as site:
        mutant.install(Path(site))
        sys.path.insert(0, site)
        try:
            yield
        finally:
            sys.path[:] = path
            forget()
            os.environ.clear()
            os.environ.update(environ)
            logging.root.setLevel(level)
