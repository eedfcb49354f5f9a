"""Laws about the hooks of the way out: they are called whatever happened before, or did not."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from spork_core.errors import ClientDisconnected, Forbidden
from spork_core.exchange import Attempt, Exchange, Outcome, Request
from spork_core.hookspecs import hookimpl
from spork_core.plugin import Plugin
from spork_core.testing.findings import WAY_IN, WAY_OUT, fault_of, is_async, told, went_whole_way
from spork_core.testing.fingerprint import fingerprint
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.places import place_of
from spork_core.testing.rig import Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_MALFORMED: Final = b"GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n"
_SLOTS: Final = "._value"
"""The end of the path of a semaphore's free slots."""
_ONCE: Final = "note in the exchange what was taken and give it back once: exchange[KEY], then del exchange[KEY]"
_ALONE: Final = "take nothing for granted that an earlier hook should have left: exchange.get(KEY), not exchange[KEY]"


@law(hooks=WAY_OUT)
def way_out_stands_alone(subject: Subject) -> None:
    """Its `on_response`, `on_error` and `on_complete` do their work after any prefix of an exchange, also after none.

    They are called for every exchange: also for one that another plugin refused before this one was asked, that did not
    parse, or that the client broke off. A hook that relies on what its `pre_auth` left behind fails just when
    something else went wrong, and hides it.
    """
    for refused_in in (None, *WAY_IN, "before_attempt"):
        before = {} if refused_in is None else {"refuser": _refuser(refused_in)}
        run(subject, _prefix, chain=before)
    for failing in (hook for hook in (*WAY_IN, "before_attempt") if hook in subject.hooks):
        run(subject, _prefix, watch=Watch({failing: _raising(subject, failing)}))


def _refuser(hook: str) -> type[Plugin[Any]]:
    """A plugin that refuses everything in one hook."""

    def refuse(_: Any, exchange: Exchange) -> None:  # noqa: ARG001  pluggy reads its name
        raise Forbidden("Refused before the plugin was asked.")

    refuse.__name__ = hook
    return type("Refuser", (Plugin,), {hook: hookimpl(refuse)})


def _raising(subject: Subject, hook: str) -> Callable[[Call], Any]:
    def fail(_: Call) -> Any:
        raise RuntimeError("a law lets this hook fail")

    async def fail_async(call: Call) -> Any:
        fail(call)

    return fail_async if is_async(subject, hook) else fail


async def _prefix(rig: Rig) -> None:
    for pieces in ([rig.get], rig.post(), [_MALFORMED]):
        _check(rig.subject, (await rig.send(*pieces)).calls, rig.watch)
    client, (head, *_) = rig.client(), rig.post()
    client.feed(head)  # and leave, while the body is on its way
    first = len(rig.watch.calls)
    client.leave()
    _check(rig.subject, (await rig.rest(client, first)).calls, rig.watch)
    if "on_complete" in rig.subject.hooks:
        _check(rig.subject, [await _complete(rig, exchange) for exchange in _bare()], rig.watch)


def _check(subject: Subject, calls: list[Call], watch: Watch) -> None:
    seen = [call.hook for call in calls if call.hook not in watch.instead]
    for call in calls:
        fault = fault_of(call) if call.hook in WAY_OUT else None
        if fault is not None and not went_whole_way(subject, calls):
            after = [hook for hook in seen[: seen.index(call.hook)] if hook in WAY_IN]
            when = f"after {', '.join(after)} only" if after else "with none of its request hooks called before"
            raise Broken(f"{told(subject, call, fault[0])}, {when}", _ALONE)


@law(hooks=("on_complete",))
def on_complete_is_twice_safe(subject: Subject) -> None:
    """Its `on_complete` does no harm on an exchange of which it has seen nothing, and none when it is called again.

    It gives back what the plugin took: a slot of a limit, a span, a lock. Code that gives back twice, or what it never
    took, lets in more than the limit says, and nobody notices before the day the limit is needed.
    """
    run(subject, _twice)


async def _twice(rig: Rig) -> None:
    passed = await rig.send(rig.get)
    served = [call.exchange for call in passed.calls if call.hook == "on_complete"]
    before = _counts(rig.instance.plugin)
    for exchange in (*served, *served, *_bare()):
        call = await _complete(rig, exchange)
        fault = fault_of(call)
        if fault is not None and exchange in served and went_whole_way(rig.subject, passed.calls):
            raise Broken(f"{told(rig.subject, call, fault[0])}, when it is called again", _ONCE)
        for path, value in _counts(rig.instance.plugin).items():
            was = before.get(path, 0)
            if value > was if path.endswith(_SLOTS) else value < 0 <= was:
                raise Broken(
                    f"{place_of(call.function)}: on_complete, called again, leaves {path} at {value}, not {was}", _ONCE
                )


async def _complete(rig: Rig, exchange: Exchange) -> Call:
    """Calls ``on_complete``, as the kernel would."""
    first = len(rig.watch.calls)
    impl = rig.instance.impls["on_complete"]
    with suppress(Exception):  # the call has it
        done: Any = impl.function(*(exchange for _ in impl.argnames))
        if is_async(rig.subject, "on_complete"):
            await done
    return rig.watch.calls[first]


def _bare() -> list[Exchange]:
    made = []
    for problem in (None, ClientDisconnected(), Forbidden()):
        exchange = Exchange(Request("GET", "/users/1", host="api.example", client="198.51.100.7", peer="198.51.100.7"))
        exchange.error = problem
        status, source = (200, "gateway") if problem is None else (problem.status, problem.source)
        exchange.outcome = Outcome(status, source, problem is None, 0, 0, 1_000_000)  # type: ignore[arg-type]  # a Source
        exchange.attempts = [Attempt(1, 0)] if problem is None else []
        made.append(exchange)
    return made


def _counts(plugin: object) -> dict[str, int]:
    """The whole numbers that the plugin holds, free slots of its semaphores among them, by their paths."""
    found = {}
    for path, value in fingerprint(plugin).items():
        match value:
            case ("int", int(number)):
                found[path] = number
    return found


LAWS: Final[tuple[Law, ...]] = (way_out_stands_alone, on_complete_is_twice_safe)
