"""A stored response as bytes for a Store, and back: what was cut short, mixed up or written by another version is a
miss.

``magic version | crc32 of what follows | length of head | length of body | head (JSON) | body``, integers big-endian.
"""

import json
import struct
from math import isfinite
from typing import Any, Final
from zlib import crc32

from multidict import istr

from spork_cache.rules.model import Stored
from spork_core.api import FIELD_VALUE, TOKEN, Headers

_PREFIX: Final = struct.Struct(">4sIIQ")
_MAGIC: Final = b"SpC\x01"
"""The last byte counts versions: raise it whenever the head changes."""
_CHECKED_FROM: Final = 8


def dump(stored: Stored, key: str, body: bytes) -> bytes:
    """``stored`` and its body in one value. ``key``: the full key it is stored for, which ``load`` compares."""
    head = json.dumps(
        {
            "key": key,
            "status": stored.status,
            "reason": stored.reason,
            "headers": list(map(list, stored.headers.items())),
            "moments": (
                stored.received_at,
                stored.born,
                stored.fresh_until,
                stored.stale_while_revalidate_until,
                stored.stale_if_error_until,
            ),
            "flags": (stored.must_revalidate, stored.no_cache, stored.shareable),
            "etag": stored.etag,
            "last_modified": stored.last_modified,
            "vary": stored.vary,
            "vary_key": stored.vary_key,
            "tags": stored.tags,
        },
        separators=(",", ":"),
    ).encode("ascii")  # bytes that are not UTF-8, surrogates in our text, are escaped
    lengths = _PREFIX.pack(_MAGIC, 0, len(head), len(body))[_CHECKED_FROM:]
    check = crc32(body, crc32(head, crc32(lengths)))
    return b"".join((_MAGIC, check.to_bytes(4, "big"), lengths, head, body))


def load(data: bytes, key: str) -> tuple[Stored, bytes] | str:
    """What ``dump`` wrote for ``key``, or why it cannot be used: ``store-version``, ``store-truncated``,
    ``store-corrupt``, ``store-foreign``. Never raises."""
    if len(data) < _PREFIX.size or data[:3] != _MAGIC[:3]:
        return "store-corrupt" if len(data) >= _PREFIX.size else "store-truncated"
    magic, check, head_length, body_length = _PREFIX.unpack_from(data)
    if magic != _MAGIC:
        return "store-version"
    body_at = _PREFIX.size + head_length
    if len(data) != body_at + body_length:
        return "store-truncated" if len(data) < body_at + body_length else "store-corrupt"
    if crc32(memoryview(data)[_CHECKED_FROM:]) != check:
        return "store-corrupt"
    try:
        head = json.loads(data[_PREFIX.size : body_at])
        if head["key"] != key:
            return "store-foreign"
        return _stored(head), data[body_at:]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return "store-corrupt"


def _stored(head: dict[str, Any]) -> Stored:
    """Raises ValueError, KeyError or TypeError for what ``dump`` never writes."""
    status, vary, tags, modified = head["status"], head["vary"], head["tags"], head["last_modified"]
    headers = Headers()
    for name, value in head["headers"]:
        if not TOKEN.fullmatch(name) or not FIELD_VALUE.fullmatch(value):
            raise ValueError(name)
        headers.add(name, value)
    received_at, born, fresh_until, revalidate_until, error_until = map(_moment, head["moments"])
    must_revalidate, no_cache, shareable = map(_flag, head["flags"])
    if type(status) is not int or not 200 <= status <= 599:
        raise ValueError(status)
    return Stored(
        status=status,
        reason=_text(head["reason"]),
        headers=headers,
        received_at=received_at,
        born=born,
        fresh_until=fresh_until,
        stale_while_revalidate_until=revalidate_until,
        stale_if_error_until=error_until,
        must_revalidate=must_revalidate,
        no_cache=no_cache,
        shareable=shareable,
        etag=None if head["etag"] is None else _text(head["etag"]),
        last_modified=None if modified is None else _moment(modified),
        vary=tuple(istr(_text(name)) for name in vary),
        vary_key=_text(head["vary_key"]),
        tags=tuple(_text(tag) for tag in tags),
    )


def _moment(value: object) -> float:
    if not isinstance(value, int | float) or not isfinite(value):
        raise ValueError(value)
    return float(value)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    return value
