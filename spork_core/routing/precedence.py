"""Which of two matching routes wins, and which routes cannot be told apart.

Order (the first difference decides):
1. host: exact, then wildcard with the longest suffix, then any;
2. path: exact, then prefix with the most segments, then template, then regex, then ``/*``;
   two templates are compared segment by segment from the left: text beats a capture, a capture beats ``/*``;
3. a route with methods beats one without;
4. more header conditions beat fewer;
5. more query conditions beat fewer;
6. the higher ``priority``.

``/*`` is what a route without a path has, so it is the absence of a condition and comes last, as "any host" does.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any

from spork_core.errors import ConfigProblem
from spork_core.routing.regex import literal_prefix
from spork_core.routing.rule import Condition, Parsed, PathPattern

Key = tuple[tuple[int, int], tuple[int, tuple[int, ...]], tuple[bool, int, int, int]]

_KINDS = {"exact": 0, "prefix": 1, "template": 2, "regex": 3, "all": 4}
_LITERAL, _CAPTURE, _REST = 0, 1, 2


def host_key(host: str) -> tuple[int, int]:
    """The rank of a host pattern; smaller wins."""
    if not host:
        return (2, 0)
    return (1, -host.count(".")) if host.startswith("*.") else (0, 0)


def path_key(path: PathPattern) -> tuple[int, tuple[int, ...]]:
    """The rank of a path; smaller wins. Templates that can match one path and are not alike never tie."""
    if path.kind == "prefix":
        return (1, (-len(path.segments),))
    if path.kind == "template":
        shape = [_CAPTURE if segment is None else _LITERAL for segment in path.segments]
        return (2, (*shape, _REST) if path.rest else tuple(shape))
    return (_KINDS[path.kind], ())


def conditions_key(route: Parsed[Any]) -> tuple[bool, int, int, int]:
    """The rank among routes of one host and path; smaller wins."""
    return (not route.methods, -len(route.headers), -len(route.query), -route.rule.priority)


def order_key(route: Parsed[Any], host: str) -> Key:
    """The rank of a route for requests that its ``host`` pattern matches; smaller wins."""
    return (host_key(host), path_key(route.path), conditions_key(route))


def why_lost(loser: Key, winner: Key) -> str:
    """The first rule of precedence that puts ``winner`` before ``loser``, in words."""
    if loser[0] != winner[0]:
        hosts = ("exact host", "wildcard host", "any host")
        first, second = hosts[winner[0][0]], hosts[loser[0][0]]
        return f"{first} beats {second}" if first != second else "longer host suffix beats shorter"
    if loser[1] != winner[1]:
        kinds = ("exact path", "prefix", "template", "regex", '"/*"')
        first, second = kinds[winner[1][0]], kinds[loser[1][0]]
        if first != second:
            return f"{first} beats {second}"
        return "longer prefix beats shorter" if first == "prefix" else "text further left beats a capture"
    reasons = (
        "methods beat no methods",
        "more header conditions",
        "more query conditions",
        "higher priority",
    )
    for reason, mine, theirs in zip(reasons, loser[2], winner[2], strict=True):
        if mine != theirs:
            return reason
    return "earlier in the file; no request matches both"


def find_ambiguous(routes: Sequence[Parsed[Any]]) -> Iterator[ConfigProblem]:
    """One problem for each pair of routes that a request may match both and that nothing orders."""
    seen: set[tuple[int, int]] = set()
    for (host, _, _), group in _group(routes).items():
        for one, two in combinations(group, 2):
            if (one.index, two.index) in seen or not _overlap(one, two):
                continue
            seen.add((one.index, two.index))
            both = f'"{one.path.text}"' if one.path.text == two.path.text else f'"{one.path.text}", "{two.path.text}"'
            where = f'host "{host}"' if host else "any host"
            yield ConfigProblem(
                f'routes "{one.name}" and "{two.name}" cannot be told apart ({where}, path {both}): '
                "a request may match both, and nothing orders them",
                path=f"$.routes.{two.name}.match",
                remedy='set a higher "priority" on one, or narrow one by host, path, methods, headers or query',
            )


def find_shadowed(routes: Sequence[Parsed[Any]]) -> Iterator[str]:
    """One sentence for each route that can never match, because a route before it takes all its requests."""
    by_path: defaultdict[tuple[str, tuple[object, ...]], list[Parsed[Any]]] = defaultdict(list)
    for route in routes:
        for host in route.hosts:
            by_path[host, route.path.identity].append(route)
    for route in routes:
        covers = [
            next((wide for wide in _wider(route, host, by_path) if _implied(wide, route)), None) for host in route.hosts
        ]
        first = covers[0]
        if first is not None and all(covers):
            why = why_lost(order_key(route, route.hosts[0]), order_key(first, route.hosts[0]))
            yield (
                f'route "{route.name}" ({route.path.text}) can never match: '
                f'"{first.name}" ({first.path.text}) takes all its requests ({why})'
            )


def _group(routes: Iterable[Parsed[Any]]) -> dict[tuple[object, ...], list[Parsed[Any]]]:
    groups: defaultdict[tuple[object, ...], list[Parsed[Any]]] = defaultdict(list)
    for route in routes:
        for host in route.hosts:
            groups[host, route.path.identity, conditions_key(route)].append(route)
    return groups


def _overlap(one: Parsed[Any], two: Parsed[Any]) -> bool:
    """Whether a request may match both; in doubt it may. Both have the same host pattern and path identity."""
    if one.methods and two.methods and not one.methods & two.methods:
        return False
    if _exclude(one.headers, two.headers, fold=True) or _exclude(one.query, two.query, fold=False):
        return False
    if one.path.kind == "regex":
        first, second = literal_prefix(one.path.text[1:]), literal_prefix(two.path.text[1:])
        return first.startswith(second) or second.startswith(first)
    return True


def _exclude(ones: Iterable[Condition], twos: Sequence[Condition], *, fold: bool) -> bool:
    """Whether no value satisfies both sets of conditions."""
    for one in ones:
        for two in twos:
            same = one.name.lower() == two.name.lower() if fold else one.name == two.name
            if same and ((one.exact and not two.test(one.wanted)) or (two.exact and not one.test(two.wanted))):
                return True
    return False


def _wider(
    route: Parsed[Any], host: str, by_path: dict[tuple[str, tuple[object, ...]], list[Parsed[Any]]]
) -> Iterator[Parsed[Any]]:
    """The routes of ``host`` before ``route`` that match every path it matches."""
    mine = conditions_key(route)
    for same in by_path.get((host, route.path.identity), ()):
        alike = same.path.kind != "regex" or same.path.text == route.path.text
        if alike and conditions_key(same) < mine:
            yield same
    if route.path.kind == "template":
        leading = route.path.segments[: route.path.segments.index(None)]
    elif route.path.kind == "regex":
        # The last piece may go on beyond the certain text, so it is no whole segment.
        leading = tuple(literal_prefix(route.path.text[1:]).split("/")[1:-1])
    else:
        return
    for size in range(len(leading), 0, -1):
        yield from by_path.get((host, ("prefix", leading[:size], True)), ())


def _implied(wide: Parsed[Any], narrow: Parsed[Any]) -> bool:
    """Whether a request that meets the conditions of ``narrow`` always meets those of ``wide``."""
    if wide.methods and not (narrow.methods and narrow.methods <= wide.methods):
        return False
    headers = {(condition.name.lower(), condition.wanted) for condition in narrow.headers}
    query = {(condition.name, condition.wanted) for condition in narrow.query}
    return headers.issuperset((condition.name.lower(), condition.wanted) for condition in wide.headers) and (
        query.issuperset((condition.name, condition.wanted) for condition in wide.query)
    )
