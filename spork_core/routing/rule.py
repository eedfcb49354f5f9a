"""What a route matches, parsed and checked: hosts, path and conditions.

Hosts compare without case, port and trailing dot; ``*.example.com`` takes one label or more, as in the Gateway API.
Paths compare with case, and a last slash counts: ``/a`` is not ``/a/``. ``/a/*`` takes ``/a``, ``/a/`` and ``/a/b``,
never ``/ab``. A capture takes one segment that is not empty. A regular expression has to match the whole normal form.
Methods compare with case, and GET does not imply HEAD. Lines of one header field are joined by ", "; of several query
parameters with one name the first counts.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Generic, Literal, TypeVar

import attrs

from spork_core.errors import BadRequest, ConfigProblem, HeadersTooLarge, Problem, UriTooLong
from spork_core.routing.paths import normalise_host, normalise_path
from spork_core.routing.regex import LONGEST_TEXT, RegexFault, capped, compile_regex

T = TypeVar("T")

Kind = Literal["exact", "prefix", "template", "regex", "all"]
Test = Callable[[str], object]
"""A condition on one value: truthy when it holds."""

_CAPTURE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 section 5.6.2
_HOST = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?\.)*[a-z0-9_](?:[a-z0-9_-]*[a-z0-9_])?")
_UNSAFE = re.compile(r"""[\x00-\x20"<>^`{|}\x7f]""")
_STANDARD = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"})


@attrs.frozen(kw_only=True, eq=False)
class Rule(Generic[T]):
    """One route as the operator wrote it; ``value`` is what a match gives back.

    ``hosts``: exact or ``*.suffix``; none means any. ``path``: ``/exact``, ``/prefix/*``, ``/users/{id}``, ``~regex``.
    ``headers`` and ``query``: name to an exact value, ``~regex``, or ``*`` for present.
    """

    name: str
    value: T
    hosts: tuple[str, ...] = ()
    path: str = "/*"
    methods: tuple[str, ...] = ()
    headers: Mapping[str, str] = attrs.Factory(dict)
    query: Mapping[str, str] = attrs.Factory(dict)
    priority: int = 0


@attrs.frozen(eq=False)
class PathPattern:
    """A route's path, parsed. ``segments`` are normalised; None stands for a capture."""

    kind: Kind
    text: str
    segments: tuple[str | None, ...] = ()
    names: tuple[str, ...] = ()
    rest: bool = False
    regex: re.Pattern[str] | None = None
    fullmatch: Callable[[str], re.Match[str] | None] | None = None

    @property
    def literal(self) -> str:
        """The path that an exact pattern or a prefix stands for, without ``/*``."""
        return "".join(f"/{segment}" for segment in self.segments)

    @property
    def identity(self) -> tuple[object, ...]:
        """Equal for two patterns that match the same paths; all regular expressions share one."""
        return (self.kind, self.segments, self.rest)


@attrs.frozen(eq=False)
class Condition:
    """A demand on one header field or query parameter, as written (``wanted``) and compiled."""

    name: str
    wanted: str
    test: Test

    @property
    def exact(self) -> bool:
        """Whether one value alone is accepted."""
        return self.wanted != "*" and not self.wanted.startswith("~")


@attrs.frozen(eq=False)
class Parsed(Generic[T]):
    """A Rule without faults, ready to be ordered and laid out in tables. ``hosts`` is ``("",)`` for any host."""

    rule: Rule[T]
    index: int
    hosts: tuple[str, ...]
    path: PathPattern
    methods: frozenset[str]
    headers: tuple[Condition, ...]
    query: tuple[Condition, ...]

    @property
    def name(self) -> str:
        """The route's name."""
        return self.rule.name

    @property
    def free(self) -> bool:
        """Whether host and path decide alone."""
        return not (self.methods or self.headers or self.query)


def parse_rule(rule: Rule[T], index: int, refused: frozenset[str], problems: list[ConfigProblem]) -> Parsed[T] | None:
    """``rule`` parsed, or None after its faults were added to ``problems``."""
    before = len(problems)
    at = f"$.routes.{rule.name}.match"
    hosts = tuple(dict.fromkeys(_parse_host(host, f"{at}.host", problems) for host in rule.hosts)) or ("",)
    path = parse_path(rule.path, refused, f"{at}.path", problems)
    for method in rule.methods:
        if not _TOKEN.fullmatch(method):
            problems.append(ConfigProblem(f"{method!r} is not a method", path=f"{at}.methods"))
        elif method not in _STANDARD and method.upper() in _STANDARD:
            remedy = f'write "{method.upper()}"'
            problems.append(
                ConfigProblem(f'methods are case-sensitive: "{method}"', path=f"{at}.methods", remedy=remedy)
            )
    headers = tuple(_conditions(rule.headers, f"{at}.headers", _header_too_long, problems))
    query = tuple(_conditions(rule.query, f"{at}.query", _query_too_long, problems))
    if len(problems) > before or path is None:
        return None
    return Parsed(rule, index, hosts, path, frozenset(rule.methods), headers, query)


