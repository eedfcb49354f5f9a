"""The rules of a shared HTTP cache as pure functions: RFC 9111, 5861, 9211 and 9213, and what they use of RFC 9110.

Nothing here reads a clock, waits or keeps state: moments are parameters, in seconds since the epoch. The order of use:

1. ``uri`` and ``primary_key`` name what a request is about; ``vary_key`` picks the variant for each known ``vary``.
2. ``reuse`` decides: answer from the store (``shape`` makes the answer), or ask the upstream, with ``validators``.
3. ``store_rule`` decides about the upstream's answer; ``selected`` and ``freshen`` apply a 304; ``stale_if_error`` what
   stands in for an error; ``invalidates`` what a change makes out of date.
4. ``hit`` and ``forward`` write ``Cache-Status``; ``dump`` and ``load`` carry a stored response through a Store.
"""

from spork_cache.rules.cache_status import append, forward, hit, name_item
from spork_cache.rules.codec import dump, load
from spork_cache.rules.freshness import HEURISTIC_STATUSES
from spork_cache.rules.invalidation import SAFE, invalidates
from spork_cache.rules.keys import primary_key, store_key, target_for_key, uri, vary_key, vary_names
from spork_cache.rules.model import Action, Decision, Policy, Stored
from spork_cache.rules.reuse import (
    ERROR_STATUSES,
    PLAIN_UNLESS,
    Miss,
    as_it_is,
    origin_conditions,
    plain,
    request_no_store,
    reuse,
    stale_if_error,
)
from spork_cache.rules.shaping import Shape, not_modified, not_modified_headers, shape
from spork_cache.rules.storing import soft_purged, store_rule
from spork_cache.rules.tags import tags
from spork_cache.rules.validation import (
    CLIENT_CONDITIONS,
    freshen,
    freshen_by_head,
    merge,
    newest,
    selected,
    validators,
)

__all__ = [
    "CLIENT_CONDITIONS",
    "ERROR_STATUSES",
    "HEURISTIC_STATUSES",
    "PLAIN_UNLESS",
    "SAFE",
    "Action",
    "Decision",
    "Miss",
    "Policy",
    "Shape",
    "Stored",
    "append",
    "as_it_is",
    "dump",
    "forward",
    "freshen",
    "freshen_by_head",
    "hit",
    "invalidates",
    "load",
    "merge",
    "name_item",
    "newest",
    "not_modified",
    "not_modified_headers",
    "origin_conditions",
    "plain",
    "primary_key",
    "request_no_store",
    "reuse",
    "selected",
    "shape",
    "soft_purged",
    "stale_if_error",
    "store_key",
    "store_rule",
    "tags",
    "target_for_key",
    "uri",
    "validators",
    "vary_key",
    "vary_names",
]
