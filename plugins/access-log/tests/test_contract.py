"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite("access-log", config={"path": "/dev/null", "query": "all", "sample": 0.5})
