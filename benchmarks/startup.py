"""Start-up: the import a plugin author pays for, and the check of a large config file."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.options import SPORK, Options, say
from benchmarks.report import Section, Target, figure, median, spread

ROUTES: Final = 1_000
_TIMED: Final = "import time; start = time.perf_counter(); import {}; print(time.perf_counter() - start)"


def run(options: Options) -> Section:
    """The section ``startup``."""
    imports, checks = (3, 1) if options.quick else (10, 5)
    section = Section(
        "startup",
        "Start-up",
        f"Each in a fresh interpreter: {imports} imports of `spork_core.api` with the bytecode already compiled, timed "
        f"inside; {checks} runs of `spork check` on a generated file of {ROUTES:,} routes, timed from outside.",
        ("what", "median", "spread"),
    )
    say("startup: import spork_core.api")
    script = [sys.executable, "-c", _TIMED.format("spork_core.api")]
    _wall(script)
    times = [float(_output(script)) * 1000 for _ in range(imports)]
    _add(section, "import of spork_core.api", times, 150.0, " ms")
    say(f"startup: spork check, {ROUTES:,} routes")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "spork.yaml")
        file.write_text(config(ROUTES), encoding="utf-8")
        times = [_wall([*SPORK, "check", str(file)]) for _ in range(checks)]
    _add(section, f"spork check, {ROUTES:,} routes", times, 2.0, " s")
    return section


def _add(section: Section, name: str, times: Sequence[float], limit: float, unit: str) -> None:
    section.rows.append((name, f"{figure(median(times))}{unit}", spread(times)))
    section.targets.append(Target(name, median(times), limit, unit, True, spread(times)))


def _output(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
    return done.stdout


def _wall(command: Sequence[str]) -> float:
    start = time.perf_counter()
    _output(command)
    return time.perf_counter() - start


def config(routes: int) -> str:
    """A config file of so many routes over 50 services, with what routes in daily use say."""
    lines = ["listen: 127.0.0.1:8080", "services:"]
    for number in range(50):
        endpoints = f"[http://127.0.0.1:{9000 + number}, http://127.0.0.2:{9000 + number}]"
        lines.append(f"  service-{number}: {{endpoints: {endpoints}, timeouts: {{connect: 2s, response: 10s}}}}")
    lines.append("routes:")
    for number in range(routes):
        match = f"host: api{number % 7}.example.com, path: '/v{number}/users/{{id}}', methods: [GET, PUT]"
        lines += [
            f"  route-{number}:",
            f"    match: {{{match}}}",
            f"    rewrite: {{strip_prefix: /v{number}}}",
            f"    service: service-{number % 50}",
        ]
        if number % 5 == 0:
            lines += ["    timeouts: {response: 30s}", "    body_limit: 1MiB"]
    return "\n".join(lines) + "\n"
