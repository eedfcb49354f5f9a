"""What every test of the repository gets: a Hypothesis profile, and no blocking call of ours inside an event loop."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from spork_core.testing.unblocked import unblocked

# A shared machine may pause for longer than any deadline of a millisecond; pytest-timeout catches what hangs.
settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("default"), max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session", autouse=True)
def no_blocking_calls() -> Iterator[None]:
    """A call of the kernel that blocks a running loop (file, socket, lock, sleep) raises BlockingError. The kit is no
    part of it: its laws run Hypothesis, which reads files, beside loops of their own."""
    with unblocked("spork_core", leaving_out=["spork_core.testing"]):
        yield
