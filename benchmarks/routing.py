"""The router at two sizes: what a lookup costs must not depend on how many literal routes there are."""

import random
from collections.abc import Callable, Sequence
from time import process_time_ns
from typing import Final

from benchmarks.options import Options, say
from benchmarks.report import Section, Target, figure, median, spread
from benchmarks.router import HEADERS, literals
from spork_core.routing import compile_routes

FEW: Final = 10
MANY: Final = 10_000
LOOKUPS: Final = 50_000
PATH: Final = "/service-3/resource/item-3"


def run(options: Options) -> Section:
    """The section ``router``; `python benchmarks/router.py` has more kinds of routes."""
    rounds = 3 if options.quick else max(15, options.rounds)
    section = Section(
        "router",
        "Routing",
        f"CPU time of lookups of one literal path, less the loop's own; {rounds} rounds of {LOOKUPS:,}, in turn, each "
        "lookup with a target string of its own. `python benchmarks/router.py` times prefixes, templates, hosts and "
        "headers too.",
        ("routes", "µs per lookup", "spread"),
    )
    say(f"router: {FEW} and {MANY:,} routes")
    finds = {size: compile_routes(literals(size)).find for size in (FEW, MANY)}
    times: dict[int, list[float]] = {FEW: [], MANY: []}
    nothing = min(_time(targets, lambda *_: None) for targets in [_targets()] * 5)
    for _ in range(rounds):
        for size in random.sample((FEW, MANY), 2):
            times[size].append(max(_time(_targets(), finds[size]) - nothing, 0.001))
    for size, found in times.items():
        section.rows.append((f"{size:,}", figure(median(found)), spread(found)))
    ratios = [many / few for many, few in zip(times[MANY], times[FEW], strict=True)]
    what = f"lookup among {MANY:,} literal routes against {FEW}"
    section.targets.append(Target(what, median(ratios), 1.1, " ×", True, spread(ratios)))
    return section


def _targets() -> list[str]:
    """Equal strings, each a new one: a string used twice remembers its hash, which would flatter."""
    return [(PATH + "!")[:-1] for _ in range(LOOKUPS)]


def _time(targets: Sequence[str], find: Callable[..., object]) -> float:
    """Microseconds per lookup."""
    start = process_time_ns()
    for target in targets:
        find("GET", "api.example.com", target, HEADERS)
    return (process_time_ns() - start) / LOOKUPS / 1000
