"""What hooks cost: a compiled pipeline beside plain pluggy calls, and a route without plugins."""

import sys
from collections.abc import Callable
from time import process_time_ns
from types import FrameType
from typing import Final

import pluggy

from benchmarks.fakes import BATCH, Rig, run_rig
from benchmarks.options import CONFIGS, Options, say
from benchmarks.report import Section, Target, figure, median, spread
from spork_core.attribution import Metering
from spork_core.config.model import InstanceConfig
from spork_core.exchange import Attempt, Exchange, Identity, Request, Response
from spork_core.flat import FILE
from spork_core.hookspecs import ExchangeHooks, hookimpl
from spork_core.pipeline import EMPTY_PIPELINE, Pipeline
from spork_core.plugin import NoConfig, Plugin
from spork_core.registry import Instance, Registry, make_instance

_ANN: Final = Identity("ann")


class AccessLog(Plugin[NoConfig]):
    @hookimpl
    def on_complete(self, exchange: Exchange) -> None: ...


class RequestId(Plugin[NoConfig]):
    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None: ...

    @hookimpl
    def on_response(self, exchange: Exchange) -> None: ...


class Cors(Plugin[NoConfig]):
    @hookimpl
    def pre_auth(self, exchange: Exchange) -> None: ...

    @hookimpl
    def on_response(self, exchange: Exchange) -> None: ...


class Jwt(Plugin[NoConfig]):
    @hookimpl
    def authenticate(self, exchange: Exchange) -> Identity:
        return _ANN


class Roles(Plugin[NoConfig]):
    @hookimpl
    def authorize(self, exchange: Exchange) -> None: ...


class RateLimit(Plugin[NoConfig]):
    @hookimpl
    def on_request(self, exchange: Exchange) -> None: ...

    @hookimpl
    def on_response(self, exchange: Exchange) -> None: ...


class FieldsOf(Plugin[NoConfig]):
    @hookimpl
    def on_request(self, exchange: Exchange) -> None: ...

    @hookimpl
    def on_response(self, exchange: Exchange) -> None: ...


class SecurityHeaders(Plugin[NoConfig]):
    @hookimpl
    def on_response(self, exchange: Exchange) -> None: ...


class Breaker(Plugin[NoConfig]):
    @hookimpl
    def before_attempt(self, exchange: Exchange, attempt: Attempt) -> None: ...

    @hookimpl
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None: ...


class Metrics(Plugin[NoConfig]):
    @hookimpl
    def after_attempt(self, exchange: Exchange, attempt: Attempt) -> None: ...

    @hookimpl
    def on_complete(self, exchange: Exchange) -> None: ...


CHAIN: Final[tuple[type[Plugin[NoConfig]], ...]] = (
    AccessLog,
    RequestId,
    Cors,
    Jwt,
    Roles,
    RateLimit,
    FieldsOf,
    SecurityHeaders,
    Breaker,
    Metrics,
)
"""Ten plugins with sixteen implementations, over the phases that a chain in daily use has; they do nothing."""

PHASES: Final = (
    ("pre_auth", False),
    ("authenticate", False),
    ("authorize", False),
    ("on_request", False),
    ("serve", False),
    ("select_upstream", True),
    ("before_attempt", True),
    ("after_attempt", True),
    ("on_upstream_response", False),
    ("on_response", False),
    ("on_complete", False),
)
"""The hooks of an exchange that goes well, in order; with those that take the attempt marked."""


