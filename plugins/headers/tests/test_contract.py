"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite(
    "headers",
    config={
        "request": {"remove": ["X-Internal-*"], "set": {"X-Caller": "{identity.subject}", "X-Path": "{request.path}"}},
        "response": {"rename": {"X-Runtime": "X-Service-Runtime"}, "add": {"Vary": "Origin"}},
    },
)
