"""What a client that asks for the page can read."""

import re
from collections.abc import Iterable
from typing import Final

from attrs import frozen

_ACCEPTS: Final = 1000
"""Characters of Accept that are looked at."""
_REST: Final = r"(;(?!q=0(\.0*)?(;|$)|version=)[^;]*)*"
_FORMATS: Final = (
    (
        re.compile(rf"application/openmetrics-text(;version=(0\.0\.1|1\.0\.0))?{_REST}"),
        "application/openmetrics-text; version=1.0.0",
    ),
    (re.compile(rf"text/plain;version=1\.0\.0{_REST}"), "text/plain; version=1.0.0"),
    (re.compile(rf"text/plain(;version=0\.0\.4)?{_REST}"), ""),
)
"""What prometheus-client writes, by what clients ask for."""
_GZIP: Final = re.compile(rf"gzip{_REST}")


@frozen
class Format:
    """What a client reads: ``accept``, one of the formats there are ("": the oldest), and ``zipped``: with gzip."""

    accept: str
    zipped: bool

    @classmethod
    def of(cls, accept: Iterable[str], encoding: Iterable[str]) -> "Format":
        """From the values of Accept and Accept-Encoding: the first format that is known, whatever else they say."""
        items = [item.replace(" ", "").lower() for item in ",".join(accept)[:_ACCEPTS].split(",")]
        found = next((known for item in items for pattern, known in _FORMATS if pattern.fullmatch(item)), "")
        return cls(found, any(map(_GZIP.fullmatch, ",".join(encoding)[:_ACCEPTS].replace(" ", "").lower().split(","))))
