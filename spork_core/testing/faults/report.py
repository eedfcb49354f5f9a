"""What a run of all faults has found, as values: for the terminal, and as JSON."""

from typing import Any

import attrs

from spork_core.testing.faults.asked import Seen
from spork_core.testing.faults.dependencies import Dependency
from spork_core.testing.faults.samples import Sample
from spork_core.testing.faults.scenarios import Scenario, Weather


@attrs.frozen
class Result:
    """One fault, and what the client of one sample saw. ``recovered``: seconds after the fault at which the answer
    was as before it; None: not within five minutes. ``last``: what was answered then, when it was not."""

    fault: Scenario | Weather
    sample: Sample
    seen: Seen
    recovered: float | None
    last: Seen | None = None


@attrs.frozen
class OfRoute:
    """What one sample met. ``forwards``: its route has a service, whose faults were tried."""

    sample: Sample
    forwards: bool
    results: tuple[Result, ...]


@attrs.frozen
class OfDependency:
    """What the samples met when a dependency failed. ``why_not``: why that was not tried; "" when it was."""

    dependency: Dependency
    results: tuple[Result, ...] = ()
    why_not: str = ""


@attrs.frozen
class Finding:
    """What is to be said about some results. ``serious``: a client is left waiting, misled, or somebody crashed or
    leaked; else it is advice."""

    route: str
    fault: str
    sentence: str
    remedy: str
    serious: bool = True


@attrs.frozen
class Report:
    """All of it. ``skipped``: route to why no sample could be made of it."""

    routes: tuple[OfRoute, ...]
    dependencies: tuple[OfDependency, ...]
    findings: tuple[Finding, ...]
    skipped: dict[str, str]

    @property
    def ok(self) -> bool:
        """True when every answer was well-formed and the gateway lives."""
        return not any(finding.serious for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values; times in seconds."""
        return {
            "ok": self.ok,
            "routes": [
                {
                    "route": each.sample.route,
                    "request": str(each.sample),
                    "host": each.sample.host,
                    "results": [_result(result) for result in each.results],
                }
                for each in self.routes
            ],
            "dependencies": [
                {
                    "where": each.dependency.where,
                    "address": each.dependency.shown,
                    "why_not": each.why_not,
                    "results": [{"route": result.sample.route} | _result(result) for result in each.results],
                }
                for each in self.dependencies
            ],
            "findings": [attrs.asdict(finding) for finding in self.findings],
            "skipped": self.skipped,
        }


def _result(result: Result) -> dict[str, Any]:
    seen = result.seen
    return {
        "fault": result.fault.name,
        "status": seen.status,
        "code": seen.code,
        "source": seen.source,
        "waited": round(seen.waited, 3),
        "whole": seen.whole,
        "hung": seen.hung,
        "malformed": seen.malformed,
        "asked": seen.asked,
        "reached": seen.reached,
        "recovered": result.recovered,
    }
