"""Resident memory: after the start, with thousands of idle clients, and after very many requests."""

import resource
import subprocess
import sys
import time
from typing import Final

from benchmarks.load import wrk
from benchmarks.options import HERE, Missing, Options, say
from benchmarks.peers import tool
from benchmarks.processes import Running, Workshop, cores, pinned, workshop
from benchmarks.report import Section, Target, figure
from benchmarks.subjects import SPORK_BARE, SPORK_PLUGINS, Subject, peer

NO_GROWTH: Final = 1.0
"""MiB that many requests may add: what an allocator breathes."""
IDLE_MIB: Final = 60.0
CLIENT_KIB: Final = 10.0
_SPARE: Final = 200
"""Files that a process may need besides those of the clients."""
_COMPARED: Final = ("envoy", "traefik")
"""The peers that take so many clients with the configurations they have."""


def run(options: Options) -> Section:
    """The section ``memory``."""
    section = Section(
        "memory",
        "Memory",
        "Resident memory of the process, from the kernel's accounts. Idle clients have each had one answer and keep "
        f"their connection; what counts is the growth since {options.connections} connections were busy for a second. "
        "Growth over requests is counted from the first tenth of them.",
        ("proxy", "work", "MiB after start", "MiB warm", "KiB per idle client", "MiB growth over requests"),
    )
    clients = _raise_limit(options.clients, section)
    subjects = [SPORK_BARE, SPORK_PLUGINS]
    try:
        tool("wrk")
        with workshop(options.backend_port) as shop:
            for name in _COMPARED:
                if name in options.peers:
                    why = shop.usable(peer(name))
                    if why:
                        section.notes.append(f"{name}: skipped. {why}")
                    else:
                        subjects.append(peer(name))
            for subject in subjects:
                _measure(subject, shop, options, clients, section)
    except Missing as error:
        section.notes.append(f"skipped. {error}")
    return section


def _raise_limit(clients: int, section: Section) -> int:
    """Lets this process and its children open as many files as they may; how many clients that is good for."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard - _SPARE < clients:
        section.notes.append(f"Only {hard - _SPARE:,} idle clients: the limit of open files is {hard:,}.")
        return hard - _SPARE
    return clients


def _measure(subject: Subject, shop: Workshop, options: Options, clients: int, section: Section) -> None:
    say(f"memory: {subject.name} ({subject.work})")
    with shop.serving(subject) as running:
        time.sleep(1)
        start = running.rss()
        wrk(running.port, "/api/users/1", options.connections, 1)
        warm = running.rss()
        each = _idle_clients(running, clients, warm)
        growth = ""
        if subject.config is not None:
            requests, grown = _requests(running, options)
            growth = f"{figure(grown)} ({requests:,} requests)"
            section.targets += _targets(subject, start, each, clients, requests, grown)
    section.rows.append((subject.name, subject.work, figure(start), figure(warm), figure(each), growth))


def _targets(subject: Subject, start: float, each: float, clients: int, requests: int, grown: float) -> list[Target]:
    growth = f"memory growth over {requests:,} requests, {'bare' if subject is SPORK_BARE else 'four plugins'}"
    flat = Target(growth, grown, NO_GROWTH, " MiB", True)
    if subject is not SPORK_BARE:
        return [Target("memory idle, four plugins", start, IDLE_MIB, " MiB", True), flat]
    idle = Target("memory idle, bare", start, IDLE_MIB, " MiB", True)
    return [idle, Target(f"memory of each of {clients:,} idle clients", each, CLIENT_KIB, " KiB", True), flat]


def _idle_clients(running: Running, clients: int, before: float) -> float:
    """KiB that each idle client takes. ``before``: MiB without them."""
    command = [*pinned(cores()[1]), sys.executable, str(HERE / "idle_clients.py"), str(running.port), str(clients)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = process.stdout.readline().strip()
        if said != "ready":
            raise RuntimeError(f"the idle clients could not connect: {said or 'they say nothing'}")
        time.sleep(1)
        after = running.rss()
        if (files := running.files()) < clients:
            raise RuntimeError(f"of {clients:,} idle clients at most {files:,} are still connected")
        process.communicate("")  # the end of its input ends it
    return (after - before) * 1024 / clients


def _requests(running: Running, options: Options) -> tuple[int, float]:
    """How many requests were made, and how many MiB they added after the first tenth."""
    done, before, now, after = 0, 0.0, 0.0, 0
    while done < options.requests or not after:
        done += max(1, wrk(running.port, "/api/users/1", options.connections, 1 if options.quick else 2).requests)
        now = running.rss()
        after += bool(before)
        if not before and done >= options.requests / 10:
            before = now
        say(f"memory: {done:,} requests, {now:.1f} MiB")
    return done, now - before
