"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite(
    "retry",
    config={
        "retry_on": ["connect-failure", "reset", "timeout", "5xx"],
        "hold_bodies": True,
        "attempt_header": "X-Attempt",
    },
)
