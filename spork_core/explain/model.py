"""The explanation: the same keys whether it was foretold or is of a real request, which fills in what only it can tell.

Times are seconds. Where a field says "real", it is None in an explanation of a request that was not sent.
"""

import json
from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

FORMAT: Final = 1
"""Raised when a key changes its meaning or goes away; keys may be added."""


@attrs.frozen
class Asked:
    """The request as the gateway got it. ``headers``: without hop-by-hop fields when real, credentials hidden.
    ``client``: its address; real."""

    method: str
    target: str
    host: str
    scheme: str
    headers: tuple[tuple[str, str], ...] = ()
    client: str | None = None


@attrs.frozen
class CandidateFact:
    """A route that takes the request or nearly does."""

    route: str
    matched: bool
    why: str


@attrs.frozen
class HeaderChange:
    """A field before and after a hook; None: it was not there, or is not there any more."""

    name: str
    before: str | None
    after: str | None


Decided = Literal["none", "response", "identity", "endpoint", "delay", "problem", "failure", "held"]


@attrs.frozen
class Decision:
    """What one call of a hook came to.

    ``kind``: ``none`` (it had nothing to say), what it answered with, ``problem`` (it refused), ``failure`` (it raised
    something else, or answered with a wrong type), ``held`` (it was not called: its instance is isolated). ``status``:
    of a response or a problem, and where being held refused the exchange. ``value``: the identity's subject, the
    endpoint's URL, the delay in seconds, or the problem's code. ``detail``: a sentence; "" where there is nothing to
    add.
    """

    kind: Decided
    status: int | None = None
    value: str | None = None
    detail: str = ""


@attrs.frozen
class Step:
    """One call of a hook, or one that was not made.

    ``origin``: where the chain has the instance from. ``kind``: how the hook's answers are used. ``attempt``: the
    number of the attempt it was called for; None where it is not about one. ``reached``: real. ``why``: why it was not
    reached; None when it was. ``changed``: what it changed besides header fields, such as ``request.path``; real, as
    all that follows.
    """

    hook: str
    instance: str
    plugin: str
    origin: str
    kind: str
    attempt: int | None = None
    reached: bool | None = None
    why: str | None = None
    decision: Decision | None = None
    own: float | None = None
    waiting: float | None = None
    request_headers: tuple[HeaderChange, ...] | None = None
    response_headers: tuple[HeaderChange, ...] | None = None
    changed: tuple[str, ...] | None = None


@attrs.frozen
class LeftOut:
    """An instance, or hooks of one, that could have been in the chain, and why they are not."""

    instance: str
    why: str


@attrs.frozen
class Refused:
    """The problem that the exchange runs into. ``certain``: whatever the plugins do; else only when none changes it.
    ``reason``: what only the log says; real."""

    status: int
    title: str
    code: str
    detail: str
    headers: tuple[tuple[str, str], ...]
    certain: bool = True
    reason: str | None = None


@attrs.frozen
class IdentityFact:
    """The route's rule. ``by``: the instances that authenticate; ``challenges``: what a 401 carries. ``subject``: who
    is calling, None for nobody known; ``scheme``: what proved it. Both real."""

    required: bool
    by: tuple[str, ...]
    challenges: tuple[str, ...]
    subject: str | None = None
    scheme: str | None = None


@attrs.frozen
class EndpointFact:
    """An endpoint of the service. ``next``: a fresh gateway takes it first; of a real request: it was taken first."""

    url: str
    weight: int
    next: bool


@attrs.frozen
class Upstream:
    """What is sent, and where; of a real request None when nothing was. Time limits; None: no limit."""

    service: str
    target: str
    host: str
    set_headers: dict[str, str]
    removed_headers: tuple[str, ...]
    endpoints: tuple[EndpointFact, ...]
    deciders: tuple[str, ...]
    connect: float
    response: float
    idle: float
    total: float | None


@attrs.frozen
class AttemptFact:
    """One try against one endpoint. ``endpoint``: None when none was picked. ``reused``: over a pooled connection.
    ``status``: None when there was no answer. ``error``: a problem's code. ``reason``: what the log says of it.
    ``took``: to the head of the answer or the failure; 0 when nothing was sent."""

    number: int
    endpoint: str | None
    reused: bool
    status: int | None
    error: str | None
    reason: str | None
    took: float


@attrs.frozen
class AnswerFact:
    """What the client would have got. ``source``: whose answer it is. ``body_length``: bytes; None when they end when
    they end."""

    status: int
    reason: str
    source: str
    headers: tuple[tuple[str, str], ...]
    body_length: int | None


@attrs.frozen
class Times:
    """``total``: from the head of the request to that of the answer. ``own``, ``waiting``: of all hooks. ``upstream``:
    of all attempts."""

    total: float
    own: float
    waiting: float
    upstream: float


@attrs.frozen
class IsolatedFact:
    """An instance of the chain that was isolated when the request came."""

    instance: str
    state: str
    why: str


@attrs.frozen
class EventFact:
    """An event of the gateway while the exchange ran, its own or a neighbour's. ``time``: seconds since the epoch."""

    kind: str
    message: str
    time: float


@attrs.frozen
class Explanation:
    """All of it.

    ``live``: True when it is of a real request. ``id``: that of the exchange; real. ``route``: None when none takes the
    request. ``answers``: who does when no service is asked; "" when one is. ``refused``: None when nothing goes wrong.
    ``body_limit``: bytes; None: no limit. ``upgrade``: the protocol to switch to; None for an ordinary request.
    ``attempts``, ``answer``, ``times``, ``isolated``, ``events``: real.
    """

    format: int
    live: bool
    id: str | None
    asked: Asked
    route: str | None
    candidates: tuple[CandidateFact, ...]
    steps: tuple[Step, ...]
    left_out: tuple[LeftOut, ...]
    identity: IdentityFact | None
    upstream: Upstream | None
    answers: str
    refused: Refused | None
    body_limit: int | None
    upgrade: str | None
    attempts: tuple[AttemptFact, ...] | None = None
    answer: AnswerFact | None = None
    times: Times | None = None
    isolated: tuple[IsolatedFact, ...] | None = None
    events: tuple[EventFact, ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return attrs.asdict(self)

    def as_json(self, indent: int | None = None) -> str:
        """JSON in ASCII: nothing in it can steer a terminal, and bytes that are no UTF-8 stand as surrogates."""
        return json.dumps(self.as_dict(), indent=indent)


def from_dict(data: Mapping[str, Any]) -> Explanation:
    """The explanation that ``as_dict`` gave; unknown keys are passed over, a later version may have some. Raises
    ValueError when it is none, or one of another format."""
    from cattrs import BaseValidationError, Converter  # the gateway that serves does not need it

    if data.get("format") != FORMAT:
        raise ValueError(f"the format is {data.get('format')!r}, not {FORMAT}")
    try:
        return Converter().structure(data, Explanation)
    except (BaseValidationError, TypeError, ValueError) as error:
        raise ValueError("the keys are not those of an explanation") from error
