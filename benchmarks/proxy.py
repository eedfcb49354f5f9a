"""The running gateway beside its peers: the same work, the same core, turn by turn."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.load import Sample, probe, refuses, sample
from benchmarks.options import Missing, Options, say
from benchmarks.peers import tool
from benchmarks.processes import BIG, Running, Workshop, cores, workshop
from benchmarks.report import Section, Target, figure, median, spread
from benchmarks.scenarios import REPEATED, SCENARIOS, Promise, Scenario
from benchmarks.subjects import Subject, peer

HEAD: Final = (
    "proxy",
    "work",
    "requests/s",
    "µs CPU (user + system)",
    "p50 ms",
    "p99 ms",
    "RSS MiB",
    "errors, time-outs",
    "Spork is … × as fast",
    "by CPU",
)
DISTURBED: Final = 0.15
"""Share of a core that others may take before the table says so."""


def run(options: Options) -> list[Section]:
    """The sections ``proxy``."""
    wanted = [each for each in SCENARIOS if not options.scenarios or each.name in options.scenarios]
    try:
        tool("wrk")
        with workshop(options.backend_port) as shop:
            return [_kept(scenario, shop, options) for scenario in wanted]
    except Missing as error:
        return [_section(scenario, options, [f"skipped. {error}"]) for scenario in wanted]


def _kept(scenario: Scenario, shop: Workshop, options: Options) -> Section:
    """The section; one that says why when it could not be measured, so that the others are kept."""
    try:
        return _scenario(scenario, shop, options)
    except Missing as error:
        return _section(scenario, options, [f"skipped. {error}"])
    except (RuntimeError, OSError) as error:
        section = _section(scenario, options, [f"failed. {error}"])
        section.failed = True
        return section


def _section(scenario: Scenario, options: Options, notes: list[str]) -> Section:
    connections = scenario.connections or options.connections
    proxy, load, backend = cores()
    where = f"The proxy has core {proxy}, wrk core {load}, the nginx backend core {backend}."
    if proxy in {load, backend}:
        where += " They share it, which this method does not intend: absolute figures are too low."
    about = (
        f"{scenario.about} {connections} connections, {options.rounds} rounds of {options.seconds:g} s after 1 s of "
        "warming up; every proxy is started afresh and measured once a round, in turn. Medians; ratios are taken round "
        f"by round, of requests/s and of the CPU time of one request. {where}"
    )
    return Section(f"proxy-{scenario.name}", scenario.title, about, HEAD, notes=notes)


def _scenario(scenario: Scenario, shop: Workshop, options: Options) -> Section:
    section = _section(scenario, options, [])
    subjects = [scenario.subject, *scenario.beside]
    for name in scenario.against:
        if name.removesuffix("-full") not in options.peers:
            continue
        why = shop.usable(peer(name))
        if why:
            section.notes.append(f"{name}: skipped. {why}")
        else:
            subjects.append(peer(name))
    samples: dict[str, list[Sample]] = {subject.name: [] for subject in subjects}
    foreign = 0.0
    for number in range(1, options.rounds + 1):
        for subject in subjects:
            taken, others = _once(scenario, subject, shop, options)
            foreign = max(foreign, others)
            samples[subject.name].append(taken)
            say(f"proxy {scenario.name} {number}/{options.rounds}: {subject.name} {taken.rate:,.0f}/s")
    if foreign > DISTURBED:
        section.notes.append(f"Disturbed: other processes took up to {foreign:.0%} of a core meanwhile.")
    mine = samples[scenario.subject.name]
    for subject in subjects:
        section.rows.append(_row(subject, samples[subject.name], mine))
    for promise in scenario.promises:
        if promise.against in samples:
            section.targets += _targets(scenario, promise, mine, samples[promise.against])
        else:
            section.notes.append(f"The target against {promise.against} was not measured.")
    if scenario.crowd:
        timeouts = sum(one.timeouts for one in mine)
        section.targets.append(Target(f"{scenario.short}: time-outs", timeouts, 0, most=True))
    errors = sum(one.errors for one in mine)
    section.targets.append(Target(f"{scenario.short}: errors", errors, 0, most=True))
    return section


def _once(scenario: Scenario, subject: Subject, shop: Workshop, options: Options) -> tuple[Sample, float]:
    """The sample, and the share of a core that strangers had meanwhile."""
    again = None if subject.constant else scenario.again
    path = REPEATED if subject.constant else scenario.path
    with shop.serving(subject) as running:
        _prove(subject, running, path if again is None else f"{path}1")
        before, start = shop.foreign(running), time.monotonic()
        taken = sample(running, path, scenario.connections or options.connections, options.seconds, again)
        return taken, (shop.foreign(running) - before) / (time.monotonic() - start)


def _prove(subject: Subject, running: Running, path: str) -> None:
    """It does the work that it is measured at. Raises RuntimeError."""
    probe(running.port, path)
    fields, content = probe(running.port, path)
    if path == "/big" and len(content) != BIG:
        raise RuntimeError(f"{subject.name} answers /big with {len(content)} bytes")
    if subject.config is not None and (lost := [name for name in subject.shows if name not in fields]):
        raise RuntimeError(f"{subject.config.name}: the answer lacks {', '.join(lost)}")
    if subject.guarded and not refuses(running.port, path):
        raise RuntimeError(f"{subject.name} lets a wrong token pass")


def _ratios(mine: Sequence[Sample], theirs: Sequence[Sample], of: Callable[[Sample], float]) -> list[float]:
    return [of(one) / max(of(other), 1e-9) for one, other in zip(mine, theirs, strict=True)]


def _row(subject: Subject, samples: Sequence[Sample], mine: Sequence[Sample]) -> tuple[str, ...]:
    def middle(of: Callable[[Sample], float]) -> str:
        return figure(median(map(of, samples)))

    ratio = by_cpu = ""
    if samples is not mine:
        ratios = _ratios(mine, samples, lambda one: one.rate)
        ratio = f"{figure(median(ratios))} ({spread(ratios)})" if len(ratios) > 1 else figure(ratios[0])
        by_cpu = figure(median(_ratios(samples, mine, lambda one: one.cpu_us)))
    return (
        subject.name,
        subject.work,
        middle(lambda one: one.rate),
        f"{middle(lambda one: one.cpu_us)} ({middle(lambda one: one.user_us)} + {middle(lambda one: one.system_us)})",
        middle(lambda one: one.p50_ms),
        middle(lambda one: one.p99_ms),
        middle(lambda one: one.rss_mib),
        f"{sum(one.errors for one in samples)}, {sum(one.timeouts for one in samples)}",
        ratio,
        by_cpu,
    )


def _targets(scenario: Scenario, promise: Promise, mine: Sequence[Sample], theirs: Sequence[Sample]) -> list[Target]:
    targets = []
    if promise.at_least is not None:
        rates = _ratios(mine, theirs, lambda one: one.rate)
        what = f"{scenario.short}: requests/s against {promise.against}"
        targets.append(Target(what, median(rates), promise.at_least, " ×", spread=spread(rates), aim=promise.aim))
    if promise.more_us is not None:
        more = [one.cpu_us - other.cpu_us for one, other in zip(mine, theirs, strict=True)]
        what = f"{scenario.short}: CPU of a request beyond {promise.against}"
        targets.append(Target(what, median(more), promise.more_us, " µs", True, spread(more)))
    if scenario.crowd:
        tails = _ratios(mine, theirs, lambda one: one.p99_ms)
        what = f"{scenario.short}: p99 against {promise.against}"
        targets.append(Target(what, median(tails), 1.0, " ×", True, spread(tails)))
    return targets
