"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite(
    "cors",
    config={
        "allow_origins": ["https://app.example.com", "https://*.example.org"],
        "allow_headers": ["content-type"],
        "expose_headers": ["x-total"],
        "allow_credentials": True,
        "private_network": True,
    },
    headers={"Origin": "https://app.example.com"},
)
