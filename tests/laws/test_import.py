"""The plugin author's door opens fast: what importing it may not pull in, and how long it may take."""

import json
import subprocess
import sys
from typing import Final

import pytest

HEAVY: Final = ("aiohttp", "click", "rich", "ruamel", "cattrs", "msgspec", "pytest", "uvloop")

LOADED: Final = """
import json, sys, time
started = time.perf_counter()
import {module}
took = time.perf_counter() - started
print(json.dumps([took, sorted({{name.partition(".")[0] for name in sys.modules}})]))
"""


def fresh_import(module: str) -> tuple[float, list[str]]:
    """Seconds, and the top-level modules there are after it, in a Python that has imported nothing else."""
    code = LOADED.format(module=module)
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    took, modules = json.loads(run.stdout)
    return took, modules


@pytest.mark.parametrize("module", ["spork_core", "spork_core.api"])
def test_nothing_heavy_comes_along(module: str) -> None:
    _, modules = fresh_import(module)

    assert sorted(set(HEAVY).intersection(modules)) == []


def test_api_is_imported_in_150_ms() -> None:
    # The fastest of five: a busy machine adds time, it never takes any away.
    assert min(fresh_import("spork_core.api")[0] for _ in range(5)) < 0.150
