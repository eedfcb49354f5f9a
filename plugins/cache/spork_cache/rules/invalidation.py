"""What a successful unsafe request makes out of date (RFC 9111 section 4.4)."""

from typing import Final
from urllib.parse import SplitResult, urljoin, urlsplit

from multidict import istr

from spork_cache.rules.keys import uri as uri_text
from spork_core.api import Headers

SAFE: Final = frozenset(("GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH", "QUERY"))
"""Methods that change nothing (RFC 9110 section 9.2.1 and the registry); one that is unknown may."""

_POINTERS: Final = (istr("Location"), istr("Content-Location"))
_LONGEST: Final = 8192
_PORTS: Final = {"http": 80, "https": 443}


def invalidates(method: str, status: int, uri: str, response: Headers) -> tuple[str, ...]:
    """The URIs, as ``uri`` writes them, of which nothing stored may be used any more after the answer to a request for
    ``uri``: itself, and what ``Location`` and ``Content-Location`` name on the same origin.

    Another origin's are left alone: else any service could empty the cache of others.
    """
    if method in SAFE or not 200 <= status < 400:
        return ()
    found = [uri]
    for name in _POINTERS:
        for value in response.getall(name, ()):
            other = _same_origin(uri, value)
            if other is not None and other not in found:
                found.append(other)
    return tuple(found)


def _same_origin(base: str, reference: str) -> str | None:
    if len(reference) > _LONGEST:
        return None
    try:
        here, there = urlsplit(base), urlsplit(urljoin(base, reference.strip()))
        same = _origin(here) == _origin(there)
    except ValueError:
        return None
    if not same or there.username is not None:
        return None
    target = f"{there.path or '/'}?{there.query}" if there.query else there.path or "/"
    return uri_text(here.scheme, here.netloc, target)


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Raises ValueError when the port is no number."""
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)
