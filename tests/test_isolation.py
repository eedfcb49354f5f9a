"""Instances that keep failing or cost too much: left out, tried by one exchange, released; and what operators see."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import pytest

from spork_core.clock import Clock
from spork_core.config.model import InstanceConfig
from spork_core.config.policy import BudgetConfig, QuarantineConfig
from spork_core.errors import PluginFailed, PluginIsolated
from spork_core.events import Events
from spork_core.exchange import Exchange, Request, Response
from spork_core.pipeline import Metering, Pipeline
from spork_core.plugin import NoConfig
from spork_core.registry import Instance, Registry, make_instance
from tests.reference import plugin_of

SOON = QuarantineConfig(enabled=True, failures=3, pause=10.0, max_pause=25.0)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.WARNING, "spork_core"):
        yield


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.clock = Clock(time=lambda: self.seconds, monotonic_ns=lambda: int(self.seconds * 1e9))


class Case:
    """One instance in a pipeline, whose hook does what ``act`` says."""

    def __init__(self, hook: str = "pre_auth", is_async: bool = False, **envelope: Any) -> None:
        self.hand = Hand()
        self.act: Callable[[], Any] = lambda: None
        self.asked = 0
        self.wait: asyncio.Future[None] | None = None

        def plain(_: Any, exchange: Exchange) -> Any:
            self.asked += 1
            return self.act()

        async def coroutine(_: Any, exchange: Exchange) -> Any:
            if self.wait is not None:
                await self.wait
            return plain(_, exchange)

        self.events: list[str] = []
        events = Events(self.hand.clock)
        events.listen(lambda event: self.events.append(event.kind))
        cls = plugin_of(**{hook: coroutine if is_async else plain})
        config = InstanceConfig("p", "p", settings=NoConfig(), **{"quarantine": SOON, **envelope})
        self.instance: Instance = make_instance(config, Registry({"p": cls}), self.hand.clock, events)
        self.pipeline = Pipeline([self.instance], metering=Metering())
        self.hook = hook

    def begin(self) -> Exchange:
        self.pipeline.exchanges += 1
        exchange = Exchange(Request(), self.hand.clock)
        exchange.response = Response()
        return exchange

    async def fire(self, exchange: Exchange) -> Any:
        phase = getattr(self.pipeline, self.hook)
        answer = phase(exchange)
        return await answer if asyncio.iscoroutine(answer) else answer

    def end(self, exchange: Exchange) -> None:
        if self.pipeline.on_complete is not None:
            self.pipeline.on_complete(exchange)

    async def exchange(self) -> Any:
        """A whole exchange: the hook's answer, or the problem it ran into."""
        one = self.begin()
        try:
            return await self.fire(one) if self.hook != "on_complete" else None
        except (PluginFailed, PluginIsolated) as problem:
            return problem
        finally:
            self.end(one)

    async def fails(self, times: int) -> None:
        self.act = lambda: 1 / 0
        for _ in range(times):
            await self.exchange()
        self.act = lambda: None


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_open_instance_that_keeps_failing_is_skipped(is_async: bool) -> None:
    case = Case(is_async=is_async, on_failure="open")
    await case.fails(3)
    asked = case.asked

    assert await case.exchange() is None

    assert (case.asked, case.instance.isolation.state, case.events) == (asked, "quarantined", ["quarantined"])


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_closed_instance_that_keeps_failing_refuses_at_once_and_says_until_when(is_async: bool) -> None:
    case = Case(is_async=is_async, on_failure="closed")
    await case.fails(3)

    problem = await case.exchange()

    assert isinstance(problem, PluginIsolated)
    assert (problem.status, dict(problem.headers)) == (503, {"Retry-After": "10"})
    assert case.asked == 3


async def test_a_watch_that_is_isolated_refuses_nothing() -> None:
    case = Case("on_complete", on_failure="closed")
    await case.fails(3)

    assert await case.exchange() is None
    assert case.asked == 3


async def test_after_the_pause_one_exchange_tries_it_and_the_others_wait_for_its_end() -> None:
    case = Case(on_failure="open")
    await case.fails(3)
    case.hand.seconds += 10

    probe, other = case.begin(), case.begin()
    await case.fire(probe)
    await case.fire(other)
    assert (case.asked, case.instance.isolation.state) == (4, "probing")

    case.end(other)
    assert case.instance.isolation.state == "probing"
    case.end(probe)
    assert (case.instance.isolation.state, case.events[-1]) == ("well", "restored")
    await case.exchange()
    assert case.asked == 5


async def test_a_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    case = Case(on_failure="open")
    await case.fails(3)
    asked = []
    for seconds in (10, 20, 25, 25):
        case.hand.seconds += seconds - 0.1
        await case.fails(1)
        case.hand.seconds += 0.1
        await case.fails(1)
        asked.append(case.asked)

    assert asked == [4, 5, 6, 7]


async def test_a_probe_that_never_ends_makes_room_for_another_after_a_pause() -> None:
    case = Case(on_failure="open")
    await case.fails(3)
    case.hand.seconds += 10
    await case.fire(case.begin())  # and hangs somewhere behind

    await case.exchange()
    assert case.asked == 4
    case.hand.seconds += 10
    await case.exchange()

    assert (case.asked, case.instance.isolation.state) == (5, "well")


async def test_a_probe_in_which_no_hook_that_failed_is_called_decides_nothing() -> None:
    case = Case(on_failure="open")
    await case.fails(3)
    case.hand.seconds += 10
    isolation, probe = case.instance.isolation, case.begin()

    assert isolation.admits(probe)
    isolation.ended(probe)
    assert isolation.state == "quarantined"

    await case.exchange()
    assert isolation.state == "well"