def _parse_host(host: str, at: str, problems: list[ConfigProblem]) -> str:
    if host == "*":
        return ""
    name = host.lower().removeprefix("*.")
    if not name.isascii():
        problems.append(ConfigProblem(f'"{host}" is not ASCII', path=at, remedy="write the xn-- form of the name"))
        return host
    if name.count(":") > 1 and not name.startswith("["):
        name = f"[{name}]"
    plain = normalise_host(name)
    if plain.startswith("[") and name.endswith("]") and not host.startswith("*."):
        return plain
    if ":" in name:
        problems.append(
            ConfigProblem(f'"{host}" names a port', path=at, remedy="write the host alone; ports never count")
        )
    elif "*" in name:
        problems.append(ConfigProblem(f'"{host}" has a wildcard elsewhere than in "*." at its start', path=at))
    elif not _HOST.fullmatch(plain):
        problems.append(ConfigProblem(f'"{host}" is not a host name', path=at))
    return f"*.{plain}" if host.startswith("*.") else plain


def parse_path(text: str, refused: frozenset[str], at: str, problems: list[ConfigProblem]) -> PathPattern | None:
    """The path of a route, or None after its faults were added to ``problems``."""
    if text.startswith("~"):
        try:
            regex = compile_regex(text[1:])
        except RegexFault as exc:
            remedy = 'use "[^/]+" instead of ".*", or possessive repetition ("[^/]++"), or a template'
            problems.append(ConfigProblem(f'"{text}" {exc}', path=at, remedy=remedy))
            return None
        return PathPattern(
            "regex", text, names=tuple(regex.groupindex), regex=regex, fullmatch=capped(regex, _path_too_long)
        )
    if not text.startswith("/"):
        problems.append(ConfigProblem(f'"{text}" is not a path', path=at, remedy='begin with "/", or "~" for a regex'))
        return None
    rest = text.endswith("/*")
    pieces = (text[:-2] if rest else text).split("/")[1:]
    names = tuple(name for piece in pieces for name in _CAPTURE.findall(piece))
    before = len(problems)
    segments = tuple(_parse_segment(piece, text, refused, at, problems) for piece in pieces)
    if len(set(names)) < len(names) or "rest" in names:
        problems.append(
            ConfigProblem(
                f'"{text}" captures a name twice, or "rest"', path=at, remedy="give each capture its own name"
            )
        )
    if len(problems) > before:
        return None
    if None in segments:
        return PathPattern("template", text, segments, names, rest)
    return PathPattern(("prefix" if segments else "all") if rest else "exact", text, segments, rest=rest)


def _parse_segment(
    piece: str, text: str, refused: frozenset[str], at: str, problems: list[ConfigProblem]
) -> str | None:
    if _CAPTURE.fullmatch(piece):
        return None
    if piece == "*" or "{" in piece or "}" in piece:
        remedy = 'a capture is a whole segment ("/{name}/"), "/*" stands at the end; for more use "~regex"'
        problems.append(ConfigProblem(f'"{piece}" in "{text}" is neither text nor a capture', path=at, remedy=remedy))
        return piece
    if "?" in piece:
        problems.append(ConfigProblem(f'"{text}" holds a "?"', path=at, remedy='match parameters with "query"'))
        return piece
    quoted = _UNSAFE.sub(lambda found: f"%{ord(found[0]):02X}", piece)
    try:
        # The suffix keeps "." and ".." visible: alone at the end they would be resolved.
        normal, dotted = normalise_path(f"/{quoted}/", refused)
    except BadRequest as exc:
        problems.append(ConfigProblem(f'no request can match "{text}": {exc.detail}', path=at))
        return piece
    if dotted:
        problems.append(ConfigProblem(f'"{text}" holds a dot segment', path=at, remedy="write the path it leads to"))
    return normal[1:-1]


def _conditions(
    wanted: Mapping[str, str], at: str, refusal: Callable[[], Problem], problems: list[ConfigProblem]
) -> Iterator[Condition]:
    for name, value in wanted.items():
        if len(value) > LONGEST_TEXT:
            problems.append(ConfigProblem(f"the value is longer than {LONGEST_TEXT} characters", path=f"{at}.{name}"))
        elif value == "*":
            yield Condition(name, value, _present)
        elif value.startswith("~"):
            try:
                yield Condition(name, value, capped(compile_regex(value[1:]), refusal))
            except RegexFault as exc:
                problems.append(ConfigProblem(f'"{value}" {exc}', path=f"{at}.{name}"))
        else:
            yield Condition(name, value, value.__eq__)


def _present(_: str) -> bool:
    return True


def _path_too_long() -> Problem:
    return UriTooLong("The path is too long for the routes of this host.")


def _query_too_long() -> Problem:
    return UriTooLong("A query parameter is too long for the routes of this path.")


def _header_too_long() -> Problem:
    return HeadersTooLarge("A header field is too long for the routes of this path.")
