"""What results mean for an operator: a sentence each on what is wrong, and on what to change in the config."""

from collections.abc import Iterator, Sequence
from typing import Final

from spork_core.config.model import GatewayConfig
from spork_core.testing.faults.asked import LONGEST, Seen
from spork_core.testing.faults.dependencies import Dependency
from spork_core.testing.faults.report import Finding, Result
from spork_core.testing.faults.scenarios import HEALTHY, PAGE, Scenario
from spork_core.units import format_duration

SLOW: Final = 10.0
"""Seconds from which on a wait for a dependency is worth a word."""
_LIMITED: Final = "too-many-requests"
_LOOK: Final = "look into the log: spork run prints the trace"


def of_route(results: Sequence[Result], config: GatewayConfig, patience: float, *, forwards: bool) -> Iterator[Finding]:
    """About the faults of the service of one route; the first result is the healthy one's."""
    healthy = results[0].seen
    route = results[0].sample.route
    if forwards and healthy.fine and not healthy.reached:
        said = f"{healthy.status}{f' ({healthy.code})' if healthy.code else ''}"
        sentence = f"{results[0].sample} does not get to its service: it is answered {said}"
        remedy = "name a request that does, such as --request 'GET /x' -H 'Authorization: Bearer …'"
        yield Finding(route, HEALTHY.name, sentence, remedy, serious=False)
    for result in results:
        scenario = result.fault
        assert isinstance(scenario, Scenario)
        limit = _limit(config, route, scenario.limit)
        if result.seen.hung:
            yield Finding(
                route, scenario.name, f"{_wait(result.seen, patience)}: {limit}", f"set it below {patience:g}s"
            )
            continue
        yield from _broken(result)
        if scenario.partial and result.seen.whole and _misled(result.seen, healthy):
            sentence = "the client takes what the service did not finish for a whole answer"
            yield Finding(route, scenario.name, sentence, "look at the instances of the chain that hold bodies back")
        if result.seen.waited > patience and result.seen.fine:
            waited = f"a client waits {format_duration(round(result.seen.waited))}: {limit}"
            yield Finding(route, scenario.name, waited, "set it lower if that is too long", serious=False)


def of_dependency(
    dependency: Dependency, results: Sequence[Result], config: GatewayConfig, patience: float
) -> Iterator[Finding]:
    """About the faults of one dependency."""
    name = dependency.instance
    timeout = config.plugins[name].timeout
    now = "is not set" if timeout is None else f"is {format_duration(timeout)}"
    remedy = f"set plugins.{name}.timeout (such as 1s), and on_failure: open or closed for what becomes of the request"
    for result in results:
        fault = f"{dependency.shown} {result.fault.name}"
        if result.seen.hung:
            sentence = f"{_wait(result.seen, patience)}: plugins.{name}.timeout {now}"
            yield Finding(result.sample.route, fault, sentence, remedy)
            continue
        yield from _broken(result, fault)
        if result.seen.waited >= SLOW:
            waited = format_duration(round(result.seen.waited))
            sentence = f"each request waits {waited} for it: plugins.{name}.timeout {now}"
            yield Finding(result.sample.route, fault, sentence, remedy, serious=False)


def leak(what: str, fault: str, route: str = "") -> Finding:
    """About what was left when everything had ended."""
    return Finding(route, fault, f"{what} left behind", "tell the authors of the plugins of the chain, with this line")


def crash(line: str, fault: str, route: str = "") -> Finding:
    """About an error that nobody expected."""
    return Finding(route, fault, line, _LOOK)


def _broken(result: Result, fault: str = "") -> Iterator[Finding]:
    """What is wrong whatever has failed."""
    seen, route, fault = result.seen, result.sample.route, fault or result.fault.name
    if seen.malformed:
        yield Finding(route, fault, f"the answer is malformed: {seen.malformed}", _LOOK)
    elif seen.status is None:
        yield Finding(route, fault, "the gateway ended the connection without an answer", _LOOK)
    elif seen.code == "internal-error":
        yield Finding(route, fault, "the gateway answers internal-error", _LOOK)
    if result.last is not None and result.last.code == _LIMITED:
        # The time that this test skips does not pass for who counts by a clock of his own, such as a Redis.
        sentence = "five minutes after the fault, of which next to nothing was waited for, a limit is still used up"
        yield Finding(route, fault, sentence, "count in memory for this test, to see the rest", serious=False)
    elif result.recovered is None:
        sentence = "five minutes after the fault the answer is not what it was before"
        yield Finding(route, fault, sentence, "look at what keeps state: breakers, caches, pools of connections")


def _misled(seen: Seen, healthy: Seen) -> bool:
    """True for a 200 with a content that begins as the service's and is not all of it; a copy from a cache is whole."""
    return seen.status == 200 and healthy.status == 200 and seen.body != healthy.body and PAGE[:20] in seen.body


def _wait(seen: Seen, patience: float) -> str:
    if seen.status is None:
        return f"no answer within {patience:g} s"
    return f"the answer began ({seen.status}) and was not over {LONGEST:g} s later"


def _limit(config: GatewayConfig, name: str, limit: str) -> str:
    """``services.users.timeouts.response is 5m``; the route's where that has its own."""
    route = config.routes[name]
    own = None if route.timeouts is None else getattr(route.timeouts, limit)
    if own is not None:
        return f"routes.{name}.timeouts.{limit} is {format_duration(own)}"
    if route.service is None:
        return "the route has no service, so the time limits of its plugins decide"
    seconds = getattr(config.services[route.service].timeouts, limit)
    return f"services.{route.service}.timeouts.{limit} is {format_duration(seconds)}"
