"""The command line of the benchmarks: `python -m benchmarks --help`."""

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final

import attrs

from benchmarks import machine, peers, profiling
from benchmarks.options import HERE, Missing, Options, say
from benchmarks.report import Section, as_json, as_markdown, as_text
from benchmarks.scenarios import SCENARIOS

PAGE: Final = HERE.parent / "docs" / "reference" / "benchmarks.md"
BENCHMARKS: Final = {
    "dispatch": ("benchmarks.dispatch", "hooks: the compiled pipeline beside plain pluggy calls"),
    "exchange": ("benchmarks.exchange", "one exchange on fake transports: bare, with four plugins and with nine"),
    "plugins-alone": ("benchmarks.alone", "what each plugin adds to an exchange on fake transports; jwt beside PyJWT"),
    "router": ("benchmarks.routing", "lookups among 10 and among 10,000 routes"),
    "proxy": ("benchmarks.proxy", "the running gateway beside its peers; one of them is proxy-NAME, see below"),
    "workers": ("benchmarks.workers", "two workers beside one"),
    "memory": ("benchmarks.memory", "resident memory: idle, with idle clients, after many requests"),
    "startup": ("benchmarks.startup", "the import of spork_core.api, spork check on 1,000 routes"),
}
"""Module and summary by name, in the order they run."""
ABOUT: Final = """\
Measures Spork, alone and beside its peers, and says which targets are met.

What is measured (--only takes these names):
{names}
{scenarios}

Progress goes to stderr, the tables to stdout. dispatch, exchange, plugins-alone, router and startup need nothing
but Spork and its plugins. The others need wrk and nginx, and the peers: run benchmarks/peers/prep once. What is
missing is skipped, and the table says so. For figures worth quoting leave the machine alone meanwhile.
"""
EXAMPLES: Final = """\
examples:
  python -m benchmarks --quick                          does everything run? (about three minutes)
  python -m benchmarks --only dispatch,exchange         no tools needed
  python -m benchmarks --only proxy-bare --peers envoy  Spork beside Envoy alone
  python -m benchmarks --only proxy-full                nine plugins beside Envoy and Traefik with the like
  python -m benchmarks --profile cpu                    where the time of an exchange goes
  python -m benchmarks --write                          all of it, and the page docs/reference/benchmarks.md

SPORK_BENCH_ROOT says where peers/prep put the peers and where runs keep their files; by default that is
spork-bench in the directory for temporary files.

Exit code: 0 measured, 1 a benchmark failed, 2 wrong usage. A target that is not met is no failure.
"""


