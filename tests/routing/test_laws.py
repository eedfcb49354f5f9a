"""The compiled router agrees with a plain one that sorts all routes and tries them in turn."""

import re
from urllib.parse import parse_qsl

from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from spork_core.errors import BadRequest, ConfigError, MethodNotAllowed, NotFound, UriTooLong
from spork_core.routing import Router, Rule, compile_routes, normalise_path

LITERAL = st.sampled_from(["a", "b", "%C3%A9", ""])
PIECE = LITERAL | st.sampled_from(["{x}", "{y}", "{z}"])
PATH = st.one_of(
    st.builds(lambda parts, end: "/" + "/".join(parts) + end, st.lists(PIECE, max_size=3), st.sampled_from(["", "/*"])),
    st.sampled_from(["~/a/.*", "~/b.*", "~/.*/(?P<last>b)", "/*", "/a/*", "/a/{x}"]),
)
HOST = st.sampled_from(["h.b.c", "*.b.c", "*.c", "b.c", "*"])
VALUE = st.sampled_from(["1", "2", "*", "~[12]"])
RULE = st.builds(
    lambda **fields: Rule(name="", value="", **fields),
    hosts=st.lists(HOST, max_size=2).map(tuple),
    path=PATH,
    methods=st.lists(st.sampled_from(["GET", "PUT"]), max_size=2, unique=True).map(tuple),
    headers=st.dictionaries(st.sampled_from(["A", "B"]), VALUE, max_size=2) | st.just({}),
    query=st.dictionaries(st.sampled_from(["q", "r"]), VALUE, max_size=1) | st.just({}),
    priority=st.integers(0, 3),
)
RULES = st.lists(RULE, min_size=1, max_size=8)
TARGET = st.builds(
    lambda parts, query: "/" + "/".join(parts) + query,
    st.lists(st.sampled_from(["a", "b", "c", "", "%61", "é", ".", "%c3%a9"]), max_size=4),
    st.sampled_from(["", "?", "?q=1", "?q=2&q=1", "?r=1&q=2", "?r"]),
)
REQUEST = st.tuples(
    st.sampled_from(["GET", "PUT", "POST"]),
    st.sampled_from(["h.b.c", "H.b.c:80", "x.b.c", "x.c", "b.c.", "other", ""]),
    TARGET,
    st.lists(st.tuples(st.sampled_from(["a", "B"]), st.sampled_from(["1", "2", "3"])), max_size=2).map(CIMultiDict),
)


def compiled(rules: list[Rule[str]]) -> Router[str]:
    """A router of those rules that are no faults and no doubles of an earlier one."""
    kept: list[Rule[str]] = []
    for at, rule in enumerate(rules):
        named = Rule(
            name=f"r{at}", value=f"r{at}", hosts=rule.hosts, path=rule.path, methods=rule.methods,
            headers=rule.headers, query=rule.query, priority=rule.priority,
        )  # fmt: skip
        try:
            compile_routes([*kept, named])
        except ConfigError:
            continue
        kept.append(named)
    assume(kept)
    rules[:] = kept
    return compile_routes(kept)


def holds(wanted: str, value: str | None) -> bool:
    if value is None:
        return False
    return wanted == "*" or (re.fullmatch(wanted[1:], value) is not None if wanted[0] == "~" else wanted == value)


def path_holds(path: str, normal: str) -> bool:
    if path.startswith("~"):
        return re.fullmatch(path[1:], normal) is not None
    pattern = "".join(
        "[^/]+" if piece[:1] == "{" else re.escape(piece)
        for piece in re.split(r"(\{\w\})", path[: -2 or None] if path.endswith("/*") else path)
    )
    return re.fullmatch(pattern + ("(?:/.*)?" if path.endswith("/*") else ""), normal) is not None


def host_rank(pattern: str, host: str) -> tuple[int, int] | None:
    if pattern == "*":
        return (2, 0)
    if pattern.startswith("*."):
        return (1, -len(pattern)) if host.endswith(pattern[1:]) and host != pattern[1:] else None
    return (0, 0) if host == pattern else None


def path_rank(path: str) -> tuple[object, ...]:
    if path.startswith("~"):
        return (3,)
    if path == "/*":
        return (4,)
    if "{" in path:
        return (2, [2 if piece == "*" else piece[:1] == "{" for piece in path.split("/")])
    return (1, -path.count("/")) if path.endswith("/*") else (0,)


def reference(rules: list[Rule[str]], method: str, host: str, target: str, headers: CIMultiDict[str]) -> str:
    raw, _, query = target.partition("?")
    normal, _ = normalise_path(raw)
    host = host.lower().partition(":")[0].rstrip(".")
    fields = dict(reversed(parse_qsl(query, keep_blank_values=True)))
    ranked, allow = [], set()
    for at, rule in enumerate(rules):
        ranks = [rank for pattern in rule.hosts or ("*",) if (rank := host_rank(pattern, host)) is not None]
        met = all(holds(want, ", ".join(headers.getall(name, [])) or None) for name, want in rule.headers.items())
        if not (ranks and met and path_holds(rule.path, normal)):
            continue
        if not all(holds(want, fields.get(name)) for name, want in rule.query.items()):
            continue
        if rule.methods and method not in rule.methods:
            allow |= set(rule.methods)
            continue
        conditions = (not rule.methods, -len(rule.headers), -len(rule.query), -rule.priority)
        ranked.append((min(ranks), path_rank(rule.path), conditions, at, rule.name))
    return min(ranked)[-1] if ranked else f"405 {', '.join(sorted(allow))}" if allow else "404"


def answer(router: Router[str], method: str, host: str, target: str, headers: CIMultiDict[str]) -> str:
    try:
        return router.find(method, host, target, headers).value
    except MethodNotAllowed as problem:
        return f"405 {problem.headers[0][1]}"
    except NotFound:
        return "404"


@given(RULES, st.lists(REQUEST, min_size=1, max_size=12))
def test_the_compiled_router_agrees_with_the_reference(
    rules: list[Rule[str]], requests: list[tuple[str, str, str, CIMultiDict[str]]]
) -> None:
    router = compiled(rules)
    for request in requests:
        assert answer(router, *request) == reference(rules, *request)


@given(RULES, st.lists(REQUEST, min_size=1, max_size=12))
def test_explain_agrees_with_find(
    rules: list[Rule[str]], requests: list[tuple[str, str, str, CIMultiDict[str]]]
) -> None:
    router = compiled(rules)
    for request in requests:
        found = answer(router, *request)
        matched = [each.name for each in router.explain(*request) if each.matched]
        assert matched == ([] if found.startswith("40") else [found])


@given(RULES, st.lists(REQUEST, min_size=1, max_size=12))
def test_a_route_that_is_said_to_be_dead_never_matches(
    rules: list[Rule[str]], requests: list[tuple[str, str, str, CIMultiDict[str]]]
) -> None:
    router = compiled(rules)
    dead = {warning.split('"')[1] for warning in router.warnings}
    assert not dead & {answer(router, *request) for request in requests}


@given(st.text(max_size=40), st.text(max_size=20))
def test_no_request_breaks_the_router(path: str, host: str) -> None:
    router = compile_routes([Rule(name=p, value=p, path=p) for p in ("/a/*", "/{x}", "~/b.*", "/*")])
    try:
        router.find("GET", host, "/" + path, CIMultiDict())
    except (BadRequest, UriTooLong):
        pass
