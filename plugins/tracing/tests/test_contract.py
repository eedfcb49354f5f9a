"""The contract: every law of the kit that applies to this plugin."""

from spork_core.testing import contract_suite

TestContract = contract_suite(
    "tracing",
    config={
        "exporter": "otlp",
        "endpoint": "http://127.0.0.1:9",
        "headers": {"authorization": "Bearer k3y"},
        "sample": 1,
        "trust": "always",
        "plugin_spans": True,
        "query": "all",
    },
    headers={"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "tracestate": "a=b"},
)
