"""An answer that is sent many times: looked through once, so that each time is cheap."""

from typing import Final

from spork_core.body import Body
from spork_core.exchange import Response
from spork_core.headers import HeaderInjection, Headers, head_bytes, keep_ordinary, version_of

_NEW: Final = object.__new__


class Prepared:
    """Makes the same Response again and again: 0.7 µs each, where ``Response(…)`` takes 2 and its head as much again.
    For an answer to GET, with content.

    ``headers``: taken as they are, not to be changed any more; each Response gets a copy, which hooks may change.
    ``body``: shared by all, so one that is ``replayable``. ``via``: the answer came from an upstream at some time, and
    says so in ``Via``.
    """

    __slots__ = ("_body", "_headers", "_raw", "_raw_of", "_reason", "_status", "_version")

    def __init__(self, status: int, reason: str, headers: Headers, body: Body, *, via: bool = False) -> None:
        keep_ordinary(headers)
        self._status = status
        self._reason = reason
        self._headers = headers
        self._body = body
        self._version = 11 if via else None
        self._raw = b""
        """The head; b"" when it cannot be sent: then the one that is sent fails as any other would."""
        self._raw_of = (status, reason, body)
        length = "" if body.length is None else f"Content-Length: {body.length}\r\n"
        try:
            head = head_bytes(f"HTTP/1.1 {status} {reason}", headers, length)
        except HeaderInjection:
            return
        if length:
            self._raw = head

    def response(self) -> Response:
        """One more."""
        made: Response = _NEW(Response)  # not through its conversions: 1.3 µs saved
        made.status = self._status
        made.reason = self._reason
        made.headers = headers = self._headers.copy()
        made.source = None
        made.version = self._version
        made.unchanged = version_of(headers) if self._raw else -1
        made.raw = self._raw
        made.body = self._body
        made.raw_of = self._raw_of
        return made
