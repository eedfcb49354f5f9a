"""The routes of one host pattern, laid out so that a lookup does not scan them.

Exact paths are one dict. Prefixes and templates are tries over path segments, whose cost is the depth of the path, not
the number of routes. Only regular expressions are tried one after the other. Every list of entries is in order of
precedence and ends at the first entry without conditions, as nothing behind that one can be reached.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, Protocol, TypeVar
from urllib.parse import parse_qsl

import attrs

from spork_core.routing.precedence import order_key
from spork_core.routing.rule import Condition, Parsed

T = TypeVar("T")

NO_CAPTURES: Mapping[str, str] = MappingProxyType({})


class HeaderLookup(Protocol):
    """What the router needs of a request's header fields: names compare without case (CIMultiDict fits)."""

    def getall(self, key: str, default: list[str], /) -> list[str]:
        """All values of ``key`` in order, or ``default``."""


class Match(NamedTuple, Generic[T]):
    """The route of a request.

    ``value`` is the Rule's. ``path`` is the path to forward before any rewrite: the raw one, byte for byte, unless it
    held dot segments (``collapsed``), because then raw and matched path could name different resources upstream.
    ``captures`` are percent-decoded once, with bytes outside UTF-8 as lone surrogates. ``rest`` is the part of
    ``path`` that ``/*`` stood for, without its leading slash.
    """

    value: T
    path: str
    captures: Mapping[str, str]
    rest: str
    collapsed: bool


@attrs.frozen(eq=False)
class Entry(Generic[T]):
    """A route as the lookup sees it. ``skip`` segments, or ``length`` characters, stand before ``rest``."""

    name: str
    value: T
    free: bool
    methods: frozenset[str]
    headers: tuple[Condition, ...]
    query: tuple[Condition, ...]
    captures: tuple[tuple[str, int], ...]
    skip: int
    length: int
    rest: bool
    fullmatch: Callable[[str], Any] | None


class Ask:
    """The part of a request that conditions look at; made only where a route has some."""

    __slots__ = ("_fields", "_headers", "_method", "_query", "allow")

    def __init__(self, method: str, headers: HeaderLookup | None, query: str) -> None:
        self._method = method
        self._headers = headers
        self._query = query
        self._fields: dict[str, str] | None = None
        self.allow: set[str] | None = None
        """When set, nothing is met, and the methods of entries whose other conditions hold are collected here."""

    def meets(self, entry: Entry[Any]) -> bool:
        """Whether the request meets the conditions of ``entry``."""
        if self.allow is None:
            return (not entry.methods or self._method in entry.methods) and self._meets_rest(entry)
        if self._meets_rest(entry):
            self.allow |= entry.methods
        return False

    def _meets_rest(self, entry: Entry[Any]) -> bool:
        return all(map(self.header_holds, entry.headers)) and all(map(self.query_holds, entry.query))

    def header_holds(self, condition: Condition) -> bool:
        """Whether a header condition holds; several lines count as one, joined by ", " (RFC 9110 section 5.3)."""
        values = self._headers.getall(condition.name, []) if self._headers is not None else []
        return bool(values) and bool(condition.test(", ".join(values)))

    def query_holds(self, condition: Condition) -> bool:
        """Whether a query condition holds for the first value of its parameter, decoded."""
        fields = self._fields
        if fields is None:
            # Reversed, so that the first of several values is the one that stays.
            fields = self._fields = dict(reversed(parse_qsl(self._query, keep_blank_values=True)))
        value = fields.get(condition.name)
        return value is not None and bool(condition.test(value))


def pick(entries: Iterable[Entry[T]], ask: Ask) -> Entry[T] | None:
    """The first entry whose conditions the request meets."""
    for entry in entries:
        if entry.free or ask.meets(entry):
            return entry
    return None


class Node(Generic[T]):
    """A node of a trie over path segments.

    ``chain`` (prefixes): the entries of this node, then those of all nodes above it: longest prefix first.
    ``ends`` and ``rests`` (templates): entries whose last segment this is, without and with ``/*``.
    """

    __slots__ = ("chain", "children", "ends", "param", "rests")

    def __init__(self) -> None:
        self.children: dict[str, Node[T]] = {}
        self.param: Node[T] | None = None
        self.chain: tuple[Entry[T], ...] = ()
        self.ends: tuple[Entry[T], ...] = ()
        self.rests: tuple[Entry[T], ...] = ()

    def at(self, segments: Iterable[str | None]) -> "Node[T]":
        """The node below this one for ``segments``, made where it is missing."""
        node = self
        for segment in segments:
            if segment is not None:
                node = node.children.setdefault(segment, Node())
            else:
                node.param = node.param or Node()
                node = node.param
        return node

    def inherit(self, above: tuple[Entry[T], ...]) -> None:
        """Complete the chains below, once all prefixes are in."""
        if not (self.chain and self.chain[-1].free):
            self.chain += above
        for child in self.children.values():
            child.inherit(self.chain)


