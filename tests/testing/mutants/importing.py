"""Mutants that do something when they are imported."""

from typing import Final

from tests.testing.mutants.frame import Mutant

LAW: Final = "imports_fast_and_quietly"

MUTANTS: Final = (
    Mutant("an import that takes long", LAW, module="import time\n\ntime.sleep(0.15)  # here"),
    Mutant("an import that prints", LAW, module='print("hello")  # here'),
    Mutant(
        "an import that starts a thread",
        LAW,
        module="""
            import threading

            threading.Thread(target=threading.Event().wait, args=(1,), daemon=True).start()  # here
        """,
    ),
    Mutant(
        "an import that sets a variable",
        LAW,
        module='import os\n\nos.environ["GOOD"] = os.environ.get("GOOD", "1")  # here',
    ),
    Mutant(
        "an import that configures logging",
        LAW,
        module="""
            import logging

            logging.getLogger().setLevel(min(logging.getLogger().level, 7))  # here
        """,
    ),
    Mutant(
        "an import that finds modules elsewhere",
        LAW,
        module="""
            import sys

            sys.path.append("/nowhere")  # here
        """,
    ),
    Mutant(
        "an import of a library that cleans up at exit",
        None,
        module="""
            import multiprocessing.util

            assert multiprocessing.util
        """,
    ),
)
