"""What clients are told: the fields of draft-ietf-httpapi-ratelimit-headers-11 and their forerunners, and the refusal.

``t``, and ``X-RateLimit-Reset``, are the seconds until there is more than ``r``, which until then never grows.
"""

from collections.abc import Callable
from typing import Final

from multidict import istr

from spork_core.api import Headers, StateKey, TooManyRequests
from spork_rate_limit.policies import Policy

Told = tuple[object, str, str, str, int, int]
"""Who has counted last, the policies of all that have, and of the tightest policy: how its item of ``RateLimit``
begins, its limit, what is left of it, and the seconds until there is more."""

TOLD: Final[StateKey[Told]] = StateKey("rate-limit")
"""Set where an instance has counted. The last one that did writes the fields, for all of them."""

_RATE_LIMIT: Final = istr("RateLimit")
_POLICY: Final = istr("RateLimit-Policy")
_LIMIT: Final = istr("X-RateLimit-Limit")
_REMAINING: Final = istr("X-RateLimit-Remaining")
_RESET: Final = istr("X-RateLimit-Reset")


def standard(headers: Headers, told: Told) -> None:
    """``RateLimit`` and ``RateLimit-Policy``, behind those of the service: taking them away would be more permissive
    than it is (section 7.2)."""
    _, policies, begin, _, left, seconds = told
    current = f"{begin}{left};t={seconds}"
    if _RATE_LIMIT in headers or _POLICY in headers:
        current = ", ".join((*headers.getall(_RATE_LIMIT, ()), current))
        policies = ", ".join((*headers.getall(_POLICY, ()), policies))
    headers[_RATE_LIMIT] = current
    headers[_POLICY] = policies


def legacy(headers: Headers, told: Told) -> None:
    """``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset``, the latter in seconds from now, in place of the
    service's."""
    _, _, _, limit, left, seconds = told
    headers[_LIMIT] = limit
    headers[_REMAINING] = str(left)
    headers[_RESET] = str(seconds)


def both(headers: Headers, told: Told) -> None:
    """All five."""
    standard(headers, told)
    legacy(headers, told)


WRITERS: Final[dict[str, Callable[[Headers, Told], None]]] = {"standard": standard, "legacy": legacy, "both": both}
"""What ``headers`` may say but ``none``, and who writes it."""


def refusal(policy: Policy, wait: int) -> TooManyRequests:
    """The 429. ``wait``: microseconds until the same request would pass."""
    seconds = -(-wait // 1_000_000)
    return TooManyRequests(
        f"The limit of {policy.rate} is used up; try again in {seconds} {'second' if seconds == 1 else 'seconds'}.",
        headers=(("Retry-After", str(seconds)),),
        extensions={
            "limit": str(policy.rate),
            "policy": policy.name,
            "retry_after": seconds,
            "violated-policies": [policy.name],
        },
    )
