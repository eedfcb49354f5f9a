"""The running gateway beside its peers: the same work, the same core, turn by turn."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from attrs import frozen

from benchmarks.load import Sample, probe, sample
from benchmarks.options import Missing, Options, say
from benchmarks.peers import tool
from benchmarks.processes import (
    BIG,
    SPORK_BARE,
    SPORK_PLUGINS,
    SPORK_UNMEASURED,
    Subject,
    Workshop,
    cores,
    peer,
    workshop,
)
from benchmarks.report import Section, Target, figure, median, spread


@frozen
class Scenario:
    """``against``: peers by name, as far as the run has them. ``at_least``, ``aim``: the ratio to ``judge``."""

    name: str
    title: str
    about: str
    subject: Subject
    against: tuple[str, ...]
    path: str = "/api/users/1"
    connections: int | None = None
    """None: as many as the run says."""
    at_least: float = 1.0
    aim: float | None = None
    judge: str = ""
    """The peer that the ratio is promised against."""
    short: str = ""
    """The name in the targets."""
    crowd: bool = False
    """True: time-outs and p99 are promised too."""
    beside: Subject | None = None
    """Another Spork to measure in the same run; None: only peers."""
    shows: tuple[str, ...] = ()
    """Fields by which Spork's answer shows that its plugins did their work."""


SCENARIOS: Final = (
    Scenario(
        "bare",
        "Bare proxy",
        "A small JSON answer on keep-alive connections.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy", "traefik", "caddy"),
        judge="envoy",
        aim=1.2,
        short="bare proxy",
    ),
    Scenario(
        "crowd",
        "Bare proxy, 1,000 connections",
        "The same with many clients at once.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy", "traefik"),
        connections=1000,
        judge="envoy",
        at_least=1.2,
        crowd=True,
        short="1,000 connections",
    ),
    Scenario(
        "big",
        "Bodies of 1 MiB",
        "The same with 1 MiB in each answer, on 16 connections.",
        SPORK_BARE,
        ("nginx", "haproxy", "envoy"),
        path="/big",
        connections=16,
        judge="haproxy",
        short="bodies of 1 MiB",
    ),
    Scenario(
        "plugins",
        "Four plugins",
        "Spork with its first four plugins on, beside Traefik bare, and beside Traefik and Envoy with middlewares of "
        "their own; those do more or other work than Spork here, so only the ratio to Traefik bare is a target.",
        SPORK_PLUGINS,
        ("traefik", "traefik-full", "envoy-full"),
        judge="traefik",
        at_least=1.5,
        short="four plugins",
        shows=("x-request-id", "x-content-type-options", "x-served-by"),
    ),
    Scenario(
        "times",
        "Who took how long: what it costs to know",
        "Four plugins, with the time of each hook measured, as always, and with `attribution: {hooks: false}`.",
        SPORK_PLUGINS,
        (),
        judge=SPORK_UNMEASURED.name,
        at_least=0.97,
        short="times on",
        beside=SPORK_UNMEASURED,
        shows=("x-request-id", "x-content-type-options", "x-served-by"),
    ),
)

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
    subjects = [scenario.subject, *([] if scenario.beside is None else [scenario.beside])]
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
    if scenario.judge in samples:
        section.targets += _targets(scenario, mine, samples[scenario.judge])
    else:
        section.notes.append(f"The target against {scenario.judge} was not measured.")
    return section


def _once(scenario: Scenario, subject: Subject, shop: Workshop, options: Options) -> tuple[Sample, float]:
    """The sample, and the share of a core that strangers had meanwhile."""
    with shop.serving(subject) as running:
        fields, content = probe(running.port, scenario.path)
        if scenario.path == "/big" and len(content) != BIG:
            raise RuntimeError(f"{subject.name} answers /big with {len(content)} bytes")
        if subject.config is not None and (lost := [name for name in scenario.shows if name not in fields]):
            raise RuntimeError(f"{subject.config.name}: the answer lacks {', '.join(lost)}")
        before, start = shop.foreign(running), time.monotonic()
        taken = sample(running, scenario.path, scenario.connections or options.connections, options.seconds)
        return taken, (shop.foreign(running) - before) / (time.monotonic() - start)


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


def _targets(scenario: Scenario, mine: Sequence[Sample], theirs: Sequence[Sample]) -> list[Target]:
    rates = _ratios(mine, theirs, lambda one: one.rate)
    what = f"{scenario.short}: requests/s against {scenario.judge}"
    targets = [Target(what, median(rates), scenario.at_least, " ×", spread=spread(rates), aim=scenario.aim)]
    if scenario.crowd:
        tails = _ratios(mine, theirs, lambda one: one.p99_ms)
        what = f"{scenario.short}: p99 against {scenario.judge}"
        targets.append(Target(what, median(tails), 1.0, " ×", True, spread(tails)))
        timeouts = sum(one.timeouts for one in mine)
        targets.append(Target(f"{scenario.short}: time-outs", timeouts, 0, most=True))
    errors = sum(one.errors for one in mine)
    targets.append(Target(f"{scenario.short}: errors", errors, 0, most=True))
    return targets
