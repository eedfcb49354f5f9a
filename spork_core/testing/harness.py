"""``gateway(…)``: a real gateway on a real port in one line, with everything around it in a test's hands."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import attrs

from spork_core.config import GatewayConfig
from spork_core.gateway import Gateway
from spork_core.testing import scripts
from spork_core.testing.control import StillClock, seeded
from spork_core.testing.offered import SERVICE, Offered, Settings, Use, Wanted, pointed
from spork_core.testing.running import Running, serving
from spork_core.testing.strict import Errors, PluginTasks
from spork_core.testing.transcript import Transcript
from spork_core.testing.upstreams import Script, Upstream
from spork_core.testing.upstreams import upstream as new_upstream

Played = Upstream | Script | bytes | None
"""An upstream, or what a new one plays; None: it answers 200."""


class Harness(Running):
    """A gateway that serves, what it stands between, and what it did.

    Ask it with ``get``, ``post`` and so on, or with ``connect``, ``ask`` and ``raw``.
    """

    def __init__(self, gateway: Gateway, bench: "_Bench", wanted: Wanted) -> None:
        super().__init__(gateway, self.told)
        self._bench = bench
        self._wanted = wanted
        self.clock = bench.clock
        """The time, for the gateway and for the loop."""
        self.upstreams: Mapping[str, Upstream] = bench.upstreams
        """The scripted upstreams by service."""
        self.transcript = bench.transcript
        """Every call of a hook so far."""
        self.transcript.context = self._surroundings
        self.failures: list[str] = bench.errors.messages
        """What the kernel logged as errors so far: failures of plugins, with instance, hook, file and line."""

    @property
    def upstream(self) -> Upstream:
        """The scripted upstream; the first where there are several."""
        return next(iter(self.upstreams.values()))

    def metrics(self) -> dict[str, Mapping[tuple[str, ...], float]]:
        """The numbers of the kernel and of the instances, now: name → label values → value."""
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for metric in self.gateway.view().collect():
            found.setdefault(metric.name, {}).update(metric.samples)
        return dict(found)

    async def reload(self, **changes: Any) -> None:
        """Serves by a changed config. ``changes``: keywords of ``gateway``, each in place of what was said before; the
        others stay. Raises ConfigError, and then everything goes on as before."""
        known = {field.name for field in attrs.fields(Wanted)} - {"more"}
        more = {**self._wanted.more, **{name: value for name, value in changes.items() if name not in known}}
        ours = {name: value for name, value in changes.items() if name in known}
        wanted = attrs.evolve(self._wanted, more=more, **ours)
        await self.gateway.reload(await self._bench.config(wanted))
        self._wanted = wanted

    def told(self) -> str:
        """What happened so far, for a failure's message."""
        return f"{self.transcript.told()}\n\n{self._surroundings()}"

    def _surroundings(self) -> str:
        several = len(self.upstreams) > 1
        parts = [f"{name}: {each.told()}" if several else each.told() for name, each in self.upstreams.items()]
        if self.failures:
            parts.append("\n".join(["the kernel logged:", *self.failures]))
        return "\n\n".join(parts)


class _Bench:
    """What a harness is put together from, and put together anew at each reload."""

    def __init__(
        self,
        registry: Offered,
        played: Played | Mapping[str, Played],
        clock: StillClock,
        stack: AsyncExitStack,
    ) -> None:
        self.registry = registry
        self.upstreams: dict[str, Upstream] = {}
        self.clock = clock
        self.errors = Errors()
        self.transcript = Transcript()
        self._played = played
        self._stack = stack

    async def config(self, wanted: Wanted) -> GatewayConfig:
        """The config with the upstreams in it, started where they do not run yet. Raises ConfigError."""
        names = list(self._played) if isinstance(self._played, Mapping) else wanted.unplaced() or [SERVICE]
        read = await asyncio.to_thread(wanted.read, self.registry, names)  # it reads files
        scripted = wanted.scripted(read)
        for name in scripted:
            if name not in self.upstreams:
                made = self.upstreams[name] = await self._upstream(name)
                made.context = self.transcript.told
        return pointed(read, {name: self.upstreams[name].url for name in scripted})

    async def _upstream(self, service: str) -> Upstream:
        if isinstance(self._played, Mapping):
            played = self._played.get(service)
        elif self.upstreams:  # one for all
            return next(iter(self.upstreams.values()))
        else:
            played = self._played
        if isinstance(played, Upstream):
            return played
        return await self._stack.enter_async_context(new_upstream(scripts.ok() if played is None else played))


