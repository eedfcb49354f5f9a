"""What is kept of a sampled exchange while it runs: ids, and nothing else; the spans are made when it has ended."""

from typing import Final

from spork_core.api import StateKey
from spork_tracing.context import Parent


class Recording:
    """The ids of one exchange's spans, as hex digits."""

    __slots__ = ("attempts", "flags", "linked", "over", "parent", "span_id", "state", "trace_id")

    def __init__(
        self, trace_id: str, span_id: str, flags: int, parent: Parent | None, linked: Parent | None, state: str
    ) -> None:
        self.trace_id = trace_id
        self.span_id = span_id
        """Of the SERVER span."""
        self.flags = flags
        self.parent = parent
        """The span that the trace is continued from; None: it begins here."""
        self.linked = linked
        """A trace that is not continued because its sender is not trusted; None: there is none."""
        self.state = state
        """The value of ``tracestate``; "" when there is none."""
        self.attempts: dict[int, str] = {}
        """Of the CLIENT spans, by the attempt's number."""
        self.over = False
        """True once the spans are made."""


RECORDING: Final[StateKey[Recording]] = StateKey("tracing-recording")
