"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite(
    "circuit-breaker",
    config={"consecutive_failures": 2, "fallback": {"status": 200, "body": "[]", "headers": {"X-Fallback": "yes"}}},
)
