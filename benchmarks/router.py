"""Times the router: microseconds a lookup, for literal routes (10, 100, 10,000), prefixes, templates and the rest.

Every lookup gets a target string of its own, as on the wire: a string used twice remembers its hash, and would flatter.
Run: python benchmarks/router.py
"""

import gc
import platform
import random
import statistics
from time import perf_counter_ns

from multidict import CIMultiDict

from spork_core.errors import Problem
from spork_core.routing import Router, Rule, compile_routes

LOOKUPS = 20_000
ROUNDS = 15
HEADERS = CIMultiDict({"Host": "api.example.com", "X-Version": "2"})


def rule(name: str, path: str, **more: object) -> Rule[str]:
    return Rule(name=name, value=name, path=path, **more)  # type: ignore[arg-type]  # the caller's keywords fit


def literals(count: int, **more: object) -> list[Rule[str]]:
    return [rule(f"r{i}", f"/service-{i % 97}/resource/item-{i}", **more) for i in range(count)]


def measure(router: Router[str], targets: list[str], host: str = "api.example.com") -> list[float]:
    """Microseconds a lookup, one number a round, less the loop's own time."""
    find = router.find
    rounds = []
    for _ in range(ROUNDS):
        fresh = [(random.choice(targets) + "!")[:-1] for _ in range(LOOKUPS)]
        start = perf_counter_ns()
        for _ in fresh:
            pass
        empty = perf_counter_ns() - start
        start = perf_counter_ns()
        for target in fresh:
            try:
                find("GET", host, target, HEADERS)
            except Problem:
                pass
        rounds.append((perf_counter_ns() - start - empty) / LOOKUPS / 1000)
    return rounds


def main() -> None:
    random.seed(7)
    others = [
        rule("docs", "/docs/*"),
        rule("user", "/api/users/{id}"),
        rule("order", "/api/users/{id}/orders/{order}/*"),
    ]
    mixed = compile_routes(literals(10_000) + others)
    hosts = compile_routes(
        [rule("one", "/a/*", hosts=("api.example.com",)), rule("two", "/a/*", hosts=("*.example.com",))]
    )
    versions = compile_routes(
        [rule("v2", "/a/*", headers={"X-Version": "2"}), rule("get", "/a/*", methods=("GET",)), rule("any", "/a/*")]
    )
    cases: list[tuple[str, Router[str], list[str], str]] = [
        (f"literal, {size:,} routes, {what}", compile_routes(literals(size)), targets, "api.example.com")
        for size in (10, 100, 10_000)
        for what, targets in (
            ("the same one", ["/service-3/resource/item-3"]),
            ("at random", [each.path for each in literals(size)]),
        )
    ]
    cases += [
        ("literal with a query", mixed, ["/service-3/resource/item-3?page=2&size=50"], "api.example.com"),
        ("prefix, 10,003 routes", mixed, ["/docs/guide/install.html"], "api.example.com"),
        ("template, 10,003 routes", mixed, ["/api/users/8231"], "api.example.com"),
        ("template of 5 segments and /*", mixed, ["/api/users/8231/orders/77/lines/3"], "api.example.com"),
        ("any path (/*)", compile_routes([rule("all", "/*")]), ["/docs/guide/install.html"], "api.example.com"),
        ("prefix, exact host", hosts, ["/a/b"], "api.example.com"),
        ("prefix, wildcard host, port", hosts, ["/a/b"], "www.example.com:8080"),
        ("prefix, header condition", versions, ["/a/b"], "api.example.com"),
        ("prefix, escapes in the path", mixed, ["/docs/caf%C3%A9/%7Euser"], "api.example.com"),
        ("no route (404)", mixed, ["/nothing/here"], "api.example.com"),
    ]
    print(f"CPython {platform.python_version()}, {platform.machine()}; {ROUNDS} rounds of {LOOKUPS:,}; microseconds")
    print(f"{'lookup':<42}{'best':>8}{'median':>8}")
    gc.disable()
    for name, router, targets, host in cases:
        rounds = measure(router, targets, host)
        print(f"{name:<42}{min(rounds):>8.2f}{statistics.median(rounds):>8.2f}")


if __name__ == "__main__":
    main()
