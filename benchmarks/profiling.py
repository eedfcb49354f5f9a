"""Where time and memory of an exchange go: the top functions, and what tens of thousands of exchanges leave behind."""

import asyncio
import cProfile
import io
import pstats
import shutil
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Final

from benchmarks.exchange import CASES
from benchmarks.fakes import Rig, run_rig
from benchmarks.options import CONFIGS, HERE, Missing, Options, say

TOP: Final = 30
_SAMPLES: Final = 500
"""py-spy's looks per second."""


def cpu(options: Options) -> None:
    """Prints the functions that take the most time: by py-spy when it is installed, else by cProfile."""
    for name, file, _ in CASES:
        print(f"{name}: where the time of an exchange goes\n")
        try:
            if shutil.which("py-spy"):
                _py_spy(file, options)
            else:
                _cprofile(file, options)
        except Missing as error:
            print(f"skipped. {error}\n")


def _cprofile(file: str, options: Options) -> None:
    exchanges = 5_000 if options.quick else 50_000
    profile = cProfile.Profile()

    async def work(rig: Rig) -> int:
        await rig.run(exchanges // 4)
        profile.enable()
        try:
            return await rig.run(exchanges)
        finally:
            profile.disable()

    say(f"profile: cProfile, {file}")
    done = run_rig(CONFIGS / file, work)
    text = io.StringIO()
    stats = pstats.Stats(profile, stream=text)
    stats.sort_stats("tottime").print_stats(TOP)
    print(f"{done:,} exchanges; cProfile makes calls look dearer than they are.")
    print(text.getvalue())


def _py_spy(file: str, options: Options) -> None:
    seconds = 2 if options.quick else 10
    say(f"profile: py-spy, {file}, {seconds} s")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "stacks")
        command = ["py-spy", "record", "--native", "-r", str(_SAMPLES), "-d", str(seconds), "-f", "raw", "-o", str(out)]
        work = [sys.executable, "-m", "benchmarks.profiling", file, str(seconds + 3)]
        done = subprocess.run([*command, "--", *work], cwd=HERE.parent, capture_output=True, text=True, check=False)
        if not out.exists():
            raise Missing(f"py-spy failed: {done.stderr.strip()[-400:]}")
        stacks = [line.rpartition(" ") for line in out.read_text().splitlines()]
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for stack, _, seen in stacks:
        frames = stack.split(";")
        own[frames[-1]] += int(seen)
        within.update(dict.fromkeys(frames, int(seen)))
    total = max(1, own.total())
    print(f"{'own':>6} {'with callees':>13}  function")
    for frame, count in own.most_common(TOP):
        print(f"{100 * count / total:5.1f}% {100 * within[frame] / total:12.1f}%  {frame}")
    print()


def memory(options: Options) -> None:
    """Prints what exchanges leave behind, by the line that allocated it."""
    exchanges = 2_000 if options.quick else 10_000

    async def work(rig: Rig) -> tuple[int, int, tracemalloc.Snapshot, tracemalloc.Snapshot]:
        await rig.run(exchanges)  # caches fill, pools grow
        tracemalloc.start(10)
        try:
            await rig.run(exchanges // 10)
            tracemalloc.reset_peak()
            before, first = tracemalloc.get_traced_memory()[0], tracemalloc.take_snapshot()
            await rig.run(exchanges)
            now, peak = tracemalloc.get_traced_memory()
            return now - before, peak - before, first, tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()

    ignored = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, str(HERE / "*"))]
    for name, file, _ in CASES:
        say(f"profile: tracemalloc, {file}")
        try:
            grown, peak, first, last = run_rig(CONFIGS / file, work)
        except Missing as error:
            print(f"{name}: skipped. {error}\n")
            continue
        print(
            f"{name}: {exchanges:,} exchanges left {grown / 1024:,.1f} KiB behind, {peak / 1024:,.1f} KiB at the peak\n"
        )
        for change in last.filter_traces(ignored).compare_to(first.filter_traces(ignored), "lineno")[:TOP]:
            if change.size_diff > 0:
                print(f"{change.size_diff / 1024:9.1f} KiB {change.count_diff:+7,}  {change.traceback}")
        print()


def spin(file: str, seconds: float) -> None:
    """Exchanges for so many seconds, for a profiler that looks on from outside."""

    async def work(rig: Rig) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end:
            await rig.run(1_000)

    run_rig(CONFIGS / file, work)


if __name__ == "__main__":
    spin(sys.argv[1], float(sys.argv[2]))
