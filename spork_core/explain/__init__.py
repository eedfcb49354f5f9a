"""Explanations: what becomes of a request, foretold from the compiled config or told of a real one.

Both are the same ``model.Explanation``. ``forecast`` makes one without sending anything; ``explaining`` makes one of a
real request that brings a token (``tokens``), from what ``trace`` noted while it ran.
"""
