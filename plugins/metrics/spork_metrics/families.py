"""The table of what this plugin counts by itself: names, kinds, labels and meanings. Docs are checked against it."""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from attrs import frozen

PREFIX: Final = "spork_"
OTHER: Final = "other"
"""The value of every label of what is counted beyond the budget of series."""

METHODS: Final = frozenset("GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT".split())
"""Methods that are counted by name (RFC 9110 section 9, RFC 5789); any other is ``OTHER``."""
OTHER_METHOD: Final = "OTHER"
SOURCES: Final = frozenset(("client", "plugin", "upstream", "gateway"))

Kind = Literal["counter", "gauge", "histogram"]


@frozen(eq=False)
class Family:
    """One metric: ``name`` without prefix and ``_total``."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def exported(self) -> str:
        """Its name in PromQL; of a histogram what its three series begin with."""
        return f"{PREFIX}{self.name}{'_total' if self.kind == 'counter' else ''}"


REQUESTS: Final = Family(
    "http_requests",
    "counter",
    "Exchanges that have ended, by route, method, status (499: the client left before there was one) and whose answer.",
    ("route", "service", "method", "code", "source"),
)
DURATION: Final = Family(
    "http_request_duration_seconds",
    "histogram",
    "Time from the request head to the last byte of the answer, or to the abort.",
    ("route", "service", "code_class"),
)
RECEIVED: Final = Family(
    "http_request_body_bytes", "counter", "Content received from clients, without heads.", ("route", "service")
)
SENT: Final = Family("http_response_body_bytes", "counter", "Content sent to clients.", ("route", "service"))
INCOMPLETE: Final = Family(
    "http_responses_incomplete",
    "counter",
    "Answers that were not handed over whole, because the client left or the upstream broke off.",
    ("route", "service"),
)
PROBLEMS: Final = Family(
    "problems",
    "counter",
    "Exchanges that ran into a problem, by its code, also where a plugin made an answer of it.",
    ("route", "service", "problem"),
)
ATTEMPTS: Final = Family(
    "upstream_attempts",
    "counter",
    "Tries to get an answer from an endpoint, by status or by the code of the problem.",
    ("service", "endpoint", "result"),
)
UPSTREAM: Final = Family(
    "upstream_request_duration_seconds",
    "histogram",
    "Time that a try took to the response head, or to its failure.",
    ("service", "endpoint"),
)
RETRIES: Final = Family(
    "upstream_retries",
    "counter",
    "Tries after the first of an exchange, by what became of the one before.",
    ("service", "reason"),
)
CONSUMERS: Final = Family(
    "consumer_requests",
    "counter",
    "Exchanges of callers that are known, by caller; only with the setting consumers.",
    ("consumer", "code_class"),
)
LAG: Final = Family(
    "event_loop_lag_seconds",
    "histogram",
    "How late the event loop was when it was to do something, looked at once a second.",
)
SERIES: Final = Family("metrics_series", "gauge", "Series that exchanges have made; max_series bounds them.")
OVERFLOW: Final = Family(
    "metrics_series_overflow",
    "counter",
    "What was counted under the label value other, because max_series left no room for a new series.",
)

OWN: Final = (
    REQUESTS,
    DURATION,
    RECEIVED,
    SENT,
    INCOMPLETE,
    PROBLEMS,
    ATTEMPTS,
    UPSTREAM,
    RETRIES,
    CONSUMERS,
    LAG,
    SERIES,
    OVERFLOW,
)


def code_class(code: str) -> str:
    """``404`` → ``4xx``; ``other`` stays."""
    return f"{code[0]}xx" if code[:1].isdigit() else code


_DURATION_LABELS: Final[dict[str, Callable[[Sequence[str]], str]]] = {
    "method": lambda labels: labels[2],
    "code_class": lambda labels: code_class(labels[3]),
    "source": lambda labels: labels[4],
}


def duration_labels(chosen: Sequence[str], labels: Sequence[str]) -> tuple[str, ...]:
    """The label values of DURATION for those of REQUESTS, with the labels that the config has ``chosen``."""
    return (*labels[:2], *(_DURATION_LABELS[name](labels) for name in chosen))
