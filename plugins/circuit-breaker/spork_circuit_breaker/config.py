"""The config classes: what opens a circuit, how it closes again, and what clients are told meanwhile."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from attrs import frozen

from spork_circuit_breaker.circuit import Policy
from spork_core.api import FIELD_VALUE, TOKEN, Seconds, setting, statuses_of

if TYPE_CHECKING:
    from attrs import Attribute

_FRAMING: Final = frozenset(
    "connection content-length content-type keep-alive proxy-connection te trailer transfer-encoding upgrade".split()
)
_NO_CONTENT: Final = (204, 205, 304)
_MOST_CALLS: Final = 100_000
_NS: Final = 1e9


def _statuses(_: object, _field: "Attribute[tuple[int | str, ...]]", written: tuple[int | str, ...]) -> None:
    statuses_of(written, "503, 5xx or 500-599")


def _count(_: object, field: "Attribute[Any]", count: int | None) -> None:
    if count is not None and not 1 <= count <= _MOST_CALLS:
        raise ValueError(f"{count} is not a number of calls that {field.name} can be; write 1 to {_MOST_CALLS}")


def _share(_: object, _field: "Attribute[float | None]", share: float | None) -> None:
    if share is not None and not 0 < share <= 1:
        raise ValueError(f"{share:g} is not a share of calls; write a number above 0 and up to 1, such as 0.5")


def _jitter(_: object, _field: "Attribute[float]", share: float) -> None:
    if not 0 <= share <= 1:
        raise ValueError(f"{share:g} is not a share of a time; write a number from 0 to 1, such as 0.2")


def _some_time(_: object, _field: "Attribute[float]", seconds: float) -> None:
    if seconds <= 0:
        raise ValueError('it must take some time; write a duration such as "1s"')


def _window(_: object, _field: "Attribute[float]", seconds: float) -> None:
    if not 1 <= seconds <= 3600:
        raise ValueError('it is too short or too long to count in; write a duration from "1s" to "1h"')


def _min_calls(config: "CircuitBreakerConfig", field: "Attribute[int]", count: int) -> None:
    _count(config, field, count)
    if config.window_calls is not None and count > config.window_calls:
        raise ValueError(
            f"a window of {config.window_calls} calls never has {count}; write at most {config.window_calls}"
        )


def _max_open_for(config: "CircuitBreakerConfig", _field: "Attribute[float]", seconds: float) -> None:
    if seconds < config.open_for:
        raise ValueError("it is less than open_for, where it begins; write a longer duration")


def _some_reason(config: "CircuitBreakerConfig", _field: "Attribute[float | None]", _share: object) -> None:
    if config.consecutive_failures is None and config.failure_ratio is None and config.slow_ratio is None:
        raise ValueError(
            "nothing opens a circuit; give consecutive_failures, failure_ratio or slow_ratio a value, or write "
            "enabled: false"
        )


def _headers(_: object, _field: "Attribute[dict[str, str]]", headers: Mapping[str, str]) -> None:
    seen: dict[str, str] = {}
    for name, value in headers.items():
        if not TOKEN.fullmatch(name):
            raise ValueError(f'"{name}" is not a header name; use letters, digits and hyphens')
        if name.lower() in _FRAMING:
            raise ValueError(f'"{name}" belongs to the message itself; leave it out (content_type is a setting)')
        if other := seen.get(name.lower()):
            raise ValueError(f'"{other}" and "{name}" are the same field; keep one')
        seen[name.lower()] = name
        if not FIELD_VALUE.fullmatch(value):
            raise ValueError(f'the value of "{name}" holds a control character; write it on one line')


def _content_type(_: object, _field: "Attribute[str]", value: str) -> None:
    if not value.strip() or not FIELD_VALUE.fullmatch(value):
        raise ValueError('it is not a media type; write one such as "application/json"')


def _status(_: object, _field: "Attribute[int]", status: int) -> None:
    if not 200 <= status <= 599:
        raise ValueError(f"{status} is not the status of an answer; write 200 to 599")


def _body(fallback: "Fallback", _field: "Attribute[str]", body: str) -> None:
    if body and fallback.status in _NO_CONTENT:
        raise ValueError(f"an answer {fallback.status} has no content; leave body out")


@frozen
class Fallback:
    """What clients are answered in place of the problem."""

    status: int = setting("Its status.", default=503, validator=_status)
    body: str = setting("Its content.", default="", validator=_body)
    content_type: str = setting("What the content is.", default="application/json", validator=_content_type)
    headers: dict[str, str] = setting("Further fields.", factory=dict, validator=_headers)


@frozen
class CircuitBreakerConfig:
    """When a circuit opens, for how long, and how it closes."""

    scope: Literal["both", "service", "endpoint"] = setting(
        "What has a circuit: each service, which refuses requests while it is open; each endpoint of one, which others "
        "take the place of while it is open; or both.",
        default="both",
    )
    consecutive_failures: int | None = setting(
        "So many failures in a row open a circuit. None: they do not.", default=5, validator=_count
    )
    failure_ratio: float | None = setting(
        "So large a share of failures among the calls of the window opens a circuit. None: it does not.",
        default=0.5,
        validator=_share,
    )
    slow: Seconds = setting(
        "A call is slow when the head of its answer took so long.", default=5.0, validator=_some_time
    )
    slow_ratio: float | None = setting(
        "So large a share of slow calls opens a circuit. None: it does not.",
        default=None,
        validator=[_share, _some_reason],
    )
    statuses: tuple[int | str, ...] = setting(
        "Answers that are failures, such as 503, 5xx or 500-599.", default=("5xx",), validator=_statuses
    )
    window: Seconds = setting("The ratios are those of the calls of so long a time …", default=10.0, validator=_window)
    window_calls: int | None = setting(
        "… or of the last so many calls. None: of the time.", default=None, validator=_count
    )
    min_calls: int = setting("With fewer calls in the window the ratios say nothing.", default=20, validator=_min_calls)
    open_for: Seconds = setting(
        "How long a circuit stays open the first time; twice as long each time it opens again.",
        default=1.0,
        validator=_some_time,
    )
    max_open_for: Seconds = setting("The longest that it stays open.", default=300.0, validator=_max_open_for)
    jitter: float = setting(
        "Chance takes up to this share off the time, so that several gateways do not try at once.",
        default=0.2,
        validator=_jitter,
    )
    calm: Seconds = setting(
        "After so long a time closed, the next opening is a first one again.", default=60.0, validator=_some_time
    )
    probes: int = setting("So many requests at once are let in to try whether it works.", default=3, validator=_count)
    successes: int = setting(
        "So many of them must go well; one that fails opens it again.", default=3, validator=_count
    )
    ramp: Seconds = setting(
        "How long the share of requests let in then grows, up to all of them. 0s: all at once.", default=10.0
    )
    all_open: Literal["use", "refuse"] = setting(
        "When the circuits of all endpoints of a service are open: use the endpoints all the same, and leave it to the "
        "service's circuit to refuse, or refuse.",
        default="use",
    )
    fallback: Fallback | None = setting(
        "What clients are answered while a circuit is open. None: a problem, 503, with Retry-After.", default=None
    )

    def policy(self) -> Policy:
        """The same for a circuit."""
        return Policy(
            failures=self.consecutive_failures,
            failure_ratio=self.failure_ratio,
            slow_ratio=self.slow_ratio,
            min_calls=self.min_calls,
            window=self.window,
            window_calls=self.window_calls,
            open_for=round(self.open_for * _NS),
            max_open_for=round(self.max_open_for * _NS),
            jitter=self.jitter,
            calm=round(self.calm * _NS),
            probes=self.probes,
            successes=self.successes,
            ramp=round(self.ramp * _NS),
        )
