"""The config class, and what it refuses: what the kernel would not repeat, and times that contradict each other."""

from typing import TYPE_CHECKING, Final

from attrs import frozen

from spork_core.api import TOKEN, Bytes, Seconds, setting
from spork_retry.conditions import STATUSES, Condition

if TYPE_CHECKING:
    from attrs import Attribute

MOST_RETRIES: Final = 9
"""The kernel makes at most ten attempts."""
MOST_HELD: Final = 2 * 1024 * 1024

IDEMPOTENT: Final = ("GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE")
"""RFC 9110 section 9.2.2."""
_REPEATABLE: Final = frozenset((*IDEMPOTENT, "QUERY", "PROPFIND"))


def _retries(_: object, _field: "Attribute[int]", retries: int) -> None:
    if not 1 <= retries <= MOST_RETRIES:
        raise ValueError(f"{retries} is not a number of further attempts; write 1 to {MOST_RETRIES}")


def _conditions(_: object, _field: "Attribute[tuple[str, ...]]", conditions: tuple[str, ...]) -> None:
    if not conditions:
        raise ValueError("without a condition nothing is tried again; write one, or enabled: false")


def _statuses(config: "RetryConfig", _field: "Attribute[tuple[int, ...]]", statuses: tuple[int, ...]) -> None:
    for status in statuses:
        if not 500 <= status <= 599:
            raise ValueError(f"{status} is an answer, not a failure of the service; write statuses from 500 to 599")
    if not statuses and STATUSES in config.retry_on:
        raise ValueError(f"{STATUSES} stands under retry_on, and no status here; write one, such as 503")


def _methods(_: object, _field: "Attribute[tuple[str, ...]]", methods: tuple[str, ...]) -> None:
    for method in methods:
        if not TOKEN.fullmatch(method) or method not in _REPEATABLE:
            raise ValueError(
                f'a "{method}" that may have been processed is never repeated (RFC 9110 section 9.2.2); '
                f"write some of {', '.join(sorted(_REPEATABLE))}"
            )


def _positive(_: object, _field: "Attribute[float]", seconds: float | None) -> None:
    if seconds is not None and seconds <= 0:
        raise ValueError('nothing can be done in no time; write a duration such as "100ms"')


def _max_backoff(config: "RetryConfig", _field: "Attribute[float]", seconds: float) -> None:
    if seconds < config.backoff:
        raise ValueError("it is less than backoff, where waiting begins; write a longer duration")


def _max_body(_: object, _field: "Attribute[int]", size: int) -> None:
    if size > MOST_HELD:
        raise ValueError("bodies that large are not held in memory; write at most 2MiB")


def _header(_: object, _field: "Attribute[str | None]", name: str | None) -> None:
    if name is not None and not TOKEN.fullmatch(name):
        raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')


def _ratio(_: object, _field: "Attribute[float]", ratio: float) -> None:
    if not 0 <= ratio <= 1:
        raise ValueError(f"{ratio:g} is not a share; write a number from 0 to 1, such as 0.2")


def _minimum(_: object, _field: "Attribute[int]", minimum: int) -> None:
    if minimum < 0:
        raise ValueError(f"{minimum} is not a number of retries; write 0 or more")


def _window(_: object, _field: "Attribute[float]", seconds: float) -> None:
    if not 1 <= seconds <= 3600:
        raise ValueError('it is too short or too long to count in; write a duration from "1s" to "1h"')


@frozen
class BudgetConfig:
    """How many retries a service gets, so that they do not finish off one that is overloaded."""

    ratio: float = setting(
        "Retries of the last window are at most this share of its requests.", default=0.2, validator=_ratio
    )
    minimum: int = setting(
        "While fewer retries of the service than this run, another may go whatever the ratio says.",
        default=3,
        validator=_minimum,
    )
    window: Seconds = setting("The time that requests and retries are counted in.", default=10.0, validator=_window)


@frozen
class RetryConfig:
    """When another attempt is made, how often, and after how long."""

    retries: int = setting("Further attempts at most, the first one not counted.", default=2, validator=_retries)
    retry_on: tuple[Condition, ...] = setting(
        "What is tried again: connect-failure, reset, reset-before-request, timeout, gateway-error, 5xx, "
        "retriable-status-codes.",
        default=("connect-failure", "reset", "retriable-status-codes"),
        validator=_conditions,
    )
    statuses: tuple[int, ...] = setting(
        "The answers that retriable-status-codes means, from 500 to 599.", default=(503,), validator=_statuses
    )
    methods: tuple[str, ...] = setting(
        "Methods to repeat when the request may have been processed. What was never sent is repeated with any method.",
        default=IDEMPOTENT,
        validator=_methods,
    )
    backoff: Seconds = setting(
        "Before the first retry at most so long is waited, twice that before the second and so on; chance decides how "
        "much of it.",
        default=0.025,
        validator=_positive,
    )
    max_backoff: Seconds = setting("The most that back-off grows to.", default=0.25, validator=_max_backoff)
    max_retry_after: Seconds = setting(
        "A Retry-After of at most this is waited for; one that asks for more ends the exchange with that answer.",
        default=2.0,
    )
    per_try_timeout: Seconds | None = setting(
        "How long each attempt may take, from connecting to the head of the answer. None: only the service's own "
        "time-outs hold.",
        default=None,
        validator=_positive,
    )
    max_body: Bytes = setting(
        "Requests with more content than this are not repeated, unless nothing of them was sent; at most 2MiB.",
        default=64 * 1024,
        validator=_max_body,
    )
    hold_bodies: bool = setting(
        "Wait for the whole content of requests up to max_body and hold it, so that it can be sent again. Without, "
        "only content that comes along with the request's head can.",
        default=False,
    )
    retry_budget: BudgetConfig | None = setting(
        "How many retries a service gets. None: any number, which can finish off a service that is overloaded.",
        factory=BudgetConfig,
    )
    attempt_header: str | None = setting(
        "A header that tells the service which attempt a request is, from 1, such as X-Spork-Attempt-Count. None: no "
        "header.",
        default=None,
        validator=_header,
    )
