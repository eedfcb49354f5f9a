"""Entity tags (RFC 9110 section 8.8.3): read, listed and compared."""

import re
from typing import Final

from multidict import istr

from spork_core.api import Headers

ETAG: Final = istr("ETag")
_TAG: Final = re.compile('(?:W/)?"[^\x00-\x20"\x7f]*"')


def etag_of(headers: Headers) -> str | None:
    """The entity tag as sent; None when it is missing, repeated or malformed."""
    values = headers.getall(ETAG, ())
    if len(values) != 1:
        return None
    value = values[0].strip(" \t")
    return value if _TAG.fullmatch(value) else None


def opaque(tag: str) -> str:
    """``tag`` without its mark of weakness: two that are equal so match by the weak comparison."""
    return tag.removeprefix("W/")


def is_strong(tag: str) -> bool:
    """Whether ``tag`` can match by the strong comparison."""
    return not tag.startswith("W/")


def listed_tags(text: str) -> frozenset[str]:
    """The opaque parts of all entity tags in a list; commas may stand inside a tag."""
    return frozenset(map(opaque, _TAG.findall(text)))
