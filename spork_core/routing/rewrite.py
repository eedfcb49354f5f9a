"""Builds the target for the upstream out of a match: compiled once, nothing where nothing is to do."""

import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import quote

from spork_core.errors import BadRequest, ConfigError, ConfigProblem
from spork_core.routing.paths import is_clean, normalise_path
from spork_core.routing.rule import parse_path
from spork_core.routing.table import Match

Rewrite = Callable[[Match[Any], str], str]
"""(match, query) → raw upstream target; ``query`` is "" or begins with "?", and is kept byte for byte."""

_PLACE = re.compile(r"\{([^{}]*)\}")
_PREFIX = re.compile(r"(?:/[^/{}*?#\\\s%]+)+")
# What a segment may hold unescaped (RFC 3986 section 3.3). A slash in a capture was one in the path: only a regex can
# capture it, and encoding it would change what it means.
_PATH_SAFE = "!$&'()*+,;=:@/"
_RAW_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^!-~]|[\"<>\\^`{|}#?]")


def capture_names(path: str) -> tuple[str, ...]:
    """What a rewrite template may name for a route's ``path``: its captures, and "rest" where it ends with ``/*``."""
    pattern = parse_path(path, frozenset(), "$", [])
    if pattern is None:
        return ()
    return (*pattern.names, "rest") if pattern.rest else pattern.names


def compile_rewrite(
    strip_prefix: str | None,
    add_prefix: str | None,
    path_template: str | None,
    captures: Collection[str],
    *,
    at: str = "$",
) -> Rewrite | None:
    """The rewrite of a route, or None when there is nothing to do; ``at`` is the config path for errors.

    ``strip_prefix`` goes first, by whole segments, from paths that begin with it; then ``add_prefix`` is put in front.
    ``path_template`` replaces the path: ``/v2/{id}/{rest}``. Raises ConfigError.
    """
    problems: list[ConfigProblem] = []
    if path_template is not None and (strip_prefix or add_prefix):
        remedy = "write the whole target in path, or leave path out"
        problems.append(ConfigProblem("path replaces what strip_prefix and add_prefix change", path=at, remedy=remedy))
    strip = _prefix(strip_prefix, f"{at}.strip_prefix", problems)
    add = _prefix(add_prefix, f"{at}.add_prefix", problems)
    if path_template is not None:
        _check_template(path_template, captures, f"{at}.path", problems)
    if problems:
        raise ConfigError(problems)
    if path_template is not None:
        return _fill(path_template, own_rest="rest" in captures)
    if strip:
        return _strip(strip, add)
    return _add(add) if add else None


def _prefix(text: str | None, at: str, problems: list[ConfigProblem]) -> str:
    prefix = (text or "").rstrip("/")
    if text and not text.startswith("/"):
        problems.append(ConfigProblem(f'"{text}" is not a path', path=at, remedy='begin with "/"'))
    elif prefix and (not _PREFIX.fullmatch(prefix) or _has_dots(prefix)):
        problems.append(
            ConfigProblem(f'"{text}" is not plain text', path=at, remedy="write whole segments of plain text")
        )
    return prefix


def _check_template(template: str, captures: Collection[str], at: str, problems: list[ConfigProblem]) -> None:
    if not template.startswith("/"):
        problems.append(ConfigProblem(f'"{template}" is not a path', path=at, remedy='begin with "/"'))
    for name in _PLACE.findall(template):
        if name not in captures:
            known = ", ".join(f"{{{each}}}" for each in captures) or "none: the route's path captures nothing"
            problems.append(ConfigProblem(f'"{{{name}}}" is not captured', path=at, remedy=f"known are {known}"))
    text = _PLACE.sub("x", template)
    if _RAW_ESCAPE.search(text) or (text.startswith("/") and _has_dots(text)):
        remedy = "escape what a path may not hold (RFC 3986), leave query and dot segments out"
        problems.append(ConfigProblem(f'"{template}" is not a path to send', path=at, remedy=remedy))


def _has_dots(path: str) -> bool:
    try:
        return normalise_path(path, frozenset())[1]
    except BadRequest:
        return True


def _strip(prefix: str, add: str) -> Rewrite:
    size = len(prefix)
    below = prefix + "/"
    depth = prefix.count("/")

    def strip(match: Match[Any], query: str) -> str:
        path = match.path
        if path.startswith(below):
            return add + path[size:] + query
        if path == prefix:
            return add + "/" + query
        if not is_clean(path):
            # The prefix may be spelt with escapes; raw and normal form have the same segments.
            pieces = path.split("/", depth + 1)
            if normalise_path("/".join(pieces[: depth + 1]), frozenset())[0] == prefix:
                return f"{add}/{pieces[depth + 1] if len(pieces) > depth + 1 else ''}{query}"
        return add + path + query

    return strip


def _add(prefix: str) -> Rewrite:
    def add(match: Match[Any], query: str) -> str:
        return prefix + match.path + query

    return add


def _fill(template: str, *, own_rest: bool) -> Rewrite:
    pieces = _PLACE.split(template)
    steps = tuple((pieces[i], pieces[i + 1]) for i in range(0, len(pieces) - 1, 2))
    tail = pieces[-1]
    # "/docs" matches "/docs/*" as "/docs/" does, and to the upstream they are two resources.
    drop_slash = own_rest and template.endswith("/{rest}")

    def fill(match: Match[Any], query: str) -> str:
        built = ""
        for text, name in steps:
            built += text
            value = match.captures.get(name)
            # The rest is raw already.
            built += match.rest if value is None else quote(value, _PATH_SAFE, errors="surrogateescape")
        built += tail
        if drop_slash and not match.rest and not match.path.endswith("/"):
            built = built[:-1] or "/"
        if "/." in built and _has_dots(built):
            raise BadRequest("A captured part of the path would become a dot segment.")
        return built + query

    return fill
