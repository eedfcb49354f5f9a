"""What each plugin costs by itself: what it adds to an exchange, and what a known and an unknown token take.

Rules of this file
1. A plugin is added to a chain in which others already write a field of the request and one of the answer and hear of
   the end, so that it does not pay for what any first plugin of a chain costs.
2. With and without it are measured in turn, in many short slices, of which one near the quickest stands for a round:
   what else the machine does only ever adds time.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter_ns
from typing import Any, Final

from benchmarks.bearer import SECRET, token
from benchmarks.fakes import BATCH, Rig, run_rig
from benchmarks.options import Options, say
from benchmarks.report import Section, Target, figure, median, spread
from spork_core.exchange import Exchange, Request
from spork_core.headers import Headers
from spork_core.hookspecs import hookimpl
from spork_core.plugin import NoConfig, Plugin
from spork_core.registry import Registry
from spork_core.workers.serving import settle

_JWT: Final = f'secret: "{SECRET.decode()}", algorithms: [HS256], issuer: bench, audience: bench'
PLUGINS: Final = {
    "request-id": "{}",
    "access-log": "{path: /dev/null}",
    "metrics": "{}",
    "tracing": "{exporter: otlp, endpoint: 'http://127.0.0.1:9', sample: 0}",
    "cors": "{allow_origins: ['https://app.example.com'], allow_methods: [GET, POST]}",
    "jwt": f"{{{_JWT}}}",
    "rate-limit": "{limit: 10000000/second, by: address, store: memory}",
    "security-headers": (
        "{preset: none, mode: override, headers: {Strict-Transport-Security: max-age=31536000, X-Frame-Options: DENY, "
        "X-Content-Type-Options: nosniff, Content-Security-Policy: \"default-src 'none'\", "
        "Referrer-Policy: no-referrer}}"
    ),
    "circuit-breaker": "{}",
    "retry": "{}",
}
"""Their settings by name."""
PROMISED: Final = {
    "metrics": ("metrics", 2.0),
    "jwt": ("jwt, token known", 2.0),
    "tracing": ("tracing, unsampled", 3.0),
}
"""What an exchange may pay for some of them, in µs."""
CONFIG: Final = """\
listen: 127.0.0.1:8080
admin: null
services: {{backend: {{endpoints: ["http://127.0.0.1:9900"]}}}}
plugins: {{others: {{}}, {named}}}
chain: [{chain}]
routes: {{all: {{match: {{path: /*}}, service: backend}}}}
"""
SLICE: Final = 4 * BATCH
"""Exchanges of one slice."""
_NEAR_QUICKEST: Final = 50
"""One in so many slices is quicker than the one that counts."""


class Others(Plugin[NoConfig]):
    """Stands for the rest of a chain."""

    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None:
        exchange.request.headers["X-Others"] = "1"

    @hookimpl
    def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Others"] = "1"

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None: ...


def run(options: Options) -> Section:
    """The section ``plugins-alone``."""
    rounds, slices = (1, 50) if options.quick else (max(5, options.rounds), 400)
    section = Section(
        "plugins-alone",
        "Each plugin by itself",
        "What a plugin adds to an exchange on fake transports whose chain already writes fields both ways: all its "
        f"hooks, their dispatch and what they make others do. {rounds} rounds with and without it in turn, each of "
        f"{slices} slices of {SLICE} exchanges of which the quickest but {100 // _NEAR_QUICKEST} % counts. Below, one "
        "token that is not known beside a bare `jwt.decode` with the same checks.",
        ("what", "µs", "spread"),
    )
    with tempfile.TemporaryDirectory() as folder:
        _added(section, Path(folder, "spork.yaml"), rounds, slices)
        _tokens(section, Path(folder, "jwt.yaml"), rounds, 20 if options.quick else 200)
    return section


# -- added to an exchange ---------------------------------------------------------------------------


def _added(section: Section, config: Path, rounds: int, slices: int) -> None:
    registry = _Installed()
    names = []
    for name in PLUGINS:
        if name in registry.names():
            names.append(name)
        else:
            section.notes.append(f"{name}: skipped. It is not installed.")
    without: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(1, rounds + 1):
        say(f"plugins-alone {number}/{rounds}")
        without.append(exchange_us(config, registry, (), slices))
        for name in names:
            times[name].append(exchange_us(config, registry, (name,), slices))
    section.rows.append(("an exchange without them", figure(median(without)), spread(without)))
    for name, found in times.items():
        more = [one - other for one, other in zip(found, without, strict=True)]
        section.rows.append((f"{name} adds", figure(median(more)), spread(more)))
        if name in PROMISED:
            what, limit = PROMISED[name]
            section.targets.append(
                Target(f"{what}: added to an exchange", median(more), limit, " µs", True, spread(more))
            )


class _Installed(Registry):
    """The installed plugins, and the one of this file."""

    def __init__(self) -> None:
        super().__init__()
        self._classes["others"] = Others


def exchange_us(config: Path, registry: Registry, names: Sequence[str], slices: int) -> float:
    """Microseconds of an exchange with ``names`` in its chain. ``config``: a file to write. Raises Missing."""
    config.write_text(text_of(names), encoding="utf-8")

    async def work(rig: Rig) -> float:
        settle()  # as `spork run` does before it serves
        await rig.run(20 * SLICE)
        times = []
        for _ in range(slices):
            start = perf_counter_ns()
            done = await rig.run(SLICE)
            times.append((perf_counter_ns() - start) / done / 1000)
        return near_quickest(times)

    taken: float = run_rig(config, work, registry)
    return taken


def text_of(names: Sequence[str]) -> str:
    """A config with ``names`` in its chain, behind what stands for the others."""
    named = ", ".join(f"{name}: {PLUGINS[name]}" for name in names)
    return CONFIG.format(named=named, chain=", ".join(("others", *names)))


def near_quickest(times: Sequence[float]) -> float:
    """Stands for them where nothing disturbed."""
    return sorted(times)[len(times) // _NEAR_QUICKEST]


# -- tokens -----------------------------------------------------------------------------------------


def _tokens(section: Section, config: Path, rounds: int, slices: int) -> None:
    """Tokens that nobody has seen, by the plugin and by the bare library; in turn."""
    try:
        import jwt
    except ImportError:
        section.notes.append("jwt.decode: skipped. PyJWT is not installed.")
        return
    checks: dict[str, Any] = {"options": {"require": ["exp", "sub"]}, "leeway": 30}

    def bare(text: str) -> Any:
        return jwt.decode(text, SECRET, ["HS256"], issuer="bench", audience="bench", **checks)

    config.write_text(CONFIG.format(named=f"jwt: {{{_JWT}, cache: {{entries: 0}}}}", chain="others, jwt"))

    async def work(rig: Rig) -> tuple[list[float], list[float]]:
        plugin: Any = rig.gateway.snapshot.instances["jwt"].plugin

        def ours(text: str) -> Any:
            exchange = Exchange(Request(headers=Headers({"Authorization": f"Bearer {text}"})))
            plugin.pre_auth(exchange)
            return plugin.authenticate(exchange)

        found: dict[str, list[float]] = {"ours": [], "bare": []}
        for _ in range(rounds):
            taken: dict[str, list[float]] = {"ours": [], "bare": []}
            for at in range(slices):
                texts = [token(f"u{at}-{number}") for number in range(50)]
                for name, verify in (("ours", ours), ("bare", bare)):
                    taken[name].append(_each_us(verify, texts))
            for name, times in taken.items():
                found[name].append(near_quickest(times))
        return found["ours"], found["bare"]

    say("plugins-alone: tokens")
    mine, theirs = run_rig(config, work, _Installed())
    section.rows.append(("a token that is not known, by jwt", figure(median(mine)), spread(mine)))
    section.rows.append(("the same by jwt.decode", figure(median(theirs)), spread(theirs)))
    ratios = [one / other for one, other in zip(mine, theirs, strict=True)]
    section.targets.append(
        Target("jwt, token not known, against jwt.decode", median(ratios), 1.2, " ×", True, spread(ratios))
    )


def _each_us(verify: Callable[[str], Any], texts: Sequence[str]) -> float:
    start = perf_counter_ns()
    for text in texts:
        verify(text)
    return (perf_counter_ns() - start) / len(texts) / 1000
