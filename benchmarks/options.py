"""What a run of the benchmarks was asked to do."""

import os
import sys
import tempfile
from pathlib import Path
from typing import Final

from attrs import frozen

HERE: Final = Path(__file__).resolve().parent
CONFIGS: Final = HERE / "configs"
SPORK: Final = (sys.executable, "-m", "spork_core")
"""The command line of the Spork that this Python has."""


@frozen
class Options:
    """``quick``: small numbers, to see that everything runs. ``seconds``: of one measurement under load."""

    quick: bool = False
    rounds: int = 5
    seconds: float = 4.0
    connections: int = 64
    peers: tuple[str, ...] = ()
    requests: int = 200_000
    """How many requests must leave memory as it was."""
    clients: int = 5_000
    """How many clients sit idle while memory is read."""
    scenarios: tuple[str, ...] = ()
    """Of the proxy; none named: all."""
    backend_port: int = 0
    """Where the backend listens; 0: any free port."""


class Missing(Exception):
    """A tool that a benchmark needs is not there; the message says how to get it."""


def root() -> Path:
    """Where `peers/prep` puts the peers: SPORK_BENCH_ROOT, or a directory beside the temporary ones."""
    return Path(os.environ.get("SPORK_BENCH_ROOT") or Path(tempfile.gettempdir(), "spork-bench"))


def say(text: str) -> None:
    """Progress, for the one who waits."""
    print(text, file=sys.stderr, flush=True)