def run(options: Options) -> Section:
    """The section ``dispatch``."""
    rounds, exchanges = (3, 2_000) if options.quick else (max(9, options.rounds), 50_000)
    chain = [instance(cls) for cls in CHAIN]
    count = sum(len(each.impls) for each in chain)
    section = Section(
        "dispatch",
        "Dispatch of hooks",
        f"{len(CHAIN)} plugins with {count} implementations that do nothing, fired in the {len(PHASES)} phases of an "
        f"exchange that goes well. CPU time; {rounds} rounds of {exchanges:,} exchanges.",
        ("way", "µs per exchange", "spread"),
    )
    cases: list[tuple[str, Callable[[Exchange, Attempt], None]]] = [
        ("compiled pipeline", compiled(Pipeline(chain, metering=_metering()))),
        ("the same, times kept in the exchange too", compiled(Pipeline(chain, metering=_metering(), marks=True))),
        ("the same, nothing measured", compiled(Pipeline(chain))),
        ("plain pluggy calls", plain(chain)),
        ("compiled, no plugins", compiled(EMPTY_PIPELINE)),
    ]
    times = {}
    for name, fire in cases:
        say(f"dispatch: {name}")
        times[name] = measure(fire, rounds, exchanges)
        section.rows.append((name, figure(median(times[name])), spread(times[name])))
    mine = times["compiled pipeline"]
    section.targets.append(
        Target(f"dispatch, {len(CHAIN)} plugins, {count} implementations", median(mine), 4.0, " µs", True, spread(mine))
    )
    unmeasured = times["the same, nothing measured"]
    each = [(one - other) / count for one, other in zip(mine, unmeasured, strict=True)]
    section.targets.append(Target("measuring one call of a hook", median(each), 0.15, " µs", True, spread(each)))
    say("dispatch: hook calls on a route without plugins")
    calls = hook_calls()
    section.rows.append(("a whole exchange on a route without plugins", f"{figure(calls)} calls of hooks", ""))
    section.targets.append(Target("calls of hooks on a route without plugins", calls, 0, most=True))
    return section


def _metering() -> Metering:
    """As a gateway measures unless it is told otherwise."""
    return Metering(blocking=0.05, blocked=lambda *_: None)


def instance(cls: type[Plugin[NoConfig]]) -> Instance:
    """An instance of a plugin class, made as from a config."""
    name = cls.__name__
    return make_instance(InstanceConfig(name=name, use=name, settings=NoConfig()), Registry({name: cls}))


def compiled(pipeline: Pipeline) -> Callable[[Exchange, Attempt], None]:
    """Fires the phases as the engine does: looks whether there is one, and calls it."""

    def fire(exchange: Exchange, attempt: Attempt) -> None:
        for phase in (
            pipeline.pre_auth,
            pipeline.authenticate,
            pipeline.authorize,
            pipeline.on_request,
            pipeline.serve,
        ):
            if phase is not None:
                phase(exchange)
        for phase in (pipeline.select_upstream, pipeline.before_attempt, pipeline.after_attempt):
            if phase is not None:
                phase(exchange, attempt)
        for phase in (pipeline.on_upstream_response, pipeline.on_response, pipeline.on_complete):
            if phase is not None:
                phase(exchange)

    return fire


def plain(chain: list[Instance]) -> Callable[[Exchange, Attempt], None]:
    """Fires the same hooks through a pluggy manager."""
    manager = pluggy.PluginManager("spork")
    manager.add_hookspecs(ExchangeHooks)
    for each in chain:
        manager.register(each.plugin, each.name)
    callers = [(getattr(manager.hook, hook), takes_attempt) for hook, takes_attempt in PHASES]

    def fire(exchange: Exchange, attempt: Attempt) -> None:
        for caller, takes_attempt in callers:
            if takes_attempt:
                caller(exchange=exchange, attempt=attempt)
            else:
                caller(exchange=exchange)

    return fire


def measure(fire: Callable[[Exchange, Attempt], None], rounds: int, exchanges: int) -> list[float]:
    """Microseconds of CPU per exchange, one number a round, less the loop's own time."""
    exchange, attempt = Exchange(Request()), Attempt(1, 0)
    exchange.response = Response()
    times = []
    for _ in range(rounds):
        start = process_time_ns()
        for _ in range(exchanges):
            exchange.marks = None
        empty = process_time_ns() - start
        start = process_time_ns()
        for _ in range(exchanges):
            exchange.marks = None  # each exchange keeps its own
            fire(exchange, attempt)
        times.append((process_time_ns() - start - empty) / exchanges / 1000)
    return times


def hook_calls() -> float:
    """Calls into the pipeline, per exchange on the bare route of configs/bare.yaml; counted, not timed."""
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(FILE)

    async def work(rig: Rig) -> int:
        sys.setprofile(count)
        try:
            return await rig.run(BATCH)
        finally:
            sys.setprofile(None)

    done: int = run_rig(CONFIGS / "bare.yaml", work)
    return calls / done
