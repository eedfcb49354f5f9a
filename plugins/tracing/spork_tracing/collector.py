"""The way to the collector: what it took, what it did not, and what is wrong with it. All of it runs in the sending
thread."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import requests
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

PARTING: Final = 2.0
"""Seconds that sending a batch may take once the gateway shuts down."""

Tell = Callable[[str | None], object]
"""Called in the sending thread when the collector's state changes: with what is wrong, or None when it works again."""


class Unreachable(Exception):
    """Stands for a connection error where trying again has no point, since the gateway shuts down."""


class Session(requests.Session):
    """The exporter's HTTP session. Notes what goes wrong, and hurries once the gateway shuts down."""

    def __init__(self) -> None:
        super().__init__()
        self.problem = ""
        """What went wrong last; "" when nothing has."""
        self.failing = False
        """True when the last request failed."""
        self.parting = False
        """Set when the gateway shuts down."""

    def request(self, *given: Any, **named: Any) -> requests.Response:
        """As the parent's. Raises Unreachable in place of a RequestException once the gateway shuts down."""
        if self.parting:
            named["timeout"] = min(named.get("timeout") or PARTING, PARTING)
        try:
            response = super().request(*given, **named)
        except requests.RequestException as error:
            self.failing = True
            self.problem = f"the collector cannot be reached: {reason_of(error)}"
            if self.parting:
                raise Unreachable from error
            raise
        self.failing = response.status_code >= 400
        if self.failing:
            self.problem = f"the collector answers {response.status_code} {response.reason}"
        return response


class Counting(SpanExporter):
    """Counts what ``inner`` sends, and tells when that stops or begins to work. ``session``: where the reason stands;
    None: nowhere."""

    def __init__(self, inner: SpanExporter, session: Session | None, tell: Tell) -> None:
        self._inner = inner
        self._session = session
        self._tell = tell
        self.taken = 0
        """Spans that came out of the queue."""
        self.exported = 0
        """Spans that the collector took."""
        self.lost = 0
        """Spans that it did not take."""
        self.problem: str | None = None
        """What is wrong with it; None: nothing that is known of."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch; never raises, so that one bad batch is not the end of the thread."""
        self.taken += len(spans)
        problem: str | None = None
        result = SpanExportResult.FAILURE
        try:
            result = self._inner.export(spans)
            if result is not SpanExportResult.SUCCESS:
                problem = (self._session.problem if self._session is not None else "") or "spans could not be sent"
        except Exception as error:
            problem = f"spans could not be sent: {reason_of(error)}"
        if problem is None:
            self.exported += len(spans)
        else:
            self.lost += len(spans)
        changed = (problem is None) is not (self.problem is None)
        self.problem = problem
        if changed:
            self._tell(problem)
        return result

    def shutdown(self) -> None:
        """Ends the connection, and the wait for another try."""
        self._inner.shutdown()


def reason_of(error: BaseException) -> str:
    """What the operating system says, where it said something: what is around that repeats the URL and the pool."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and not isinstance(found, requests.RequestException):
            return found.strerror or str(found)
        found = found.__cause__ or found.__context__
    return str(error) or type(error).__name__
