"""What the config refuses, and what it says to do instead."""

from typing import Any

import pytest
from spork_circuit_breaker import CircuitBreakerConfig, Fallback


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"consecutive_failures": 0}, "write 1 to 100000"),
        ({"failure_ratio": 0.0}, "write a number above 0"),
        ({"failure_ratio": 1.5}, "write a number above 0"),
        ({"slow": 0.0}, "write a duration"),
        ({"consecutive_failures": None, "failure_ratio": None}, "or write enabled: false"),
        ({"statuses": ("6x",)}, "write it like 503, 5xx or 500-599"),
        ({"statuses": ("599-500",)}, 'write "500-599"'),
        ({"window": 0.5}, 'write a duration from "1s" to "1h"'),
        ({"window_calls": 10}, "write at most 10"),
        ({"open_for": 0.0}, "write a duration"),
        ({"open_for": 400.0}, "write a longer duration"),
        ({"jitter": 2.0}, "write a number from 0 to 1"),
        ({"probes": 0}, "write 1 to 100000"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        CircuitBreakerConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"status": 600}, "write 200 to 599"),
        ({"status": 204, "body": "x"}, "leave body out"),
        ({"content_type": ""}, 'write one such as "application/json"'),
        ({"headers": {"X Y": "1"}}, "use letters, digits and hyphens"),
        ({"headers": {"Content-Length": "1"}}, "leave it out"),
        ({"headers": {"X-A": "1", "x-a": "2"}}, "keep one"),
        ({"headers": {"X-A": "1\r\nX-B: 2"}}, "write it on one line"),
    ],
)
def test_a_fallback_that_makes_no_sense_is_refused_with_a_remedy(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        Fallback(**settings)
