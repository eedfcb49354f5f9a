"""The ``Cache-Status`` field (RFC 9211): what this cache did with a request."""

import re
from typing import Final

from multidict import istr

from spork_core.api import Headers

CACHE_STATUS: Final = istr("Cache-Status")
_SF_TOKEN: Final = re.compile(r"[A-Za-z*][!#$%&'*+.^_`|~0-9A-Za-z:/-]*")
_NOT_PRINTABLE: Final = re.compile(r"[^\x20-\x7e]")


def name_item(name: str) -> str:
    """The name of a cache as a Structured Fields token, or as a string when it is none; to be written once, at load."""
    return _bare(name)


def hit(name: str, ttl: int) -> str:
    """The member for an answer from the store. ``name``: from ``name_item``. ``ttl``: seconds it stays fresh; negative
    when stale."""
    return f"{name}; hit; ttl={ttl}"


def forward(
    name: str,
    fwd: str,
    *,
    status: int | None = None,
    stored: bool = False,
    collapsed: bool = False,
    ttl: int | None = None,
    detail: str = "",
) -> str:
    """The member for a request that went to the upstream, for the reason ``fwd`` (RFC 9211 section 2.2); "" when none
    went (an error of our own). ``status``: the upstream's. ``stored``: its answer is kept. ``collapsed``: it
    shared another request's."""
    parts = [name]
    if fwd:
        parts.append(f"fwd={fwd}")
    if status is not None:
        parts.append(f"fwd-status={status}")
    if ttl is not None:
        parts.append(f"ttl={ttl}")
    if stored:
        parts.append("stored")
    if collapsed:
        parts.append("collapsed")
    if detail:
        parts.append(f"detail={_bare(detail)}")
    return "; ".join(parts)


def append(headers: Headers, item: str) -> None:
    """Puts ``item`` after the members of caches nearer to the origin (RFC 9211 section 2)."""
    before = headers.getall(CACHE_STATUS, None)
    headers[CACHE_STATUS] = item if before is None else f"{', '.join(before)}, {item}"


def _bare(text: str) -> str:
    if _SF_TOKEN.fullmatch(text):
        return text
    escaped = _NOT_PRINTABLE.sub("?", text).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
