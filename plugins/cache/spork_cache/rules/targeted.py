"""Targeted cache control (RFC 9213): a field for this cache alone, in place of ``Cache-Control`` and ``Expires``."""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import http_sf

from spork_cache.rules.directives import ResponseDirectives, collect, response_directives
from spork_cache.rules.model import Policy
from spork_core.api import Headers

_LONGEST: Final = 1024
_SECONDS: Final = frozenset(("max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"))
_FIELDS: Final = frozenset(("private", "no-cache"))


def effective_directives(headers: Headers, policy: Policy) -> tuple[ResponseDirectives, bool]:
    """The directives that count for this cache, and whether a targeted field gave them.

    The first of the policy's targeted fields that is there, valid and not empty is the only one that counts, and
    ``Expires`` counts no more (RFC 9213 section 2.2).
    """
    for name in policy.targeted:
        values = headers.getall(name, None)
        if values is not None:
            said = parse_targeted(values[0] if len(values) == 1 else ",".join(values))
            if said is not None:
                return said, True
    return response_directives(headers), False


def parse_targeted(text: str) -> ResponseDirectives | None:
    """The directives of a targeted field, a Structured Fields dictionary (RFC 9651); None: it is empty, malformed or
    too long, as if it were not there."""
    return _parse_targeted(text) if len(text) <= _LONGEST else None


@lru_cache(maxsize=256)
def _parse_targeted(text: str) -> ResponseDirectives | None:
    try:
        value = http_sf.parse(text.encode("ascii"), tltype="dictionary")
    except (ValueError, UnicodeEncodeError):
        return None
    return collect(_pairs(value)) if isinstance(value, dict) and value else None


def _pairs(dictionary: Mapping[str, Any]) -> Iterator[tuple[str, str | None]]:
    """Members as ``collect`` takes them, without those whose value has another type than the directive's (RFC 9213
    section 2.1)."""
    for name, (value, _parameters) in dictionary.items():
        if name in _SECONDS:
            if type(value) is int and value >= 0:
                yield name, str(value)
        elif name in _FIELDS and type(value) is str:
            yield name, value
        elif value is not False:
            yield name, None
