"""What may have gone wrong with an attempt, by the names that an operator writes under ``retry_on``."""

from collections.abc import Collection
from typing import Final, Literal

from spork_core.api import (
    Attempt,
    UpstreamConnectFailed,
    UpstreamMalformed,
    UpstreamProblem,
    UpstreamReset,
    UpstreamTimeout,
)

Condition = Literal[
    "connect-failure",
    "reset",
    "reset-before-request",
    "timeout",
    "gateway-error",
    "5xx",
    "retriable-status-codes",
]

CONNECT_FAILURE: Final = "connect-failure"
RESET: Final = "reset"
RESET_BEFORE_REQUEST: Final = "reset-before-request"
TIMEOUT: Final = "timeout"
GATEWAY_ERROR: Final = "gateway-error"
SERVER_ERROR: Final = "5xx"
STATUSES: Final = "retriable-status-codes"

_NO_ANSWER: Final = (GATEWAY_ERROR, SERVER_ERROR)
_FAILURES: Final[dict[tuple[type[UpstreamProblem], bool], tuple[str, ...]]] = {
    (UpstreamConnectFailed, False): (CONNECT_FAILURE, *_NO_ANSWER),
    (UpstreamTimeout, False): (CONNECT_FAILURE, *_NO_ANSWER),
    (UpstreamTimeout, True): (TIMEOUT, *_NO_ANSWER),
    (UpstreamReset, False): (RESET_BEFORE_REQUEST, RESET, *_NO_ANSWER),
    (UpstreamReset, True): (RESET, *_NO_ANSWER),
    (UpstreamMalformed, True): _NO_ANSWER,
}
"""What a failure is, and whether the request was sent → the conditions it fulfils, the most exact first. What is not
here, such as a refusal of the gateway itself (too many requests wait, an open circuit), is not tried again."""

_GATEWAY_STATUSES: Final = frozenset((502, 503, 504))


def fulfilled(attempt: Attempt, statuses: Collection[int]) -> tuple[str, ...]:
    """The conditions that a failed attempt fulfils, the most exact first. ``statuses``: those that the operator named
    for ``retriable-status-codes``."""
    error = attempt.error
    if error is not None:
        return _FAILURES.get((type(error), error.sent), ()) if isinstance(error, UpstreamProblem) else ()
    status = attempt.status
    if status is None:
        return ()
    found = (STATUSES,) if status in statuses else ()
    if status in _GATEWAY_STATUSES:
        return (*found, GATEWAY_ERROR, SERVER_ERROR)
    return (*found, SERVER_ERROR) if status >= 500 else found
