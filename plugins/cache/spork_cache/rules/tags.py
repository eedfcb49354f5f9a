"""Tags that a purge finds stored responses by: ``Surrogate-Key`` (words) and ``Cache-Tag`` (a list)."""

from typing import Final

from multidict import istr

from spork_core.api import Headers

_SURROGATE_KEY: Final = istr("Surrogate-Key")
_CACHE_TAG: Final = istr("Cache-Tag")
_LONGEST: Final = 256
"""Characters of one tag."""


def tags(headers: Headers, most: int) -> tuple[str, ...] | None:
    """The tags of a response, sorted, each once, case kept; None when there are more than ``most``, or one is longer
    than 256 characters."""
    words = headers.getall(_SURROGATE_KEY, None)
    listed = headers.getall(_CACHE_TAG, None)
    if words is None and listed is None:
        return ()
    found = {word for value in words or () for word in value.split()}
    found.update(member for value in listed or () for member in map(str.strip, value.split(",")) if member)
    if len(found) > most or any(len(tag) > _LONGEST for tag in found):
        return None
    return tuple(sorted(found))
