"""Says in words why a request takes one route and not another; reads the rules one by one, not the tables."""

from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import Any

import attrs

from spork_core.routing.precedence import Key, host_key, order_key, why_lost
from spork_core.routing.rule import Parsed, PathPattern
from spork_core.routing.table import Ask

_ALIKE = 0.7
"""From this ratio on a path looks like a misspelt one (1.0 = equal)."""


@attrs.frozen
class Candidate:
    """A route that takes a request (``matched``; one at most) or nearly does, and why."""

    name: str
    matched: bool
    why: str


def explain(routes: Sequence[Parsed[Any]], method: str, host: str, path: str, ask: Ask) -> list[Candidate]:
    """The candidates for a request, best first; ``host`` and ``path`` are in normal form.

    Listed are the routes that match, and those with exactly one thing in the way.
    """
    ranked: list[tuple[Key, int, Parsed[Any], list[str]]] = []
    for route in routes:
        fitting = [pattern for pattern in route.hosts if host_matches(pattern, host)]
        faults = [] if fitting else [f"host {_or(route.hosts)} does not match {host or 'a request without host'}"]
        faults += _faults(route, method, path, ask)
        best = min(fitting or route.hosts, key=host_key)
        ranked.append((order_key(route, best), route.index, route, faults))
    ranked.sort(key=lambda row: row[:2])
    winner = next((row for row in ranked if not row[3]), None)
    candidates = []
    for row in ranked:
        key, _, route, faults = row
        if row is winner:
            candidates.append(Candidate(route.name, True, f"matches {_conditions(route)}"))
        elif not faults and winner is not None:
            candidates.append(Candidate(route.name, False, f"lost to {winner[2].name}: {why_lost(key, winner[0])}"))
        elif len(faults) == 1:
            candidates.append(Candidate(route.name, False, faults[0]))
    return candidates


def host_matches(pattern: str, host: str) -> bool:
    """Whether a host pattern takes a host; ``*.example.com`` takes one label or more, as in the Gateway API."""
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return not pattern or pattern == host


def path_matches(pattern: PathPattern, path: str) -> bool:
    """Whether a route's path takes a path in normal form."""
    if pattern.fullmatch is not None:
        return pattern.fullmatch(path) is not None
    segments = path.split("/")[1:]
    wanted = pattern.segments
    if len(segments) < len(wanted) or (len(segments) > len(wanted) and not pattern.rest):
        return False
    return all(
        bool(segment) if text is None else segment == text
        for text, segment in zip(wanted, segments[: len(wanted)], strict=True)
    )


def _faults(route: Parsed[Any], method: str, path: str, ask: Ask) -> list[str]:
    faults = []
    if not path_matches(route.path, path):
        faults.append(f"path {route.path.text} does not match")
        if not _looks_like(route.path, path):
            faults.append("it is about another path altogether")
    if route.methods and method not in route.methods:
        faults.append(f"method {method} not in {', '.join(sorted(route.methods))}")
    faults += [
        f"header {condition.name} is not {_wanted(condition.wanted)}"
        for condition in route.headers
        if not ask.header_holds(condition)
    ]
    faults += [
        f"query parameter {condition.name} is not {_wanted(condition.wanted)}"
        for condition in route.query
        if not ask.query_holds(condition)
    ]
    return faults


def _looks_like(pattern: PathPattern, path: str) -> bool:
    """Whether a path that does not match is near: it begins alike, or reads like a slip of the keyboard."""
    first = pattern.segments[0] if pattern.segments else None
    if first is None or first == path.split("/", 2)[1]:
        return True
    alike = SequenceMatcher(None, pattern.text, path)  # most differ by far, and the first looks are forty times faster
    return alike.real_quick_ratio() >= _ALIKE and alike.quick_ratio() >= _ALIKE and alike.ratio() >= _ALIKE


def _conditions(route: Parsed[Any]) -> str:
    parts = [f"host {_or(route.hosts)}", f"path {route.path.text}"]
    if route.methods:
        parts.append(f"methods {', '.join(sorted(route.methods))}")
    parts += [f"header {condition.name} {_wanted(condition.wanted)}" for condition in route.headers]
    parts += [f"query parameter {condition.name} {_wanted(condition.wanted)}" for condition in route.query]
    return ", ".join(parts)


def _wanted(wanted: str) -> str:
    return "present" if wanted == "*" else f'"{wanted}"'


def _or(hosts: tuple[str, ...]) -> str:
    return " or ".join(host or "any" for host in hosts)
