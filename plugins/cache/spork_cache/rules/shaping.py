"""What a client gets from a stored response: all of it, a 304 to its own condition, or one range (RFC 9110 sections 13
and 14).

Rules
1. Conditions before ranges (RFC 9110 section 13.2.2): ``If-None-Match`` wins over ``If-Modified-Since``, and both over
   ``Range``.
2. A range is served when it is one, of bytes, and well-formed; several are answered with the whole (section 14.2).
3. ``If-Range`` needs a strong validator (section 13.1.5).
"""

import re
from typing import Final

from attrs import frozen
from multidict import istr

from spork_cache.rules.dates import parse_date
from spork_cache.rules.etags import is_strong, listed_tags, opaque
from spork_cache.rules.freshness import date_of
from spork_cache.rules.model import Stored
from spork_cache.rules.reuse import plain
from spork_core.api import Headers

_IF_NONE_MATCH: Final = istr("If-None-Match")
_IF_MODIFIED_SINCE: Final = istr("If-Modified-Since")
_IF_RANGE: Final = istr("If-Range")
_RANGE: Final = istr("Range")
_CONTENT_RANGE: Final = istr("Content-Range")
_LAST_MODIFIED: Final = istr("Last-Modified")
_BYTES: Final = re.compile(r"bytes=(.*)", re.IGNORECASE)
_ONE_RANGE: Final = re.compile(r"([0-9]*)-([0-9]*)")
_LONGEST_RANGE: Final = 1024
_CONDITIONAL_STATUSES: Final = frozenset((200, 203))
_GONE_IN_304: Final = ("content-type", "content-encoding", "content-language", "content-disposition", "accept-ranges")
_KEPT_IN_416: Final = ("date", "etag", "vary", "cache-control")


@frozen
class Shape:
    """An answer from the store. ``headers``: a copy for this answer alone, without ``Age`` and ``Cache-Status``.
    ``first``, ``stop``: the slice of the stored body to send. ``whole``: the slice is all of it."""

    status: int
    headers: Headers
    first: int
    stop: int
    whole: bool


def shape(method: str, request: Headers, stored: Stored, length: int | None) -> Shape:
    """The answer to a GET or HEAD ``request`` from ``stored``. ``length``: bytes of the stored body; None when they are
    not all there yet, and no range is served.

    For HEAD it is the same as for GET; whoever sends it leaves the body out.
    """
    end = length or 0
    if plain(request):
        return Shape(stored.status, stored.headers.copy(), 0, end, True)
    if stored.status in _CONDITIONAL_STATUSES and not_modified(request, stored):
        return Shape(304, not_modified_headers(stored), 0, 0, False)
    if method == "GET" and length is not None and stored.status == 200 and _RANGE in request:
        span = byte_range(request.getall(_RANGE), length) if _range_applies(request, stored) else None
        if span is not None:
            return _part(stored, length, *span)
    return Shape(stored.status, stored.headers.copy(), 0, end, True)


def not_modified(request: Headers, stored: Stored) -> bool:
    """Whether the conditions of ``request`` say that the client has this response already (RFC 9110 sections 13.1.2 and
    13.1.3)."""
    values = request.getall(_IF_NONE_MATCH, None)
    if values is not None:
        text = values[0] if len(values) == 1 else ",".join(values)
        return text.strip() == "*" or (stored.etag is not None and opaque(stored.etag) in listed_tags(text))
    dates = request.getall(_IF_MODIFIED_SINCE, ())
    since = parse_date(dates[0], stored.received_at) if len(dates) == 1 else None
    if since is None:
        return False
    changed = stored.last_modified
    return (date_of(stored.headers, stored.received_at) if changed is None else changed) <= since


def not_modified_headers(stored: Stored) -> Headers:
    """The fields of a 304 for ``stored``: without those that describe a body which is not sent (RFC 9110 section
    15.4.5)."""
    headers = stored.headers.copy()
    for name in _GONE_IN_304:
        headers.popall(name, None)
    if stored.etag is not None:
        headers.popall(_LAST_MODIFIED, None)
    return headers


def byte_range(values: list[str], length: int) -> tuple[int, int] | None:
    """First byte and the one after the last of the one range that ``Range`` asks for; (0, 0) when it lies beyond the
    end; None when the field is to be ignored: malformed, another unit, repeated, several ranges."""
    matched = _BYTES.fullmatch(values[0].strip()) if len(values) == 1 and len(values[0]) <= _LONGEST_RANGE else None
    if matched is None:
        return None
    ranges = [part.strip(" \t") for part in matched[1].split(",") if part.strip(" \t")]
    one = _ONE_RANGE.fullmatch(ranges[0]) if len(ranges) == 1 else None
    if one is None:
        return None
    first, last = one.groups()
    if not first:
        if not last:
            return None
        suffix = int(last)
        if length == 0 and suffix:
            return None  # nothing to send is all there is
        return (max(length - suffix, 0), length) if suffix else (0, 0)
    start = int(first)
    stop = int(last) + 1 if last else max(length, start + 1)
    if stop <= start:
        return None
    return (start, min(stop, length)) if start < length else (0, 0)


def _range_applies(request: Headers, stored: Stored) -> bool:
    values = request.getall(_IF_RANGE, None)
    if values is None:
        return True
    if len(values) != 1:
        return False
    value = values[0].strip(" \t")
    if value.startswith(('"', "W/")):
        return stored.etag == value and is_strong(value)
    date = parse_date(value, stored.received_at)
    # A date is strong when the response was made at least a second after (RFC 9110 section 8.8.2.2).
    return date is not None and date == stored.last_modified and date_of(stored.headers, stored.received_at) - date >= 1


def _part(stored: Stored, length: int, first: int, stop: int) -> Shape:
    if first == stop:
        headers = Headers((name, value) for name, value in stored.headers.items() if name.lower() in _KEPT_IN_416)
        headers[_CONTENT_RANGE] = f"bytes */{length}"
        return Shape(416, headers, 0, 0, False)
    headers = stored.headers.copy()
    headers[_CONTENT_RANGE] = f"bytes {first}-{stop - 1}/{length}"
    return Shape(206, headers, first, stop, False)
