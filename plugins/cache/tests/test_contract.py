"""The contract: every law of the kit that applies. The kit's services say no lifetime, so the config does."""

from spork_core.testing import Effort, contract_suite

SMALL = {"max_size": "256KiB", "max_entry": "16KiB", "lifetimes": {200: "10s", 404: "1s"}, "stale_if_error": "1m"}
SHARED = {**SMALL, "store": "shared", "stale_while_revalidate": "1m"}

TestContract = contract_suite("cache", config=SMALL)
TestContractOfShared = contract_suite("cache", config=SHARED, effort=Effort(exchanges=1000, examples=10))
