"""What a second worker brings: requests per second of two workers beside one, and the processor time of a request.

``python -m benchmarks.workers`` runs it alone.

wrk, and where there is one the backend, run on the same processors as the gateway. One worker has a processor for
itself while they use what is left; two workers have to share with them. So the ratio of requests per second can reach
only what ``ceiling`` computes from the processor time that each of them needs for a request. The ``linear`` figure asks
what the process model itself loses: the processor time of a request with one worker, divided by that with two, times
two. It is what two workers would serve beside one if wrk and the backend ran elsewhere.
"""

import os
import re
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from attrs import frozen

from benchmarks.options import Missing, Options, say
from benchmarks.peers import BACKEND, command, tool
from benchmarks.report import Section, Target, as_text, figure, median, spread
from spork_core.api import Exchange, NoConfig, Plugin, Response, hookimpl
from spork_core.config import loads
from spork_core.registry import Registry
from spork_core.workers import run as serve

COMMON: Final = "listen: 127.0.0.1:0\nadmin: null\nworkers: {workers}\n"
WORK: Final = {
    "bare proxy": (
        'services: {{b: {{endpoints: ["http://127.0.0.1:{backend}"]}}}}\nroutes: {{all: {{match: {{}}, service: b}}}}\n'
    ),
    "0.3 ms of Python": "plugins: {{compute: {{}}}}\nroutes: {{all: {{match: {{}}, chain: [compute]}}}}\n",
}
"""Two kinds of work: one where wrk and the backend need much of the machine, and one where the gateway needs all."""
TICKS: Final = os.sysconf("SC_CLK_TCK")
PATIENCE: Final = 20


class Compute(Plugin[NoConfig]):
    """Keeps the processor busy for about 0.3 ms, and answers."""

    @hookimpl
    def serve(self, exchange: Exchange) -> Response:
        return Response(200, str(sum(range(20_000))))


@frozen
class Load:
    """``rate``: requests per second. ``gateway``, ``wrk``, ``backend``: processor seconds per request."""

    rate: float
    gateway: float
    wrk: float
    backend: float


def run(options: Options) -> Section:
    """The section ``workers``. Raises Missing."""
    rounds, seconds = (1, 1.0) if options.quick else (options.rounds, options.seconds)
    processors = len(os.sched_getaffinity(0))
    section = Section(
        "workers",
        "Two workers beside one",
        f"wrk with {options.connections} connections on the {processors} processors that the gateway and the backend "
        f"use too; {rounds} rounds of {seconds:g} s, alternating.",
        ("work", "1 worker, requests/s", "2 workers, requests/s", "ratio", "ceiling", "linear"),
    )
    with backend() as (port, backend_pid):
        for name, text in WORK.items():
            loads_of: dict[int, list[Load]] = {1: [], 2: []}
            for at in range(rounds):
                for workers, found in loads_of.items():
                    say(f"workers: {name}, {workers}, round {at + 1} of {rounds}")
                    config = (COMMON + text).format(workers=workers, backend=port)
                    found.append(measure(config, seconds, options.connections, backend_pid))
            one, two = loads_of[1], loads_of[2]
            ratios = [b.rate / a.rate for a, b in zip(one, two, strict=True)]
            linears = [2 * a.gateway / b.gateway for a, b in zip(one, two, strict=True)]
            section.rows.append(
                (
                    name,
                    figure(median(load.rate for load in one)),
                    figure(median(load.rate for load in two)),
                    figure(median(ratios)),
                    figure(ceiling(one, processors)),
                    figure(median(linears)),
                )
            )
            if name != "bare proxy":
                section.targets.append(
                    Target("2 workers beside 1, " + name, median(ratios), 1.7, " ×", spread=spread(ratios))
                )
            else:
                section.targets.append(
                    Target(
                        "2 workers beside 1, bare, by processor time",
                        median(linears),
                        1.7,
                        " ×",
                        spread=spread(linears),
                    )
                )
    return section


def ceiling(one: Sequence[Load], processors: int) -> float:
    """The most that two workers can serve beside one when everything shares ``processors``: each worker fills at most
    one of them, and all together no more than there are."""
    gateway = median(load.gateway for load in one)
    whole = median(load.gateway + load.wrk + load.backend for load in one)
    return min(2 / gateway, processors / whole) / min(1 / gateway, processors / whole)


def measure(config: str, seconds: float, connections: int, backend_pid: int) -> Load:
    """Puts a gateway of its own under load."""
    with gateway(config) as (url, pid):
        wrk = [tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds:g}s", url]
        before = cpu(pid), cpu(backend_pid), os.times()
        done = subprocess.run(wrk, capture_output=True, text=True, timeout=seconds + PATIENCE, check=True)
        after = cpu(pid), cpu(backend_pid), os.times()
    count = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if count is None or rate is None or "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    requests = int(count[1])
    children = [times.children_user + times.children_system for times in (before[2], after[2])]
    used = (after[0] - before[0], children[1] - children[0], after[1] - before[1])
    return Load(float(rate[1]), *(spent / requests for spent in used))


def cpu(pid: int) -> float:
    """Processor seconds of a process and its children."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return (int(fields[11]) + int(fields[12])) / TICKS + sum(cpu(int(child)) for child in children)


@contextmanager
def gateway(config: str) -> Iterator[tuple[str, int]]:
    """A gateway in a process of its own: its URL and its pid."""
    program = [sys.executable, "-m", "benchmarks.workers", "--serve", config]
    with started(program, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        url = ""
        while select.select([process.stdout], [], [], PATIENCE)[0] and (line := process.stdout.readline().decode()):
            if line.startswith("listening on "):
                url = line.split()[-1]
            elif line.startswith("ready: "):
                yield url, process.pid
                return
        raise RuntimeError("the gateway does not start")


@contextmanager
def backend() -> Iterator[tuple[int, int]]:
    """An nginx with one worker: its port and its pid."""
    with ExitStack() as stack:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        run_in = stack.enter_context(tempfile.TemporaryDirectory())
        process = stack.enter_context(started(command(BACKEND, {"RUN": run_in, "BACKEND": port})))
        for _ in range(PATIENCE * 100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    yield port, process.pid
                    return
            select.select([], [], [], 0.01)
        raise RuntimeError("the backend does not start")


@contextmanager
def started(program: Sequence[str], stdout: int | None = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(program, stdout=stdout, bufsize=0)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.stdout is not None:
            process.stdout.close()


def main(arguments: Sequence[str]) -> int:
    if arguments[:1] == ["--serve"]:
        plugins = Registry({"compute": Compute})
        return serve(
            lambda: loads(arguments[1], plugins=plugins), plugins, announce=lambda line: print(line, flush=True)
        )
    try:
        print(as_text(run(Options(quick="--quick" in arguments))))
    except Missing as missing:
        print(missing, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
