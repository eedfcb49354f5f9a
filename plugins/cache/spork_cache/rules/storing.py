"""Whether a response may be stored, and what of it (RFC 9111 section 3)."""

from typing import Final

from attrs import evolve
from multidict import istr

from spork_cache.rules.dates import format_date
from spork_cache.rules.directives import ResponseDirectives, request_directives
from spork_cache.rules.etags import etag_of
from spork_cache.rules.freshness import DATE, date_of, initial_age, last_modified_of, lifetime
from spork_cache.rules.keys import vary_key, vary_names
from spork_cache.rules.model import Policy, Stored
from spork_cache.rules.tags import tags
from spork_cache.rules.targeted import effective_directives
from spork_core.api import Headers

AUTHORIZATION: Final = istr("Authorization")
CONNECTION: Final = istr("Connection")
CACHE_CONTROL: Final = istr("Cache-Control")
SET_COOKIE: Final = istr("Set-Cookie")
CONTENT_RANGE: Final = istr("Content-Range")

NEVER_STORED: Final = frozenset((206, 304, 412, 416, 417, 421, 428, 429, 431, 511))
"""Parts (RFC 9111 section 3.3) and validations; what was said to fields that stand in no key: a condition, a range, an
expectation, a connection, too large a head; what RFC 6585 forbids to store."""

UNDERSTOOD: Final = (
    frozenset((200, 203, 204, 205, 300, 301, 302, 303, 307, 308, *range(400, 418), 422, 426, *range(500, 506)))
    - NEVER_STORED
)
"""Statuses whose meaning for a cache is implemented here: those of RFC 9110 that can be stored."""

OVERRIDES: Final = frozenset(
    (
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x-original-url",
        "x-rewrite-url",
        "x-original-host",
        "x-http-host-override",
        "x-host",
    )
)
"""Fields that make some servers answer another request than the one that the key names: a request with one of them is
neither answered from the store nor is its answer stored."""

NOT_STORED: Final = frozenset(
    (
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "proxy-authenticate",
        "proxy-authentication-info",
        "proxy-authorization",
        "set-cookie",
        "set-cookie2",
        "age",
        "content-length",
    )
)
"""Fields of one hop (RFC 9111 section 3.1), of one user, and those that are computed for each answer."""

_LOWERED: Final = str.lower


def store_rule(
    method: str,
    request: Headers,
    status: int,
    reason: str,
    response: Headers,
    *,
    requested_at: float,
    received_at: float,
    policy: Policy,
    authenticated: bool = False,
) -> Stored | str:
    """What to keep of a response, or a token that says why nothing is kept.

    ``request``: the fields that went to the upstream; ``response``: those that came, unchanged by us.
    ``requested_at``, ``received_at``: when the request was sent and the head came. ``authenticated``: the gateway
    knows who asked, whether or not ``Authorization`` told it. Who keeps each caller's answers under a key of their
    own says False, and gives ``request`` without its credentials.
    """
    if method != "GET":
        return "method"
    if not 200 <= status <= 599 or status in NEVER_STORED:
        return "status"
    if CONTENT_RANGE in response:
        return "partial"
    if CACHE_CONTROL in request and request_directives(request).no_store:
        return "request-no-store"
    if overridden(request):
        return "override"
    said, targeted = effective_directives(response, policy)
    if said.must_understand and status not in UNDERSTOOD:
        return "must-understand"
    if said.no_store and not said.must_understand:
        return "no-store"
    if said.private:
        return "private"
    shareable = said.public or said.must_revalidate or said.s_maxage is not None
    if not shareable and needs_leave(request, authenticated=authenticated):
        return "authorization"
    if (
        SET_COOKIE in response
        and not policy.strip_cookies
        and "set-cookie" not in said.private_fields
        and "set-cookie" not in said.no_cache_fields
    ):
        return "set-cookie"
    names = vary_names(response, policy.max_vary)
    if isinstance(names, str):
        return names
    found = tags(response, policy.max_tags)
    if found is None:
        return "too-many-tags"
    date = date_of(response, received_at)
    seconds = lifetime(said, response, status, date, policy, targeted=targeted)
    if seconds is None and not said.no_cache:
        return "no-freshness"
    headers = kept(response, said)
    etag = etag_of(headers)
    modified = last_modified_of(headers, received_at)
    born = received_at - initial_age(response, date, requested_at, received_at)
    if DATE not in headers or date == received_at:  # RFC 9110 section 6.6.1: who stores it adds it
        headers[DATE] = format_date(date)
    fresh_until = born if said.no_cache or seconds is None else born + seconds
    revalidate_until, error_until = _stale_windows(said, fresh_until, policy)
    if max(fresh_until, revalidate_until, error_until) <= received_at and etag is None and modified is None:
        return "already-stale"
    return Stored(
        status=status,
        reason=reason,
        headers=headers,
        received_at=received_at,
        born=born,
        fresh_until=fresh_until,
        stale_while_revalidate_until=revalidate_until,
        stale_if_error_until=error_until,
        must_revalidate=said.must_revalidate or said.proxy_revalidate or said.s_maxage is not None,
        no_cache=said.no_cache,
        shareable=shareable,
        etag=etag,
        last_modified=modified,
        vary=names,
        vary_key=vary_key(request, names),
        tags=found,
    )


def overridden(request: Headers) -> bool:
    """Whether a request may mean another than its method, host and target say."""
    return not OVERRIDES.isdisjoint(map(_LOWERED, request))


def needs_leave(request: Headers, *, authenticated: bool) -> bool:
    """Whether the answer to ``request`` may belong to one caller, so that only the upstream's word lets others have it
    (RFC 9111 section 3.5)."""
    return authenticated or AUTHORIZATION in request


def kept(response: Headers, said: ResponseDirectives) -> Headers:
    """A copy of ``response`` without the fields that may not be stored: those of the hop, those that ``Connection``
    names, those that ``private`` and ``no-cache`` name."""
    headers = response.copy()
    for name in NOT_STORED.intersection(map(_LOWERED, response)):
        if name == "connection":
            for listed in ",".join(response.getall(CONNECTION)).split(","):
                headers.popall(listed.strip(), None)
        headers.popall(name, None)
    for name in said.private_fields | said.no_cache_fields:
        headers.popall(name, None)
    return headers


def soft_purged(stored: Stored, now: float) -> Stored:
    """``stored`` as if its lifetime ended at ``now``: the next use is a validation, or a stale answer while that
    runs."""
    if now >= stored.fresh_until:
        return stored
    earlier = stored.fresh_until - now
    return evolve(
        stored,
        fresh_until=now,
        stale_while_revalidate_until=stored.stale_while_revalidate_until - earlier,
        stale_if_error_until=stored.stale_if_error_until - earlier,
    )


def _stale_windows(said: ResponseDirectives, fresh_until: float, policy: Policy) -> tuple[float, float]:
    """Until when it may be served stale while it is revalidated, and in place of an error (RFC 5861)."""
    if said.no_cache or said.must_revalidate or said.proxy_revalidate:
        return fresh_until, fresh_until
    revalidate, error = said.stale_while_revalidate, said.stale_if_error
    if said.s_maxage is not None:
        if not policy.stale_beside_s_maxage:
            return fresh_until, fresh_until
        return fresh_until + (revalidate or 0), fresh_until + (error or 0)
    return (
        fresh_until + (policy.stale_while_revalidate if revalidate is None else revalidate),
        fresh_until + (policy.stale_if_error if error is None else error),
    )
