"""What the config refuses, and what it says to do instead."""

from typing import Any

import pytest
from spork_retry import BudgetConfig, RetryConfig


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"retries": 0}, "write 1 to 9"),
        ({"retries": 10}, "write 1 to 9"),
        ({"retry_on": ()}, "write one, or enabled: false"),
        ({"statuses": (404,)}, "write statuses from 500 to 599"),
        ({"statuses": ()}, "write one, such as 503"),
        ({"methods": ("POST",)}, "write some of DELETE, GET"),
        ({"methods": ("get",)}, "write some of DELETE, GET"),
        ({"backoff": 0.0}, "write a duration"),
        ({"backoff": 1.0}, "write a longer duration"),
        ({"per_try_timeout": 0.0}, "write a duration"),
        ({"max_body": 3 * 1024 * 1024}, "write at most 2MiB"),
        ({"attempt_header": "X Attempt"}, "use letters, digits and hyphens"),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        RetryConfig(**settings)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ({"ratio": 1.1}, "write a number from 0 to 1"),
        ({"minimum": -1}, "write 0 or more"),
        ({"window": 0.1}, 'write a duration from "1s" to "1h"'),
    ],
)
def test_a_budget_that_makes_no_sense_is_refused_with_a_remedy(settings: dict[str, Any], remedy: str) -> None:
    with pytest.raises(ValueError, match=remedy):
        BudgetConfig(**settings)