def _names(known: Sequence[str], empty: str = "") -> Callable[[str], tuple[str, ...]]:
    def names(text: str) -> tuple[str, ...]:
        wanted = [name.strip() for name in text.split(",") if name.strip()]
        if empty and wanted == [empty]:
            return ()
        if unknown := [name for name in wanted if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not one of {', '.join(known)}")
        return tuple(name for name in known if name in wanted)

    return names


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError
    return number


def parser() -> argparse.ArgumentParser:
    """The arguments."""
    names = "\n".join(f"  {name:15}{summary}" for name, (_, summary) in BENCHMARKS.items())
    scenarios = "\n".join(f"  {f'proxy-{each.name}':19}{each.title}" for each in SCENARIOS)
    made = argparse.ArgumentParser(
        "python -m benchmarks",
        description=ABOUT.format(names=names, scenarios=scenarios),
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--quick", action="store_true", help="small numbers, to see that everything runs; not for quoting")
    only = _names((*BENCHMARKS, *(f"proxy-{each.name}" for each in SCENARIOS)))
    add("--only", metavar="NAME,…", type=only, action="extend", help="these benchmarks; proxy-bare and so on for one")
    peer_names = ",".join(peers.NAMES)
    add(
        "--peers",
        metavar="NAME,…",
        type=_names(peers.NAMES, "none"),
        default=peers.NAMES,
        help=f"the peers to measure beside: {peer_names} (the default), or none",
    )
    add("--rounds", metavar="N", type=_positive, help="rounds; medians are taken over them (default 5, quick 1)")
    add("--seconds", metavar="S", type=_positive, help="seconds of one measurement under load (default 4, quick 1)")
    add("--connections", metavar="C", type=_positive, default=64, help="connections of the bare proxy (default 64)")
    add("--long", action="store_true", help="memory: 1,000,000 requests instead of 200,000")
    add("--backend-port", metavar="PORT", type=int, default=0, help="where the backend listens (default: a free port)")
    add("--profile", choices=("cpu", "memory"), help="profile the exchange instead of measuring anything")
    add("--json", metavar="FILE", type=Path, help="write every figure to FILE, too")
    add("--write", action="store_true", help=f"write the tables to {PAGE.relative_to(HERE.parent)}; needs a full run")
    return made


def main(arguments: Sequence[str]) -> int:
    """Runs what the arguments ask for; the exit code."""
    asked = parser()
    args = asked.parse_args(arguments)
    if args.write and (args.quick or args.only or args.profile):
        asked.error("--write needs a full run: leave out --quick, --only and --profile")
    options = Options(
        quick=args.quick,
        rounds=args.rounds or (1 if args.quick else 5),
        seconds=args.seconds or (1 if args.quick else 4),
        connections=args.connections,
        peers=args.peers,
        requests=20_000 if args.quick else 1_000_000 if args.long else 200_000,
        clients=500 if args.quick else 5_000,
        scenarios=tuple(each.name for each in SCENARIOS if f"proxy-{each.name}" in (args.only or ())),
        backend_port=args.backend_port,
    )
    # Processes that are started here find this package and the same Spork from wherever they are.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE.parent), os.environ.get("PYTHONPATH")]))
    if args.profile:
        (profiling.cpu if args.profile == "cpu" else profiling.memory)(options)
        return 0
    wanted = {name if name in BENCHMARKS else "proxy" for name in args.only or BENCHMARKS}
    chosen = [name for name in BENCHMARKS if name in wanted]
    facts = machine.facts(options.peers if {"proxy", "memory", "workers"} & set(chosen) else ())
    sections = [section for name in chosen for section in _measure(name, options)]
    print("\n".join(f"{what}: {which}" for what, which in facts))
    for section in sections:
        print(f"\n\n{as_text(section)}")
    if args.json:
        args.json.write_text(
            json.dumps(as_json(sections, facts), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
        )
    if args.write:
        PAGE.write_text(as_markdown(sections, facts, _command(options)), encoding="utf-8")
        say(f"wrote {PAGE}")
    _summary(sections)
    return int(any(section.failed for section in sections))


def _command(options: Options) -> str:
    """The command that measures so again, without what is only of this machine."""
    given, default = attrs.asdict(options), attrs.asdict(Options(peers=peers.NAMES))
    words = [
        f"--{name} {given[name]:g}" for name in ("rounds", "seconds", "connections") if given[name] != default[name]
    ]
    if options.requests != default["requests"]:
        words.append("--long")
    if options.peers != peers.NAMES:
        words.append(f"--peers {','.join(options.peers) or 'none'}")
    return " ".join(["python -m benchmarks", *words, "--write"])


def _measure(name: str, options: Options) -> list[Section]:
    module, summary = BENCHMARKS[name]
    try:
        found: Section | list[Section] = import_module(module).run(options)
    except Missing as error:
        say(f"{name}: skipped. {error}")
        return [Section(name, name.capitalize(), summary, (), notes=[f"skipped. {error}"])]
    except Exception as error:
        say(f"{name}: failed. {error}")
        note = f"failed. {type(error).__name__}: {error}"
        return [Section(name, name.capitalize(), summary, (), notes=[note], failed=True)]
    return found if isinstance(found, list) else [found]


def _summary(sections: Sequence[Section]) -> None:
    targets = [target for section in sections for target in section.targets]
    missed = [target.name for target in targets if not target.met]
    verdict = f"{len(targets) - len(missed)} of {len(targets)} targets met"
    say(f"{verdict}; not met: {', '.join(missed)}" if missed else verdict)
    for section in sections:
        for note in section.notes:
            say(f"{section.name}: {note}")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nstopped; nothing was written")