class Table(Generic[T]):
    """The routes of one host pattern; see the module."""

    __slots__ = ("all", "conditional", "exact", "plain", "prefixes", "regexes", "templates")

    def __init__(self, host: str, routes: Sequence[Parsed[T]]) -> None:
        self.conditional = not all(route.free for route in routes)
        self.exact: dict[str, tuple[Entry[T], ...]] = {}
        self.prefixes: Node[T] = Node()
        self.templates: Node[T] | None = None
        self.regexes: tuple[Entry[T], ...] = ()
        self.all: tuple[Entry[T], ...] = ()
        for route in sorted(routes, key=lambda route: (order_key(route, host), route.index)):
            self._add(route)
        self.prefixes.inherit(())
        # A path that stands here needs no other test: the first route of its list always wins, and a raw path that
        # equals a normal form is clean.
        self.plain: dict[str, Match[T]] = {
            path: Match(entries[0].value, path, NO_CAPTURES, "", False)
            for path, entries in self.exact.items()
            if entries[0].free
        }

    def _add(self, route: Parsed[T]) -> None:
        path, entry = route.path, _entry(route)
        segments = ("", *path.segments)  # what "/a/b".split("/") begins with
        if path.kind == "exact":
            self.exact[path.literal] = _append(self.exact.get(path.literal, ()), entry)
        elif path.kind == "prefix":
            node = self.prefixes.at(segments)
            node.chain = _append(node.chain, entry)
        elif path.kind == "template":
            self.templates = self.templates or Node()
            node = self.templates.at(segments)
            if path.rest:
                node.rests = _append(node.rests, entry)
            else:
                node.ends = _append(node.ends, entry)
        elif path.kind == "regex":
            self.regexes += (entry,)
        else:
            self.all = _append(self.all, entry)

    def search(self, normal: str, segments: list[str], ask: Ask) -> tuple[Entry[T], Any] | None:
        """The winning entry, with the regex match if it is one; ``segments`` is ``normal`` split at its slashes."""
        entries = self.exact.get(normal)
        entry = None if entries is None else pick(entries, ask)
        if entry is None:
            node = self.prefixes
            for segment in segments:
                below = node.children.get(segment)
                if below is None:
                    break
                node = below
            if node.chain:
                entry = pick(node.chain, ask)
        if entry is None and self.templates is not None:
            entry = _descend(self.templates, segments, 0, ask)
        if entry is not None:
            return entry, None
        for entry in self.regexes:
            assert entry.fullmatch is not None  # only regex routes stand here
            found = entry.fullmatch(normal)
            if found is not None and (entry.free or ask.meets(entry)):
                return entry, found
        entry = pick(self.all, ask)
        return None if entry is None else (entry, None)


def _descend(node: Node[T], segments: list[str], at: int, ask: Ask) -> Entry[T] | None:
    """Text before capture before rest; backs out of a branch that leads nowhere."""
    size = len(segments)
    while at < size:
        segment = segments[at]
        child = node.children.get(segment)
        param = node.param if segment else None
        at += 1
        if not node.rests:
            # One way on is the rule: a step of the loop, not a call.
            if child is None:
                if param is None:
                    return None
                node = param
                continue
            if param is None:
                node = child
                continue
        entry = None if child is None else _descend(child, segments, at, ask)
        if entry is None and param is not None:
            entry = _descend(param, segments, at, ask)
        return entry or pick(node.rests, ask)
    return pick(node.ends, ask) or pick(node.rests, ask)


def _append(entries: tuple[Entry[T], ...], entry: Entry[T]) -> tuple[Entry[T], ...]:
    return entries if entries and entries[-1].free else (*entries, entry)


def _entry(route: Parsed[T]) -> Entry[T]:
    path = route.path
    positions = [at for at, segment in enumerate(path.segments, start=1) if segment is None]
    return Entry(
        name=route.name,
        value=route.rule.value,
        free=route.free,
        methods=route.methods,
        headers=route.headers,
        query=route.query,
        captures=tuple(zip(path.names, positions, strict=True)) if path.kind == "template" else (),
        skip=len(path.segments) + 1,
        length=len(path.literal) + 1 if path.kind in ("prefix", "all") else 0,
        rest=path.rest,
        fullmatch=path.fullmatch,
    )
