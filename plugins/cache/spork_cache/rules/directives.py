"""Cache directives of requests and responses (RFC 9111 section 5.2), read so that doubt never makes an answer fresher.

Rules
1. A directive that is named counts, whatever is wrong with its argument: ``no-store=1`` is no-store, an unfinished
   ``private="`` is private as a whole.
2. Inside a quoted string nothing is a directive; where quotes do not pair, each name that may be one counts, without
   an argument.
3. A lifetime that is no number, or is given twice with different values, is 0 (section 4.2.1); one that is too large is
   2^31 (section 1.2.2).
4. Unknown directives are ignored (section 5.2.3).
"""

import re
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

from attrs import frozen
from multidict import istr

from spork_cache.rules.model import DELTA_MAX
from spork_core.api import TOKEN, Headers

CACHE_CONTROL: Final = istr("Cache-Control")
PRAGMA: Final = istr("Pragma")
_LONGEST: Final = 1024
"""Characters of Cache-Control that are read, and remembered; a longer field is a mistake or an attack."""

_SPLIT: Final = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', re.DOTALL)
_PAIRED: Final = re.compile(r'[^"]*"(?:[^"\\]|\\.)*"[ \t]*', re.DOTALL)
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_PAIR: Final = re.compile(r"\\(.)", re.DOTALL)


@frozen
class ResponseDirectives:
    """What a response says to a shared cache. Numbers are seconds; None: not said."""

    no_store: bool = False
    private: bool = False
    """As a whole; ``private_fields`` when it names fields."""
    private_fields: frozenset[str] = frozenset()
    no_cache: bool = False
    """As a whole; ``no_cache_fields`` when it names fields."""
    no_cache_fields: frozenset[str] = frozenset()
    public: bool = False
    must_revalidate: bool = False
    proxy_revalidate: bool = False
    must_understand: bool = False
    max_age: int | None = None
    s_maxage: int | None = None
    stale_while_revalidate: int | None = None
    stale_if_error: int | None = None


@frozen
class RequestDirectives:
    """What a request asks of a cache. Numbers are seconds; None: not asked."""

    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    max_stale: int | None = None
    """2^31 when any staleness will do."""
    stale_if_error: int | None = None


NOTHING_SAID: Final = ResponseDirectives()
NOTHING_ASKED: Final = RequestDirectives()
_UNREADABLE: Final = ResponseDirectives(no_store=True)
_FRESH_ONLY: Final = RequestDirectives(no_cache=True)


def response_directives(headers: Headers) -> ResponseDirectives:
    """The directives in all ``Cache-Control`` fields of a response. Never raises."""
    values = headers.getall(CACHE_CONTROL, ())
    if not values:
        return NOTHING_SAID
    return parse_response(values[0] if len(values) == 1 else ",".join(values))


def request_directives(headers: Headers) -> RequestDirectives:
    """The directives in all ``Cache-Control`` fields of a request, else in ``Pragma`` (RFC 9111 section 5.4). Never
    raises."""
    values = headers.getall(CACHE_CONTROL, ())
    if values:
        return parse_request(values[0] if len(values) == 1 else ",".join(values))
    if PRAGMA in headers and "no-cache" in (
        member.strip().lower() for value in headers.getall(PRAGMA) for member in value.split(",")
    ):
        return _FRESH_ONLY
    return NOTHING_ASKED


def parse_response(text: str) -> ResponseDirectives:
    """The directives of one response field value; one that is too long allows nothing."""
    return _parse_response(text) if len(text) <= _LONGEST else _UNREADABLE


def parse_request(text: str) -> RequestDirectives:
    """The directives of one request field value; one that is too long asks for a fresh answer."""
    return _parse_request(text) if len(text) <= _LONGEST else _FRESH_ONLY


@lru_cache(maxsize=1024)  # services say the same few things all day: 0.1 µs, not 6 µs
def _parse_response(text: str) -> ResponseDirectives:
    return collect(members(text))


@lru_cache(maxsize=256)
def _parse_request(text: str) -> RequestDirectives:
    said = _by_name(members(text))
    max_stale = said.get("max-stale")
    return RequestDirectives(
        no_cache="no-cache" in said,
        no_store="no-store" in said,
        only_if_cached="only-if-cached" in said,
        max_age=_seconds(said.get("max-age")),
        min_fresh=_seconds(said.get("min-fresh"), broken=DELTA_MAX),
        max_stale=DELTA_MAX if max_stale == [None] else _seconds(max_stale),
        stale_if_error=_seconds(said.get("stale-if-error")),
    )


def collect(pairs: Iterable[tuple[str, str | None]]) -> ResponseDirectives:
    """The directives of a response from names in lower case and their arguments; None: no argument."""
    said = _by_name(pairs)
    private, private_fields = _fields(said.get("private"))
    no_cache, no_cache_fields = _fields(said.get("no-cache"))
    return ResponseDirectives(
        no_store="no-store" in said,
        private=private,
        private_fields=private_fields,
        no_cache=no_cache,
        no_cache_fields=no_cache_fields,
        public="public" in said,
        must_revalidate="must-revalidate" in said,
        proxy_revalidate="proxy-revalidate" in said,
        must_understand="must-understand" in said,
        max_age=_seconds(said.get("max-age")),
        s_maxage=_seconds(said.get("s-maxage")),
        stale_while_revalidate=_seconds(said.get("stale-while-revalidate")),
        stale_if_error=_seconds(said.get("stale-if-error")),
    )


def members(text: str) -> Iterator[tuple[str, str | None]]:
    """Names in lower case and arguments without their quotes; an argument that is malformed is "", one that is not
    there is None. A comma inside quotes separates nothing."""
    for member in _SPLIT.findall(text) if '"' in text else text.split(","):
        if '"' in member and not _PAIRED.fullmatch(member):
            for part in member.replace('"', "").split(","):
                yield part.partition("=")[0].strip().lower(), ""
            continue
        name, equals, argument = member.strip().partition("=")
        if name and '"' not in name:
            first, *more = name.split() or ("",)
            if more or first != name:
                argument = " "  # space before "=", or several words: the name counts, the argument does not
            yield first.lower(), _argument(argument) if equals or more else None


def _argument(text: str) -> str:
    if TOKEN.fullmatch(text):
        return text
    quoted = _QUOTED.fullmatch(text)
    return _PAIR.sub(r"\1", quoted[1]) if quoted else ""


def _by_name(pairs: Iterable[tuple[str, str | None]]) -> dict[str, list[str | None]]:
    said: dict[str, list[str | None]] = {}
    for name, argument in pairs:
        said.setdefault(name, []).append(argument)
    return said


def _seconds(arguments: list[str | None] | None, broken: int = 0) -> int | None:
    if arguments is None:
        return None
    first = arguments[0]
    if first is None or not (first.isascii() and first.isdigit()) or any(other != first for other in arguments):
        return broken
    return DELTA_MAX if len(first.lstrip("0")) > 10 else min(int(first), DELTA_MAX)


def _fields(arguments: list[str | None] | None) -> tuple[bool, frozenset[str]]:
    """Whether the directive counts as a whole, and the lower-case field names it names."""
    if arguments is None:
        return False, frozenset()
    names: set[str] = set()
    for argument in arguments:
        listed = [member.strip().lower() for member in (argument or "").split(",") if member.strip()]
        if not listed or not all(map(TOKEN.fullmatch, listed)):
            return True, frozenset()
        names.update(listed)
    return False, frozenset(names)
