"""The laws that every plugin keeps."""

from spork_core.testing import contract_suite

TestContract = contract_suite("metrics", config={"consumers": 5, "max_series": 500})
