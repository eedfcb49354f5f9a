"""The dependencies of a config with a link before each, for as long as a run lasts."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from time import monotonic
from typing import Final

from spork_core.config.model import GatewayConfig
from spork_core.errors import ConfigError
from spork_core.registry import Registry
from spork_core.testing.faults.dependencies import Dependency, found, moved
from spork_core.testing.faults.report import OfDependency
from spork_core.testing.faults.samples import Sample
from spork_core.testing.faults.stage import listening, stage
from spork_core.testing.impatient import MOMENT, running_loop
from spork_core.testing.link import Link, flaky

THINKS: Final = 1.0
"""Real seconds that a dependency gets to answer what it was sent, before idle time is skipped."""
NEAR: Final = 0.02
FAR: Final = 0.25
"""The same for one that no link stands before, on this machine and elsewhere: when it is asked is not known."""


class Linked:
    """Puts links before dependencies. ``config``: the one whose plugins find the links in their places."""

    def __init__(self, config: GatewayConfig, registry: Registry) -> None:
        self.config = config
        self.links: dict[Dependency, Link] = {}
        self._registry = registry

    async def put(self, stack: AsyncExitStack, samples: Sequence[Sample], patience: float) -> list[OfDependency]:
        """Puts a link before each dependency that is used when the gateway starts or ``samples`` are asked; they stay
        until ``stack`` ends. Gives those that are left alone, with why."""
        loop = running_loop()
        loop.expects = self._expected
        dependencies = found(self.config)
        unseen = [each for each in dependencies if each.why_not]
        loop.moment = MOMENT if not unseen else NEAR if all(map(_is_here, unseen)) else FAR
        left_alone = []
        for dependency in dependencies:
            why_not = dependency.why_not or await self._put(stack, dependency, samples, patience)
            if why_not:
                left_alone.append(OfDependency(dependency, why_not=why_not))
        return left_alone

    async def _put(
        self, stack: AsyncExitStack, dependency: Dependency, samples: Sequence[Sample], patience: float
    ) -> str:
        link = await stack.enter_async_context(flaky(dependency.host, dependency.port))
        try:
            config = moved(self.config, dependency, link.url)
        except Exception as error:  # whatever the plugin's config class says to another address
            return f"its plugin does not take the link's address: {error}"
        self.links[dependency] = link
        why_not = await self._unused(config, link, samples, patience)
        if why_not:
            del self.links[dependency]
        else:
            self.config = config
        return why_not

    async def _unused(self, config: GatewayConfig, link: Link, samples: Sequence[Sample], patience: float) -> str:
        """Why a link is of no use; "" when it is of use."""
        loop = running_loop()
        try:
            with listening(loop):
                async with stage(config, self._registry, loop.clock()) as staged:
                    for sample in samples:
                        await staged.ask(sample, patience)
        except ConfigError as error:
            return f"the gateway does not start with a link before it: {error}"
        finally:
            await link.hang_up()
        if not link.connections:
            return "nothing connected to it while the gateway started and the samples were asked"
        if link.unreached == link.connections:
            return "nothing could connect to it: start it, or let the setting point elsewhere"
        return ""

    async def left(self) -> list[str]:
        """Connections that are still open when the gateway has stopped, in words; it ends them."""
        if any(link.open for link in self.links.values()):
            await asyncio.sleep(THINKS)  # a dependency may take a moment to see that its client has gone
        left = [f"connections to {each.shown} are" for each, link in self.links.items() if link.open]
        for link in self.links.values():
            await link.hang_up()
        return left

    def _expected(self) -> float:
        """Real seconds for which a dependency may still have something to say."""
        asked = max((at for link in self.links.values() if (at := link.asked) is not None), default=None)
        return 0.0 if asked is None else max(0.0, asked + THINKS - monotonic())


def _is_here(dependency: Dependency) -> bool:
    if dependency.host.startswith("/") or dependency.host == "localhost":
        return True
    try:
        return ip_address(dependency.host).is_loopback
    except ValueError:
        return False
