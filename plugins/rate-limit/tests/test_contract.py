"""The contract: every law of the kit, for a limit that lets most through, for one that refuses most, by identity."""

import jwt

from spork_core.testing import Effort, contract_suite

SECRET = "n0t-a-secret-but-48-bytes-long-for-the-contract!"
TOKEN = jwt.encode({"sub": "ann", "exp": 4_000_000_000, "roles": ["gold"]}, SECRET, "HS256")
LESS = Effort(exchanges=1000, examples=10)

TestContract = contract_suite(
    "rate-limit",
    config={
        "limit": ["1000/s", "50000/minute"],
        "by": ["address", "header:X-Tenant"],
        "headers": "both",
        "max_keys": 200,
    },
)

TestFewPass = contract_suite(
    "rate-limit", config={"limit": "3/hour", "algorithm": "gcra", "burst": 2, "max_keys": 100}, effort=LESS
)

TestByIdentity = contract_suite(
    "rate-limit",
    config={
        "limit": "60/minute",
        "by": "identity",
        "tiers": {"by": "roles", "limits": {"gold": "600/minute"}},
        "max_keys": 100,
    },
    others={"jwt": {"secret": SECRET, "algorithms": ["HS256"]}},
    headers={"Authorization": f"Bearer {TOKEN}"},
    effort=LESS,
)
