"""Runs all faults: a gateway for each, every sample on it, and a look at what is left when it has stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

import attrs

from spork_core.build import chain_of
from spork_core.config.model import GatewayConfig
from spork_core.registry import Registry
from spork_core.testing.faults import verdicts
from spork_core.testing.faults.asked import Seen
from spork_core.testing.faults.dependencies import Dependency
from spork_core.testing.faults.linked import Linked
from spork_core.testing.faults.report import Finding, OfDependency, OfRoute, Report, Result
from spork_core.testing.faults.samples import Sample
from spork_core.testing.faults.scenarios import DEPENDENCY, HEALTHY, SERVICE, Scenario, Weather
from spork_core.testing.faults.stage import Stage, listening, stage
from spork_core.testing.impatient import running_loop
from spork_core.testing.link import Link
from spork_core.testing.patience import settle

PATIENCE: Final = 60.0
"""Seconds that a client waits for an answer to begin."""

_LOOKS: Final = (0.0, 1.0, 10.0, 60.0, 300.0)
"""Seconds after a fault at which the gateway is asked whether it has recovered."""
_BETWEEN: Final = 61.0
"""Seconds between two samples: a rate limit of so many a minute is no fault."""

Tell = Callable[[str], object]


class Runner:
    """Runs the faults of one config. ``patience``: seconds that a client waits for an answer to begin. ``tell``: called
    with a line on each step."""

    def __init__(self, config: GatewayConfig, registry: Registry, patience: float = PATIENCE, tell: Tell = len) -> None:
        self._linked = Linked(config, registry)
        self._registry = registry
        self._patience = patience
        self._tell = tell
        self._healthy: dict[Sample, Seen] = {}
        self._findings: list[Finding] = []

    async def run(self, samples: Sequence[Sample], skipped: Mapping[str, str]) -> Report:
        """Tries everything, on an ImpatientLoop. ``skipped``: for the report. Raises ConfigError when the gateway does
        not start."""
        async with AsyncExitStack() as stack:
            left_alone = await self._linked.put(stack, samples, self._patience)
            routes = await self._services(samples)
            linked = self._linked.links.items()
            dependencies = [await self._dependency(dependency, link, samples) for dependency, link in linked]
        return Report(routes, (*dependencies, *left_alone), tuple(self._findings), dict(skipped))

    @property
    def _config(self) -> GatewayConfig:
        return self._linked.config

    def _find_once(self, findings: Iterable[Finding]) -> None:
        """Adds what has not been found yet: what is wrong without a fault is wrong with each."""
        known = {finding.sentence for finding in self._findings}
        self._findings += [finding for finding in findings if finding.sentence not in known]

    # -- services ---------------------------------------------------------------------------------------

    async def _services(self, samples: Sequence[Sample]) -> tuple[OfRoute, ...]:
        results: dict[Sample, list[Result]] = {sample: [] for sample in samples}
        for scenario in SERVICE:
            asked = [sample for sample in samples if self._concerns(scenario, sample)]
            if asked:
                self._tell(f"{scenario.name}: {scenario.what}")
                async with self._staged(scenario.name, scenario) as staged:
                    for sample in asked:
                        results[sample].append(await self._try(staged, scenario, sample))
                    # A plugin may fail when what it depends on does, not when the service behind it does.
                    self._find_once(verdicts.crash(line, scenario.name) for line in staged.failures)
        routes = tuple(OfRoute(sample, self._forwards(sample), tuple(found)) for sample, found in results.items())
        for each in routes:
            self._findings += verdicts.of_route(each.results, self._config, self._patience, forwards=each.forwards)
        return routes

    def _forwards(self, sample: Sample) -> bool:
        return self._config.routes[sample.route].service is not None

    def _concerns(self, scenario: Scenario, sample: Sample) -> bool:
        service = self._config.routes[sample.route].service
        if scenario is HEALTHY or service is None:
            return scenario is HEALTHY
        return scenario.dead != "first" or len(self._config.services[service].endpoints) > 1

    async def _try(self, staged: Stage, scenario: Scenario, sample: Sample) -> Result:
        await staged.play(scenario)
        service = self._config.routes[sample.route].service
        endpoints = 1 if service is None else len(self._config.services[service].endpoints)
        seen = [await staged.ask(sample, self._patience) for _ in range(scenario.times or 2 * endpoints)]
        worst = attrs.evolve(
            max(seen, key=lambda each: (not each.fine, each.status or 0)),
            waited=max(each.waited for each in seen),
            asked=len(seen),
            reached=sum(each.reached for each in seen),
        )
        if scenario is HEALTHY:
            self._healthy[sample] = worst
        await staged.play(HEALTHY)
        result = await self._afterwards(staged, Result(scenario, sample, worst, None))
        await self._check(staged, scenario.name, sample)
        return result

    async def _afterwards(self, staged: Stage, result: Result) -> Result:
        """``result`` with how long it takes from now until the answer is what it is without faults."""
        loop, sample, seen = asyncio.get_running_loop(), result.sample, None
        begun, wanted = loop.time(), self._healthy[sample]
        for due in _LOOKS:
            await asyncio.sleep(max(0.0, begun + due - loop.time()))
            seen = await staged.ask(sample, self._patience)
            if (seen.status, seen.whole, seen.malformed) == (wanted.status, wanted.whole, wanted.malformed):
                return attrs.evolve(result, recovered=due)
        return attrs.evolve(result, last=seen)

    async def _check(self, staged: Stage, fault: str, sample: Sample) -> None:
        """Nothing of an exchange is left when its client has gone."""
        await settle()
        if staged.busy:
            self._find_once([verdicts.leak("busy connections are", fault, sample.route)])
        await asyncio.sleep(_BETWEEN)

    # -- dependencies -----------------------------------------------------------------------------------

    async def _dependency(self, dependency: Dependency, link: Link, samples: Sequence[Sample]) -> OfDependency:
        asked = [sample for sample in samples if self._uses(sample, dependency.instance)] or list(samples)
        results: list[Result] = []
        for weather in DEPENDENCY:
            self._tell(f"{dependency.shown} {weather.name}: {weather.what}")
            async with self._staged(f"{dependency.shown} {weather.name}") as staged:
                results += [await self._weather(staged, link, weather, sample) for sample in asked]
        self._findings += verdicts.of_dependency(dependency, results, self._config, self._patience)
        return OfDependency(dependency, tuple(results))

    def _uses(self, sample: Sample, instance: str) -> bool:
        return instance in chain_of(self._config, self._config.routes[sample.route])

    async def _weather(self, staged: Stage, link: Link, weather: Weather, sample: Sample) -> Result:
        await staged.ask(sample, self._patience)  # so that there is a connection for the fault to meet
        weather.set_in(link)
        seen = await staged.ask(sample, self._patience)
        link.heal()
        result = await self._afterwards(staged, Result(weather, sample, seen, None))
        await self._check(staged, weather.name, sample)
        return result

    # -- both -------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _staged(self, fault: str, scenario: Scenario = HEALTHY) -> AsyncIterator[Stage]:
        """A stage that is watched: for errors that nobody gets, and for what is left of it at its end."""
        loop = running_loop()
        before = asyncio.all_tasks()
        with listening(loop) as complaints:
            async with stage(self._config, self._registry, loop.clock(), scenario) as staged:
                yield staged
            await settle()
        self._find_once(verdicts.crash(line, fault) for line in dict.fromkeys(complaints.lines))
        self._find_once(verdicts.leak(words, fault) for words in await self._linked.left())
        for task in asyncio.all_tasks() - before:
            name = getattr(task.get_coro(), "__qualname__", repr(task))
            self._find_once([verdicts.leak(f"the task {name} is", fault)])
            task.cancel()