@asynccontextmanager
async def gateway(
    plugins: Mapping[str, Use] | None = None,
    *,
    routes: Mapping[str, Settings] | None = None,
    upstream: Played | Mapping[str, Played] = None,
    services: Mapping[str, Settings] | None = None,
    chain: Sequence[str] | None = None,
    config: str | Path | None = None,
    clock: StillClock | None = None,
    seed: int = 0,
    failures_expected: bool = False,
    **more: Any,
) -> AsyncIterator[Harness]:
    """A gateway that serves on a free port of this machine while the block runs. ::

        async def test_the_second_request_is_too_many() -> None:
            async with gateway(plugins={"limit": {"use": "rate-limit", "limit": "1/minute"}}) as gw:
                (await gw.get("/x")).must_be(200)
                (await gw.get("/x")).must_be(429).must_have("Retry-After", "60")
                gw.clock.advance(61)
                (await gw.get("/x")).must_be(200)
                gw.upstream.must_have_got(2)

    ``plugins``: the instances by name, each its settings as in a config file, a plugin's class, or (class, settings).
    Installed plugins are found by ``use``. ``chain``: the outer chain; None: all of them, in that order.

    ``upstream``: what stands behind the gateway: an ``upstream()``, a script, an answer's bytes, or a mapping of those
    by service; None: one that answers 200. ``services``: their settings; those without ``endpoints`` get the upstream.
    ``routes``: as in a config file; None: one for every request, to the upstream. In routes the upstream is the service
    ``up`` unless ``services`` or ``upstream`` names others.

    ``config``: a whole config in place of these, as YAML text or the path of a file; ``plugins`` may add classes for
    it. It is moved to free ports, and every service in it to an upstream of the test.

    ``clock``: the time that is advanced; None: a new one. ``seed``: of the gateway's chance. ``more``: other top-level
    keys of a config (``limits``, ``timeouts``, ``admin``, …). The config is read by the loader that reads YAML files.

    At the end of the block the test fails when a plugin failed in a hook, the kernel logged another error, or a plugin
    left a task running. ``failures_expected``: failures are what the test is about; they stand in ``gw.failures``.
    Raises ConfigError.
    """
    wanted = Wanted(plugins or {}, routes, services or {}, chain, config, more)
    async with AsyncExitStack() as stack:
        registry = await asyncio.to_thread(Offered)  # it looks for what is installed
        bench = _Bench(registry, upstream, StillClock() if clock is None else clock, stack)
        tasks = PluginTasks()
        stack.enter_context(bench.errors.collected())
        read = await bench.config(wanted)
        made = await asyncio.to_thread(
            Gateway,
            read,
            bench.registry,
            clock=bench.clock.clock,
            chance=seeded(seed),
            observer=bench.transcript,
        )
        harness = Harness(made, bench, wanted)
        with tasks.watched():
            async with serving(harness):
                yield harness
        left = await tasks.left()
        _judge([] if failures_expected else harness.failures, left)


def _judge(failures: Sequence[str], left: Sequence[str]) -> None:
    __tracebackhide__ = True
    said = ["the gateway met failures that the test does not expect (failures_expected=True allows them):"]
    if failures or left:
        raise AssertionError("\n\n".join([*(said if failures else ()), *failures, *left]))