async def test_a_probe_that_is_broken_off_in_a_hook_decides_nothing() -> None:
    case = Case(is_async=True, on_failure="open")
    await case.fails(3)
    case.hand.seconds += 10
    case.wait = asyncio.get_running_loop().create_future()

    task = asyncio.create_task(case.exchange())
    await asyncio.sleep(0)
    assert case.instance.isolation.state == "probing"
    task.cancel()
    await asyncio.wait([task])

    assert case.instance.isolation.state == "quarantined"
    case.wait = None
    await case.exchange()
    assert case.instance.isolation.state == "well"


@pytest.mark.parametrize("envelope", [{"on_failure": "open"}, {"budget": BudgetConfig(1e-9, then="skip", repeated=3)}])
async def test_what_other_exchanges_run_into_does_not_decide_a_probe(envelope: Any) -> None:
    case = Case(**envelope)
    late = case.begin()
    await case.fails(3)
    case.hand.seconds += 10
    isolation, probe = case.instance.isolation, case.begin()
    await case.fire(probe)

    isolation.failed(late, case.hook)
    if isolation._budget is not None:
        isolation.overrun(late, 1.0)
    isolation.ended(probe)

    assert isolation.state == "well"


async def test_an_exchange_fails_once_however_many_hooks_fail_in_it() -> None:
    case = Case(on_failure="open", quarantine=attrs.evolve(SOON, failures=4, ratio=0.6))
    for _ in range(4):
        case.act = lambda: 1 / 0
        one = case.begin()
        await case.fire(one)
        await case.fire(one)
        case.act = lambda: None
        await case.exchange()

    assert (case.instance.failures, case.instance.isolation.state) == (8, "well")


async def test_exchanges_of_pipelines_that_are_gone_still_count() -> None:
    case = Case(on_failure="open", quarantine=attrs.evolve(SOON, failures=4))
    await case.fails(2)
    for _ in range(100):
        await case.exchange()
    await case.fails(1)

    case.pipeline = Pipeline([case.instance], metering=Metering())  # as a reload does
    await case.fails(3)

    assert case.instance.isolation.state == "well"


async def test_a_call_that_is_held_is_no_call() -> None:
    case = Case(on_failure="open")
    await case.fails(3)
    await case.exchange()
    stats = case.instance.stats[case.hook]
    assert stats.calls == 3

    case.hand.seconds += 10
    await case.exchange()
    assert stats.calls == 4


@pytest.mark.parametrize("is_async", [False, True])
async def test_an_exchange_that_an_instance_holds_something_for_still_ends_with_it(is_async: bool) -> None:
    case = Case("on_complete", is_async)
    held = case.begin()
    case.hand.seconds += 1
    case.instance.isolation._isolate("deny", "for a test", 10.0)

    await case.fire(case.begin())
    assert case.asked == 0
    await case.fire(held)
    assert case.asked == 1


async def test_a_probe_that_hung_still_ends_with_the_instance() -> None:
    case = Case("on_complete")
    case.instance.isolation._isolate("deny", "for a test", 10.0)
    hung, other = case.begin(), case.begin()
    for probe in (hung, other):
        case.hand.seconds += 10
        assert case.instance.isolation.admits(probe)

    await case.fire(hung)

    assert case.asked == 1


async def test_few_failures_among_many_exchanges_do_not_count() -> None:
    case = Case(on_failure="open")
    for _ in range(10):
        await case.fails(1)
        await case.exchange()
        await case.exchange()

    assert (case.instance.failures, case.instance.isolation.state) == (10, "well")


async def test_failures_that_lie_apart_do_not_count() -> None:
    case = Case(on_failure="open")
    for _ in range(6):
        await case.fails(1)
        case.hand.seconds += 6

    assert case.instance.isolation.state == "well"


@pytest.mark.parametrize(("policy", "state"), [("open", "quarantined"), ("closed", "well")])
async def test_unless_the_config_says_so_only_open_instances_are_quarantined(policy: str, state: str) -> None:
    case = Case(on_failure=policy, quarantine=attrs.evolve(SOON, enabled=None))
    await case.fails(5)

    assert case.instance.isolation.state == state


@pytest.mark.parametrize(("then", "state"), [("warn", "well"), ("skip", "skipped"), ("deny", "denied")])
async def test_over_the_budget_is_told_of_and_repeatedly_does_what_the_config_says(then: str, state: str) -> None:
    case = Case(budget=BudgetConfig(1e-9, then=then, repeated=3))  # type: ignore[arg-type]  # parametrized
    for _ in range(3):
        await case.exchange()

    answer = await case.exchange()

    assert case.instance.isolation.state == state
    assert isinstance(answer, PluginIsolated) is (then == "deny")
    assert case.events == ["over_budget", *([] if then == "warn" else [state])]


async def test_within_the_budget_nothing_is_told() -> None:
    case = Case(budget=BudgetConfig(60.0, then="deny", repeated=1))
    await case.exchange()

    assert case.events == []


async def test_nothing_of_it_is_compiled_in_while_all_is_well() -> None:
    case = Case(on_failure="open")
    before = case.pipeline.on_complete
    await case.fails(3)
    during = case.pipeline.on_complete
    case.hand.seconds += 10
    await case.exchange()

    assert (before, during is None, case.pipeline.on_complete) == (None, False, None)
