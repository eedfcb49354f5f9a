"""All faults on whole configs: what a client sees of each, and what is found where something is not sound."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from spork_core.api import Exchange, Plugin, Problem, Response, TooManyRequests, hookimpl
from spork_core.body import Body, IteratorBody
from spork_core.config import loads
from spork_core.errors import ConfigError
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing import impatient
from spork_core.testing.faults.report import Finding, OfRoute, Report
from spork_core.testing.faults.run import Runner
from spork_core.testing.faults.samples import derived

SERVICES = "services: {s: {endpoints: [http://service.invalid:1]}}"
ROUTE = "routes: {r: {match: {}, service: s}}"


def faults(text: str, *, patience: float = 60, **plugins: type[Plugin[Any]]) -> Report:
    """The report on a config; ``plugins`` are all in its outer chain."""
    if plugins:
        names = ", ".join(plugins)
        text = f"plugins: {{{', '.join(f'{name}: {{}}' for name in plugins)}}}\nchain: [{names}]\n{text}"
    registry = Registry(plugins)
    config = loads(text, plugins=registry)
    gateway = Gateway(config, registry)
    samples = [derived(gateway, name) for name in config.routes]
    return impatient.run(Runner(config, registry, patience).run(samples, {}))


def seen(route: OfRoute) -> dict[str, tuple[int | None, str, bool]]:
    return {each.fault.name: (each.seen.status, each.seen.code, each.seen.whole) for each in route.results}


def serious(report: Report) -> dict[str, Finding]:
    return {finding.fault: finding for finding in report.findings if finding.serious}


def test_what_a_client_sees_of_each_fault() -> None:
    """given the defaults, when each fault is tried, then every answer is honest, and minutes are not waited for"""
    begun = time.monotonic()
    report = faults(f"{SERVICES}\n{ROUTE}")
    assert time.monotonic() - begun < 10

    (route,) = report.routes
    assert seen(route) == {
        "healthy": (200, "", True),
        "refused": (502, "upstream-connect-failed", True),
        "reset": (502, "upstream-reset", True),
        "silent": (504, "upstream-timeout", True),
        "slow head": (200, "", True),
        "slow body": (200, "", True),
        "stalled body": (200, "", False),
        "truncated body": (200, "", False),
        "reset body": (200, "", False),
        "garbage": (502, "upstream-malformed", True),
        "huge headers": (502, "upstream-malformed", True),
        "5xx storm": (503, "", True),
        "500, then 200": (500, "", True),
        "early answer": (200, "", True),
        "half-close": (200, "", True),
        "103, then 200": (200, "", True),
        "trailers": (200, "", True),
    }
    waited = {each.fault.name: round(each.seen.waited) for each in route.results}
    assert (waited["silent"], waited["slow head"], waited["stalled body"]) == (15, 5, 300)
    reached = {each.fault.name: each.seen.reached for each in route.results}
    assert (reached["refused"], reached["healthy"], reached["5xx storm"]) == (0, 1, 20)
    assert all(each.recovered == 0 for each in route.results)
    assert report.ok
    (advice,) = report.findings
    assert "a client waits 5m: services.s.timeouts.idle is 5m" in advice.sentence


def test_a_dead_endpoint_of_two_is_gone_round() -> None:
    report = faults(f"services: {{s: {{endpoints: [http://a.invalid:1, http://b.invalid:1]}}}}\n{ROUTE}")
    result = next(each for each in report.routes[0].results if each.fault.name == "one endpoint dead")
    assert (result.seen.status, result.seen.asked, result.seen.reached) == (200, 4, 4)


def test_every_route_is_asked() -> None:
    report = faults(
        f"{SERVICES}\nroutes: {{a: {{match: {{path: /a}}, service: s}}, b: {{match: {{methods: [POST]}}, service: s}}}}"
    )
    assert [str(each.sample) for each in report.routes] == ["GET /a", "POST /"]
    assert len({len(each.results) for each in report.routes}) == 1


@pytest.mark.parametrize(
    ("where", "remedy"),
    [
        ("services: {s: {endpoints: [http://a.invalid], timeouts: {response: 5m}}}", "services.s.timeouts.response"),
        (SERVICES, "routes.r.timeouts.response"),
    ],
)
def test_who_waits_too_long_is_told_which_setting_decides(where: str, remedy: str) -> None:
    route = (
        ROUTE if remedy.startswith("services") else ROUTE.replace("service: s", "service: s, timeouts: {response: 5m}")
    )
    report = faults(f"{where}\n{route}")
    finding = serious(report)["silent"]
    assert finding.sentence == f"no answer within 60 s: {remedy} is 5m"
    assert finding.remedy == "set it below 60s"


# -- plugins that are not sound -----------------------------------------------------------------------


class Swallows(Plugin[Any]):
    """Makes a whole answer of half of one."""

    response_body = "change"

    @hookimpl
    async def on_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        body = exchange.response.body
        exchange.response.body = IteratorBody(self._rest(body), inner=body)

    async def _rest(self, chunks: Body) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                yield chunk
        except Problem:
            pass


def test_half_an_answer_that_looks_whole_is_found() -> None:
    assert "for a whole answer" in serious(faults(f"{SERVICES}\n{ROUTE}", swallows=Swallows))["truncated body"].sentence


class Waits(Plugin[Any]):
    """Waits for something that never comes when the service has failed."""

    @hookimpl
    async def on_error(self, exchange: Exchange, error: Problem) -> Response | None:
        await asyncio.Event().wait()
        return None


def test_a_plugin_that_hangs_is_found() -> None:
    found = serious(faults(f"{SERVICES}\n{ROUTE}", waits=Waits))
    assert found["garbage"].sentence.startswith("no answer within 60 s")


class Remembers(Plugin[Any]):
    """Never forgets that the service has failed."""

    failed = False

    @hookimpl
    def on_error(self, exchange: Exchange, error: Problem) -> None:
        self.failed = True

    @hookimpl
    def on_request(self, exchange: Exchange) -> Response | None:
        return Response(503) if self.failed else None


def test_a_gateway_that_does_not_recover_is_found() -> None:
    report = faults(f"{SERVICES}\n{ROUTE}", remembers=Remembers)
    assert "five minutes after the fault" in serious(report)["refused"].sentence


class Limits(Remembers):
    """Counts by a clock that nobody makes jump."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> Response | None:
        if self.failed:
            raise TooManyRequests
        return None


