"""The law about failure: what the operator chose for it is what happens, whatever else the plugin does."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from spork_core.hookspecs import KINDS, Kind
from spork_core.testing.findings import WAY_OUT, fault_of, is_async, told
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.rig import SUBJECT, Passed, Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_LOGS_ONLY: Final = "this sentence is for the log only"
_UNSENT: Final = ("pre_auth", "authenticate", "authorize", "on_request", "serve", "select_upstream", "before_attempt")
"""The hooks whose failure keeps the request from the service."""
_SCRIPTS: Final = {
    "on_error": b"HTTP/9 garbage\r\n\r\n",
    "should_retry": b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
}
"""Hook → what the service must answer for it to be called."""


@law(hooks=KINDS)
def fails_by_its_policy(subject: Subject) -> None:
    """When one of its hooks raises, hangs, is cancelled or answers nonsense, `on_failure` decides, and its other hooks
    cope.

    Closed means that the exchange ends with a 500 that names no plugin and no reason, and that the service is not
    reached; open means that everything goes on as if the hook were not there. The plugin can spoil that from its other
    hooks: with an error page that tells what the log should, a refusal turned into a success, or a hook that counts on
    one that failed.
    """
    for hook in subject.exchange_hooks:
        for policy in ("closed", "open"):
            ordinary, without = _passed(subject, hook, policy), _passed(subject, hook, policy, _nothing)
            if not any(call.hook == hook for call in without.calls):
                continue
            for how, fails in _FAILURES.items():
                if how == "hangs" and not is_async(subject, hook):
                    continue
                passed = _passed(subject, hook, policy, fails)
                _check_outcome(subject, hook, policy, f"{hook} {how}", passed, without)
                _check_others(subject, hook, f"{hook} {how} (on_failure: {policy})", passed, ordinary)


def _passed(subject: Subject, hook: str, policy: str, fails: Callable[[], Any] | None = None) -> Passed:
    """One exchange with ``fails`` in place of the plugin's hook; None: with the hook itself."""

    def plain(_: Call) -> Any:
        return None if fails is None else fails()

    async def coroutine(_: Call) -> Any:
        answer = plain(_)
        return await answer if asyncio.isfuture(answer) else answer

    async def one(rig: Rig) -> Passed:
        if hook in _SCRIPTS:
            rig.service.script = [_SCRIPTS[hook]]
        return await rig.send(*(rig.post() if hook == "on_request" else [rig.get]))

    watch = Watch({} if fails is None else {hook: coroutine if is_async(subject, hook) else plain})
    return run(subject, one, watch=watch, on_failure=policy, timeout="1s")


def _nothing() -> None:
    return None


def _raises() -> None:
    raise RuntimeError(_LOGS_ONLY)


def _is_cancelled() -> None:
    raise asyncio.CancelledError(_LOGS_ONLY)


def _hangs() -> Any:
    return asyncio.get_running_loop().create_future()


_FAILURES: Final = {"raises": _raises, "hangs": _hangs, "is cancelled": _is_cancelled, "answers nonsense": object}


def _check_outcome(subject: Subject, hook: str, policy: str, what: str, passed: Passed, without: Passed) -> None:
    cls = subject.plugin_class
    watches = KINDS[hook].kind is Kind.WATCH
    if policy == "open" or watches:
        if passed.status != without.status or bool(passed.upstream) != bool(without.upstream):
            raise Broken(
                f"{place_of(cls)}: when {what} under on_failure: {'open' if not watches else policy}, the client gets "
                f"{passed.status or 'no answer'}, and without the hook {without.status}",
                "let the other hooks treat a failure as if the hook had not been called",
            )
        return
    if passed.status < 500:
        raise Broken(
            f"{_blamed(subject)}: when {what} under on_failure: closed, the client gets {passed.status or 'no answer'}",
            "leave the status of a 5xx as it is: the request was not served",
        )
    if hook in _UNSENT and passed.upstream:
        raise Broken(
            f"{place_of(cls)}: when {what} under on_failure: closed, the request reaches the service all the same",
            "do not send it with gateway.send or gateway.dispatch from the hooks that run after a failure",
        )
    page = passed.answer.decode("latin-1")
    for told_, words in ((SUBJECT, "the plugin's name"), (_LOGS_ONLY, "the reason"), ("RuntimeError", "the exception")):
        if told_ in page and told_ not in without.answer.decode("latin-1"):
            raise Broken(
                f"{_blamed(subject)}: when {what}, the answer tells the client {words}",
                "show error.detail, which is safe; error.reason and str(exception) are for the log",
            )


def _blamed(subject: Subject) -> str:
    """The hook that makes or changes answers to problems, or the plugin."""
    cls = subject.plugin_class
    hook = next((hook for hook in ("on_error", "on_response") if hook in subject.hooks), None)
    return place_of(cls if hook is None else getattr(cls, hook, cls))


def _check_others(subject: Subject, hook: str, what: str, passed: Passed, ordinary: Passed) -> None:
    for call in passed.calls:
        if call.hook == hook or call.hook in WAY_OUT:
            continue  # that those stand alone is a law of its own
        fault = fault_of(call)
        if fault is not None and not any(fault_of(other) for other in _calls(ordinary, call.hook)):
            raise Broken(
                f"when {what}, {told(subject, call, fault[0])}",
                f"let {call.hook} cope without what {hook} should have left: exchange.get(KEY)",
            )


def _calls(passed: Passed, hook: str) -> list[Call]:
    return [call for call in passed.calls if call.hook == hook]


LAWS: Final[tuple[Law, ...]] = (fails_by_its_policy,)
