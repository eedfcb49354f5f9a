"""Fixtures of the rules' tests: a moment to start from, and short ways to store a response and to ask for one."""

from collections.abc import Callable
from typing import Any

import pytest
from spork_cache.rules import Policy, Stored, store_rule
from spork_cache.rules.dates import format_date

from spork_core.api import Headers

NOON = 1_800_000_000.0
"""When every response of these tests is received; a whole second."""


@pytest.fixture(scope="session")
def noon() -> float:
    return NOON


@pytest.fixture(scope="session")
def date() -> Callable[[float], str]:
    """The HTTP date of a moment relative to noon."""
    return lambda seconds: format_date(NOON + seconds)


@pytest.fixture(scope="session")
def store() -> Callable[..., Stored | str]:
    """Stores an answer with these fields, received at noon: what was kept, or the reason why nothing was."""

    def run(fields: Any = (), *, request: Any = (), status: int = 200, method: str = "GET", **options: Any) -> Any:
        options = {"policy": Policy(), "requested_at": NOON, "received_at": NOON, **options}
        return store_rule(method, Headers(request), status, "OK", Headers(fields), **options)

    return run


@pytest.fixture(scope="session")
def stored(store: Callable[..., Any]) -> Callable[..., Stored]:
    """Stores as ``store`` does and insists that it was."""

    def run(cache_control: str = "max-age=60", fields: Any = (), **options: Any) -> Stored:
        both = Headers(fields)
        both.add("Cache-Control", cache_control)
        kept = store(both, **options)
        assert isinstance(kept, Stored), kept
        return kept

    return run
