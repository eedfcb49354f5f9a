"""Validation (RFC 9111 section 4.3): what to ask the upstream with, and how its 304 renews what is stored."""

from collections.abc import Iterable, Sequence
from typing import Final

from attrs import evolve
from multidict import istr

from spork_cache.rules.directives import NOTHING_SAID
from spork_cache.rules.etags import etag_of, is_strong, opaque
from spork_cache.rules.freshness import DATE, LAST_MODIFIED, date_of, last_modified_of
from spork_cache.rules.model import Policy, Stored
from spork_cache.rules.storing import CONNECTION, NOT_STORED, kept, store_rule
from spork_core.api import Headers

CLIENT_CONDITIONS: Final = tuple(map(istr, ("If-None-Match", "If-Modified-Since", "If-Range", "Range")))
"""A request's fields that the upstream must not see when its answer is to be stored whole."""

_CONTENT_LENGTH: Final = istr("Content-Length")
_MOST_TAGS: Final = 32
_NOT_UPDATED: Final = NOT_STORED - {"age"} | {"content-encoding", "content-type", "content-range"}
"""Fields of a 304 that do not replace the stored ones (RFC 9111 section 3.2): besides those that are never stored, what
says how to read the stored body. Servers put a default ``Content-Type`` on a 304."""


def validators(candidates: Sequence[Stored]) -> list[tuple[str, str]]:
    """The fields that ask whether one of ``candidates`` still holds; [] when none can be asked about.

    Several candidates are the variants of one URI: the 304 says by its ETag which one the request selects.
    """
    fields = []
    found = list(dict.fromkeys(stored.etag for stored in candidates if stored.etag is not None))
    if found:
        fields.append(("If-None-Match", ", ".join(found[:_MOST_TAGS])))
    if len(candidates) == 1 and candidates[0].last_modified is not None:
        fields.append(("If-Modified-Since", candidates[0].headers[LAST_MODIFIED]))
    return fields


def newest(candidates: Iterable[Stored]) -> Stored | None:
    """The most recent by ``Date`` of several that match a request (RFC 9111 section 4.1); None of none."""
    return max(candidates, key=_made, default=None)


def selected(candidates: Sequence[Stored], newer: Headers) -> Stored | None:
    """Which of ``candidates`` a 304 with the fields ``newer`` is about (RFC 9111 section 4.3.4); None: none, and the
    upstream has to be asked again without validators.

    A 304 without a validator is about the only candidate: servers need not repeat ``Last-Modified``
    (RFC 9110 section 15.4.5).
    """
    tag = etag_of(newer)
    if tag is not None:
        if is_strong(tag):
            return newest(stored for stored in candidates if stored.etag == tag) or newest(
                stored for stored in candidates if stored.etag is not None and opaque(stored.etag) == tag
            )
        return newest(stored for stored in candidates if stored.etag is not None and opaque(stored.etag) == opaque(tag))
    modified = last_modified_of(newer, 0.0)
    if modified is not None:
        return newest(stored for stored in candidates if stored.last_modified == modified)
    return candidates[0] if len(candidates) == 1 else None


def merge(headers: Headers, newer: Headers) -> Headers:
    """A copy of the stored ``headers`` with the fields of a 304, or of an answer to HEAD, in their place (RFC 9111
    section 3.2)."""
    fields = kept(newer, NOTHING_SAID) if CONNECTION in newer else newer
    merged = headers.copy()
    names = {name.lower() for name in fields} - _NOT_UPDATED
    for name in names:
        merged.popall(name, None)
    for name, value in fields.items():
        if name.lower() in names:
            merged.add(name, value)
    if "date" not in names:
        merged.popall(DATE, None)  # renewed now, not when the body was made
    return merged


def freshen(
    stored: Stored,
    request: Headers,
    newer: Headers,
    *,
    requested_at: float,
    received_at: float,
    policy: Policy,
    authenticated: bool = False,
) -> tuple[Stored, str]:
    """``stored`` renewed by the fields of a 304, to answer this request from; and "" when it may stay stored, else the
    reason of ``store_rule`` why it may not."""
    merged = merge(stored.headers, newer)
    renewed = store_rule(
        "GET",
        request,
        stored.status,
        stored.reason,
        merged,
        requested_at=requested_at,
        received_at=received_at,
        policy=policy,
        authenticated=authenticated,
    )
    if isinstance(renewed, Stored):
        return renewed, ""
    return evolve(stored, headers=kept(merged, NOTHING_SAID), received_at=received_at, born=received_at), renewed


def freshen_by_head(
    stored: Stored,
    length: int,
    request: Headers,
    status: int,
    newer: Headers,
    *,
    requested_at: float,
    received_at: float,
    policy: Policy,
    authenticated: bool = False,
) -> Stored | None:
    """What an answer to HEAD makes of what is stored for GET (RFC 9111 section 4.3.5): itself when it says nothing of
    it, renewed when validators and ``length`` (bytes of the stored body) agree, None when it is out of date."""
    if status != 200 or stored.status != 200:
        return stored
    tag, modified = etag_of(newer), last_modified_of(newer, received_at)
    said = newer.get(_CONTENT_LENGTH)
    if (
        (said is not None and said.strip() != str(length))
        or (tag is not None and tag != stored.etag)
        or (modified is not None and modified != stored.last_modified)
    ):
        return None
    renewed, reason = freshen(
        stored,
        request,
        newer,
        requested_at=requested_at,
        received_at=received_at,
        policy=policy,
        authenticated=authenticated,
    )
    return None if reason else renewed


def _made(stored: Stored) -> float:
    return date_of(stored.headers, stored.received_at)
