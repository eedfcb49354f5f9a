"""One exchange from the request's bytes to the answer's, on fake transports: what Spork itself costs."""

from time import process_time_ns
from typing import Final

from benchmarks.fakes import BATCH, Rig, run_rig
from benchmarks.options import CONFIGS, Missing, Options, say
from benchmarks.report import Section, figure, median, spread
from spork_core.workers.serving import settle

CASES: Final = (
    ("bare", "bare.yaml", "no plugins"),
    ("four plugins", "plugins.yaml", "all four on"),
    ("nine plugins", "full.yaml", "the whole chain"),
)


def run(options: Options) -> Section:
    """The section ``exchange``."""
    rounds, exchanges = (2, 3_200) if options.quick else (max(5, options.rounds), 32_000)
    section = Section(
        "exchange",
        "One exchange without sockets",
        f"The running gateway on fake transports. In one turn of the loop {BATCH} clients send, in the next as many "
        "upstream connections answer. All that is Spork's is in it, and none of a socket's system calls. "
        f"CPU time; {rounds} rounds of {exchanges:,} exchanges.",
        ("route", "µs per exchange", "spread", "exchanges per second of CPU"),
    )
    for name, file, about in CASES:
        say(f"exchange: {name}")
        try:
            times = measure(file, rounds, exchanges)
        except Missing as error:
            section.notes.append(f"{name}: skipped. {error}")
            continue
        middle = median(times)
        section.rows.append((f"{name} ({about})", figure(middle), spread(times), f"{1e6 / middle:,.0f}"))
    return section


def measure(file: str, rounds: int, exchanges: int) -> list[float]:
    """Microseconds of CPU per exchange, one number a round. ``file``: one of the configs. Raises Missing."""

    async def work(rig: Rig) -> list[float]:
        settle()  # as `spork run` does before it serves
        await rig.run(exchanges // 4)
        times = []
        for _ in range(rounds):
            start = process_time_ns()
            done = await rig.run(exchanges)
            times.append((process_time_ns() - start) / done / 1000)
        return times

    times: list[float] = run_rig(CONFIGS / file, work)
    return times
