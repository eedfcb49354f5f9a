"""Routing: which route takes a request, why, and what is sent on."""

from spork_core.routing.explain import Candidate
from spork_core.routing.paths import REFUSED_ESCAPES, normalise_host, normalise_path
from spork_core.routing.rewrite import Rewrite, capture_names, compile_rewrite
from spork_core.routing.router import Router, compile_routes
from spork_core.routing.rule import Rule
from spork_core.routing.table import HeaderLookup, Match

__all__ = [
    "REFUSED_ESCAPES",
    "Candidate",
    "HeaderLookup",
    "Match",
    "Rewrite",
    "Router",
    "Rule",
    "capture_names",
    "compile_rewrite",
    "compile_routes",
    "normalise_host",
    "normalise_path",
]
