"""Every call of a hook that a gateway made, in order, as lines that a test can compare."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Self

from spork_core.attribution import Called
from spork_core.exchange import Endpoint, Exchange, Identity, Response

_LONGEST: Final = 60
"""Characters of an answer that has no short form of its own."""


def line(call: Called) -> str:
    """One call in a line: ``jwt.authenticate → Identity(ann)``, ``limit.on_request → raised TooManyRequests``."""
    return f"{call.instance}.{call.hook} → {_outcome(call)}"


def _outcome(call: Called) -> str:
    if call.held:
        return "held"
    if call.error is not None:
        return f"raised {type(call.error).__name__}"
    answer = call.answer
    if isinstance(answer, Response):
        return f"Response({answer.status})"
    if isinstance(answer, Identity):
        return f"Identity({answer.subject})"
    if isinstance(answer, Endpoint):
        return f"Endpoint({answer.url})"
    text = repr(answer)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


class Transcript:
    """The calls of hooks so far, in the order in which they ended."""

    def __init__(self, calls: Iterable[Called] = (), context: Callable[[], str] | None = None) -> None:
        self.calls: list[Called] = list(calls)
        self.context = context
        """Gives what a failing assertion shows besides the lines; None: nothing."""

    def __call__(self, call: Called) -> None:
        """Takes down a call; this is the gateway's observer."""
        self.calls.append(call)

    def __iter__(self) -> Iterator[Called]:
        return iter(self.calls)

    def __len__(self) -> int:
        return len(self.calls)

    def __repr__(self) -> str:
        return f"<Transcript {len(self)} calls>"

    def __str__(self) -> str:
        return "\n".join(self.lines) or "(no hook was called)"

    @property
    def lines(self) -> list[str]:
        """Each call in a line."""
        return [line(call) for call in self.calls]

    def of(
        self, instance: str | None = None, hook: str | None = None, exchange: Exchange | None = None
    ) -> "Transcript":
        """Only the calls of an instance, of a hook or of an exchange. None: of any."""
        return Transcript(
            (
                call
                for call in self.calls
                if instance in (None, call.instance) and hook in (None, call.hook) and exchange in (None, call.exchange)
            ),
            self.context,
        )

    @property
    def exchanges(self) -> list[Exchange]:
        """The exchanges that had a hook called, in the order of the first."""
        return list(dict.fromkeys(call.exchange for call in self.calls))

    def clear(self) -> None:
        """Begins anew."""
        self.calls.clear()

    def must_be(self, lines: Sequence[str]) -> Self:
        """The lines must be exactly these."""
        __tracebackhide__ = True
        found = self.lines
        if found != list(lines):
            at = next((n for n, (a, b) in enumerate(zip(found, lines, strict=False)) if a != b), None)
            if at is None:
                at = min(len(found), len(lines))
            mine, wanted = (each[at] if at < len(each) else "(nothing)" for each in (found, list(lines)))
            self._fail(f"line {at + 1} of the hooks is\n  {mine}\nnot\n  {wanted}")
        return self

    def must_show(self, *lines: str) -> Self:
        """These lines must stand there, in this order; others may stand between them."""
        __tracebackhide__ = True
        rest = iter(self.lines)
        for wanted in lines:
            if wanted not in rest:
                there = ", which stands there only before that" if wanted in self.lines else ""
                self._fail(f"the hooks do not show\n  {wanted}{there}")
        return self

    def must_not_show(self, *lines: str) -> Self:
        """None of these lines may stand there."""
        __tracebackhide__ = True
        for unwanted in lines:
            if unwanted in self.lines:
                self._fail(f"the hooks show, and must not,\n  {unwanted}")
        return self

    def told(self) -> str:
        """The lines, for a failure's message."""
        return "\n".join(["the hooks:", *(f"  {each}" for each in str(self).split("\n"))])

    def _fail(self, what: str) -> None:
        __tracebackhide__ = True
        parts = [what, self.told()]
        if self.context is not None:
            parts.append(self.context())
        raise AssertionError("\n\n".join(parts))
