"""What came over the wire, with assertions that read like sentences: the client's answer, the upstream's request."""

import json
from collections.abc import Callable, Sequence
from re import Pattern
from typing import Any, Final, Self

from spork_core.errors import phrase
from spork_core.headers import Headers
from spork_core.testing.wire import Message, fields

_MOST_SHOWN: Final = 2000
"""Bytes of a body that a failure shows."""


class Said:
    """A message that came over the wire.

    Its ``must_…`` methods raise an AssertionError that shows all of it, and give back the message for the next one.
    """

    def __init__(self, message: Message, context: Callable[[], str] | None = None) -> None:
        """``context``: what a failure shows besides the message; None: nothing."""
        self.headers: Headers = message.headers
        self.body = message.body
        """The content, chunk framing taken off."""
        self.trailers: Headers = fields(message.trailers)
        self.complete = message.complete
        """False when the connection ended before the content did."""
        self.raw = message
        """The same as bytes."""
        self._context = context

    @property
    def text(self) -> str:
        """The content as text."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The content as JSON. Raises ValueError when it is none."""
        return json.loads(self.body)

    def must_have(self, name: str, *values: str | Pattern[str]) -> Self:
        """It must have the field ``name``, with any value, or with exactly ``values``: one for each time the field
        stands there, each a text or a pattern that matches all of it."""
        __tracebackhide__ = True
        found = self.headers.getall(name, [])
        if not found:
            self._fail(f"has no {name}")
        if values and not _agree(found, values):
            self._fail(f"has {name}: {_listed(found)}, not {_listed(values)}")
        return self

    def must_not_have(self, name: str) -> Self:
        """It must not have the field ``name``."""
        __tracebackhide__ = True
        if name in self.headers:
            self._fail(f"has {name}: {_listed(self.headers.getall(name))}, and must not have it")
        return self

    def must_have_trailer(self, name: str, *values: str | Pattern[str]) -> Self:
        """As ``must_have``, of the fields behind the content."""
        __tracebackhide__ = True
        found = self.trailers.getall(name, [])
        if not found:
            self._fail(f"has no trailer {name}")
        if values and not _agree(found, values):
            self._fail(f"has the trailer {name}: {_listed(found)}, not {_listed(values)}")
        return self

    def must_say(self, content: bytes | str) -> Self:
        """Its content must be ``content``."""
        __tracebackhide__ = True
        wanted = content.encode() if isinstance(content, str) else content
        if self.body != wanted:
            self._fail(f"says {_shortened(self.body)!r}, not {_shortened(wanted)!r}")
        return self

    def must_mention(self, *parts: str) -> Self:
        """Each of ``parts`` must stand in its content."""
        __tracebackhide__ = True
        for part in parts:
            if part not in self.text:
                self._fail(f"does not mention {part!r}")
        return self

    def must_not_mention(self, *parts: str) -> Self:
        """None of ``parts`` may stand in its head or content."""
        __tracebackhide__ = True
        text = self.raw.head.decode("utf-8", "replace") + self.text
        for part in parts:
            if part in text:
                self._fail(f"mentions {part!r}, and must not")
        return self

    def must_be_complete(self) -> Self:
        """All of its content must have come."""
        __tracebackhide__ = True
        if not self.complete:
            self._fail("was cut off")
        return self

    def must_be_cut_off(self) -> Self:
        """The connection must have ended before its content did."""
        __tracebackhide__ = True
        if self.complete:
            self._fail("came whole, and must be cut off")
        return self

    def shown(self) -> str:
        """The whole message as text, for a failure."""
        head = self.raw.head.decode("utf-8", "backslashreplace").rstrip().replace("\r\n", "\n")
        parts = [head]
        if self.body:
            parts.append(_shortened(self.body).decode("utf-8", "backslashreplace"))
        parts += [f"{name}: {value}" for name, value in self.trailers.items()]
        if not self.complete:
            parts.append("[the connection ended here]")
        text = "\n\n".join(parts)
        return "\n".join(f"  {line}".rstrip() for line in text.split("\n"))

    def _called(self) -> str:
        return "the message"

    def _fail(self, what: str) -> None:
        __tracebackhide__ = True
        parts = [f"{self._called()} {what}", self.shown()]
        if self._context is not None:
            parts.append(self._context())
        raise AssertionError("\n\n".join(parts))


class Answer(Said):
    """What a client was answered."""

    def __init__(
        self,
        message: Message,
        informational: Sequence["Answer"] = (),
        *,
        asked: str = "",
        context: Callable[[], str] | None = None,
    ) -> None:
        """``asked``: the request in a word, such as ``GET /x``."""
        super().__init__(message, context)
        self.status = message.status
        self.reason = message.start.partition(b" ")[2].partition(b" ")[2].decode("utf-8", "replace")
        self.informational = tuple(informational)
        """The 1xx answers before it."""
        self._asked = asked

    def __repr__(self) -> str:
        return f"<Answer {self.status} {len(self.body)} bytes>"

    def _called(self) -> str:
        return f"the answer to {self._asked}" if self._asked else "the answer"

    @property
    def problem(self) -> dict[str, Any] | None:
        """The members of its problem+json (RFC 9457); None when it is no problem."""
        if self.headers.get("Content-Type", "").partition(";")[0].strip() != "application/problem+json":
            return None
        members: dict[str, Any] = self.json()
        return members

    def must_be(self, status: int) -> Self:
        """It must have this status."""
        __tracebackhide__ = True
        if self.status != status:
            self._fail(f"is {_status(self.status)}, not {_status(status)}")
        return self

    def must_be_problem(self, code: str, status: int | None = None) -> Self:
        """It must be a problem (RFC 9457) with this ``code`` member; ``status``: and with this status, None: any."""
        __tracebackhide__ = True
        problem = self.problem
        if problem is None:
            self._fail(f"is {_status(self.status)} and no problem+json, not the problem {code}")
        elif problem.get("code") != code:
            self._fail(f"is the problem {problem.get('code')}, not {code}")
        return self if status is None else self.must_be(status)


class Received(Said):
    """A request as an upstream got it."""

    def __init__(self, message: Message, context: Callable[[], str] | None = None) -> None:
        super().__init__(message, context)
        method, _, rest = message.start.decode("utf-8", "surrogateescape").partition(" ")
        self.method = method
        self.target = rest.rpartition(" ")[0]
        """Path and query."""

    def __repr__(self) -> str:
        return f"<Received {self.method} {self.target}>"

    def _called(self) -> str:
        return "what the upstream got"

    def must_ask(self, method: str, target: str) -> Self:
        """It must be a request with this method, path and query."""
        __tracebackhide__ = True
        if (self.method, self.target) != (method, target):
            self._fail(f"is {self.method} {self.target}, not {method} {target}")
        return self


def _agree(found: Sequence[str], wanted: Sequence[str | Pattern[str]]) -> bool:
    return len(found) == len(wanted) and all(
        mine == its if isinstance(its, str) else its.fullmatch(mine) is not None
        for mine, its in zip(found, wanted, strict=True)
    )


def _listed(values: Sequence[str | Pattern[str]]) -> str:
    return " and ".join(value if isinstance(value, str) else f"/{value.pattern}/" for value in values)


def _status(status: int) -> str:
    return f"{status} {phrase(status)}".rstrip()


def _shortened(data: bytes) -> bytes:
    return data if len(data) <= _MOST_SHOWN else data[:_MOST_SHOWN] + b"[and %d bytes more]" % (len(data) - _MOST_SHOWN)
