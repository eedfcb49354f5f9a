"""Spork: an API gateway whose plugins are Python."""

__version__ = "0.1.0"
