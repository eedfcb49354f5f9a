"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite("security-headers", config={"preset": "api", "modes": {"Referrer-Policy": "override"}})