def test_a_limit_that_is_counted_by_anothers_clock_is_no_fault() -> None:
    report = faults(f"{SERVICES}\n{ROUTE}", limits=Limits)
    assert report.ok
    assert "a limit is still used up" in " ".join(finding.sentence for finding in report.findings)


class Breaks(Remembers):
    """Tries again after half a minute."""

    @hookimpl
    def on_error(self, exchange: Exchange, error: Problem) -> None:
        self.failed = True
        asyncio.get_running_loop().call_later(30, setattr, self, "failed", False)


def test_a_gateway_that_recovers_in_time_is_sound() -> None:
    report = faults(f"{SERVICES}\n{ROUTE}", breaks=Breaks)
    assert report.ok
    assert {each.fault.name: each.recovered for each in report.routes[0].results}["refused"] == 60


class Leaks(Plugin[Any]):
    """Leaves a task behind for each request."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        self.last = asyncio.get_running_loop().create_task(self._forever())

    async def _forever(self) -> None:
        await asyncio.Event().wait()


def test_a_task_that_is_left_behind_is_found_by_name() -> None:
    found = serious(faults(f"{SERVICES}\n{ROUTE}", leaks=Leaks))
    assert found["healthy"].sentence == "the task Leaks._forever is left behind"


class Loses(Plugin[Any]):
    """Starts something that fails, and asks nobody."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)


def test_an_error_that_nobody_gets_is_found() -> None:
    found = serious(faults(f"{SERVICES}\n{ROUTE}", loses=Loses))
    assert "ZeroDivisionError('division by zero')" in found["healthy"].sentence


class Fails(Plugin[Any]):
    """Cannot start."""

    @hookimpl
    def startup(self) -> None:
        raise OSError("no connection")


def test_a_gateway_that_does_not_start_cannot_be_tested() -> None:
    with pytest.raises(ConfigError, match="instance did not start: OSError: no connection"):
        faults(f"{SERVICES}\n{ROUTE}", fails=Fails)


class Refuses(Plugin[Any]):
    """Lets nobody in."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> Response:
        return Response(401)


class Raises(Plugin[Any]):
    """Cannot cope with an answer that has no type."""

    @hookimpl
    def on_upstream_response(self, exchange: Exchange) -> None:
        assert exchange.response is not None
        exchange.response.headers["X-Type"] = exchange.response.headers["Content-Type"]


def test_a_plugin_that_raises_is_found_with_its_line() -> None:
    found = serious(faults(f"{SERVICES}\n{ROUTE}", raises=Raises))
    assert found.keys() == {"5xx storm"}  # and not once more for the next fault
    assert "instance raises failed in on_upstream_response at " in found["5xx storm"].sentence
    assert "test_faults.py:" in found["5xx storm"].sentence


def test_a_sample_that_does_not_reach_its_service_says_so() -> None:
    report = faults(f"{SERVICES}\n{ROUTE}", refuses=Refuses)
    (finding,) = report.findings
    assert finding.sentence == "GET / does not get to its service: it is answered 401"
    assert "-H 'Authorization: Bearer …'" in finding.remedy
    assert report.ok


def test_a_route_without_a_service_is_asked_once() -> None:
    report = faults("routes: {r: {match: {}}}", refuses=Refuses)
    assert seen(report.routes[0]) == {"healthy": (401, "", True)}


def test_the_report_is_plain_values_too() -> None:
    found = faults(f"{SERVICES}\n{ROUTE}").as_json()
    assert (found["ok"], found["routes"][0]["request"]) == (True, "GET /")
    silent = next(each for each in found["routes"][0]["results"] if each["fault"] == "silent")
    assert 15 <= silent.pop("waited") < 16
    assert silent == {
        "fault": "silent",
        "status": 504,
        "code": "upstream-timeout",
        "source": "upstream",
        "whole": True,
        "hung": False,
        "malformed": "",
        "asked": 1,
        "reached": 1,
        "recovered": 0,
    }
