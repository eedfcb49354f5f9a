"""What happens to one exchange, noted while it happens: each call of a hook, what it decided and what it changed.

Rules of this file
1. It looks and never touches: what is noted is copied, and nothing noted is given back to the exchange.
2. It never raises: a plugin may have put anything anywhere, and a request must not fail for being watched.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import Any, Final

from attrs import frozen

from spork_core.attribution import Called
from spork_core.body import Body
from spork_core.errors import PluginIsolated, Problem
from spork_core.exchange import Exchange, Response
from spork_core.explain.facts import ATTEMPT
from spork_core.explain.model import Decision, HeaderChange, Step
from spork_core.explain.redaction import shown_value
from spork_core.headers import Headers
from spork_core.hookspecs import KINDS, Kind
from spork_core.registry import Instance

log = logging.getLogger("spork_core.explain")

Fields = Mapping[str, tuple[str, str]]
"""Name and value by lower-case name."""
_NOTHING: Final[Fields] = {}
_REQUEST: Final = ("method", "path", "query", "host", "scheme", "client", "body")


@frozen
class _State:
    """What a hook could change, before or after it."""

    request: tuple[Any, ...]
    request_fields: Fields
    target: str | None
    response: Response | None
    response_fields: Fields
    status: int | None
    body: Body | None

    @classmethod
    def of(cls, exchange: Exchange, response: Response | None) -> "_State":
        request = exchange.request
        return cls(
            tuple(getattr(request, name) for name in _REQUEST),
            _fields(request.headers),
            exchange.upstream_target,
            response,
            _NOTHING if response is None else _fields(response.headers),
            None if response is None else response.status,
            None if response is None else response.body,
        )


class Trace:
    """The calls of one exchange, in the order they were made."""

    def __init__(self, steps: Iterable[Step], chain: Iterable[Instance]) -> None:
        """``steps``: those that may come, for what is known of them beforehand. ``chain``: whose they are."""
        self.steps: list[Step] = []
        """Those that came."""
        self._known = {(step.hook, step.instance): step for step in steps}
        self._instances = {one.name: one for one in chain}
        self._before: _State | None = None

    def calling(self, instance: str, hook: str, exchange: Exchange) -> None:
        """A hook is about to be called."""
        try:
            self._before = _State.of(exchange, exchange.response)
        except Exception:
            log.exception("what %s finds in %s cannot be noted", instance, hook)
            self._before = None

    def called(self, called: Called) -> None:
        """A hook was called, or held."""
        try:
            self.steps.append(self._step(called))
        except Exception:
            log.exception("what %s did in %s cannot be noted", called.instance, called.hook)
            kind = KINDS[called.hook].kind.value
            unknown = Decision("failure", detail="what it did cannot be told; the log says why not")
            self.steps.append(Step(called.hook, called.instance, "", "", kind, reached=True, decision=unknown))

    def _step(self, called: Called) -> Step:
        hook, exchange = called.hook, called.exchange
        kind = KINDS[hook].kind
        known = self._known.get((hook, called.instance)) or Step(hook, called.instance, "", "", kind.value)
        before, self._before = self._before, None
        more: dict[str, Any] = {"request_headers": (), "response_headers": (), "changed": ()}
        if before is not None and not called.held:
            replaced = kind is Kind.MAP and isinstance(called.answer, Response)
            after = _State.of(exchange, called.answer if replaced else exchange.response)  # type: ignore[arg-type]  # a Response
            more["request_headers"] = _changes(before.request_fields, after.request_fields)
            if before.response is not None:
                more["response_headers"] = _changes(before.response_fields, after.response_fields)
            more["changed"] = _changed(before, after)
        return Step(
            hook,
            called.instance,
            known.plugin,
            known.origin,
            known.kind,
            len(exchange.attempts) if hook in ATTEMPT else None,
            reached=True,
            decision=self._held(called, kind) if called.held else _decision(called, kind),
            own=called.own,
            waiting=called.waiting,
            **more,
        )

    def _held(self, called: Called, kind: Kind) -> Decision:
        isolation = self._instances[called.instance].isolation
        if isolation.effect == "deny" and kind is not Kind.WATCH:
            return Decision("held", PluginIsolated.status, PluginIsolated.code, isolation.why)
        return Decision("held", detail=isolation.why)


def _decision(called: Called, kind: Kind) -> Decision:
    answer, error = called.answer, called.error
    if isinstance(error, Problem):
        return Decision("problem", error.status, error.code, error.detail)
    if error is not None:
        return Decision("failure", detail=f"{type(error).__name__}: {error}".removesuffix(": "))
    if answer is None or kind is Kind.WATCH:
        return Decision("none")
    wanted = KINDS[called.hook].answer
    if not isinstance(answer, wanted) or isinstance(answer, bool):
        return Decision("failure", detail=f"answered with {type(answer).__name__}")
    if isinstance(answer, Response):
        return Decision("response", answer.status)
    if called.hook == "authenticate":
        return Decision("identity", value=str(getattr(answer, "subject", "")))
    return Decision("endpoint" if called.hook == "select_upstream" else "delay", value=str(answer))


def _fields(headers: Headers) -> Fields:
    """The fields by lower-case name; the values of repeated ones are joined (RFC 9110 section 5.3)."""
    fields: dict[str, tuple[str, str]] = {}
    for name, value in headers.items():
        lower = str(name).lower()
        known = fields.get(lower)
        fields[lower] = (str(name), str(value) if known is None else f"{known[1]}, {value}")
    return fields


def _changes(before: Fields, after: Fields) -> tuple[HeaderChange, ...]:
    if before == after:
        return ()
    return tuple(
        HeaderChange(name, _shown(before.get(lower)), _shown(after.get(lower)))
        for lower, (name, _) in {**before, **after}.items()
        if before.get(lower) != after.get(lower)
    )


def _shown(field: tuple[str, str] | None) -> str | None:
    return None if field is None else shown_value(*field)


def _changed(before: _State, after: _State) -> tuple[str, ...]:
    """What differs besides header fields."""
    changed = [
        f"request.{name}"
        for name, old, new in zip(_REQUEST, before.request, after.request, strict=True)
        if (old is not new if name == "body" else old != new)
    ]
    if before.target != after.target:
        changed.append("upstream_target")
    if before.response is not None:
        if after.response is not before.response:
            changed.append("response")
        if after.status != before.status:
            changed.append("response.status")
        if after.body is not before.body and after.response is before.response:
            changed.append("response.body")
    return tuple(changed)
