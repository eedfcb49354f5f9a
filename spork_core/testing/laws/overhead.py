"""The law about cost: an exchange takes no more of the plugin's time than it declares."""

from collections.abc import Sequence
from contextlib import suppress
from time import thread_time
from typing import Any, Final

from spork_core.hookspecs import KINDS
from spork_core.testing.findings import request_line
from spork_core.testing.law import Broken, Law, law
from spork_core.testing.limits import TakesTooLong, at_most
from spork_core.testing.places import place_of
from spork_core.testing.requests import NAMES
from spork_core.testing.rig import Rig, run
from spork_core.testing.subject import Subject
from spork_core.testing.watch import Call, Watch

_BATCHES: Final = 12
_EXCHANGES: Final = 20
"""In each batch; the fastest batch counts, so that a busy machine breaks no law."""


@law(hooks=KINDS)
def costs_what_it_declares(subject: Subject) -> None:
    """All its hooks together take no more of an exchange's time than `overhead` says, waiting left out.

    The chain of a route is the sum of its plugins, and each microsecond of one is paid by every request. Who declares
    what a plugin costs notices when a change makes it ten times dearer, and who composes a chain can add up.
    """
    took, by_hook = min(run(subject, _measured, bare=True))
    declared = subject.plugin_class.overhead
    if took > declared:
        dearest = max(by_hook, key=lambda hook: by_hook[hook])
        function = getattr(subject.plugin_class, dearest, subject.plugin_class)
        raise Broken(
            f"{place_of(function)}: its hooks take {took * 1e6:.0f} µs of an exchange, {dearest} "
            f"{by_hook[dearest] * 1e6:.0f} µs of it; overhead declares {declared * 1e6:.0f} µs",
            f"do at load what can be done at load, or declare it: overhead = {_round_up(took):.0e}",
        )


async def _measured(rig: Rig) -> "list[_Batch]":
    """Seconds for each exchange, of the batches."""
    batches = []
    for _ in range(_BATCHES):
        before = {hook: stats.own for hook, stats in rig.instance.stats.items()}
        for _ in range(_EXCHANGES):
            await rig.send(rig.get)
        by_hook = {hook: (stats.own - before[hook]) / _EXCHANGES for hook, stats in rig.instance.stats.items()}
        batches.append(_Batch((sum(by_hook.values()), by_hook)))
    return batches


class _Batch(tuple[float, dict[str, float]]):
    """Compared by its time alone."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        assert isinstance(other, _Batch)
        return self[0] < other[0]


def _round_up(seconds: float) -> float:
    return seconds * 1.5


@law(hooks=KINDS)
def works_briefly_on_any_request(subject: Subject) -> None:
    """Whatever a request holds, no hook works on it for more than 50 ms at a stretch.

    While it works nobody else is served. An expression with a repeat inside a repeat, a loop that cuts off the first
    letter each time, a key derived for whoever sends a password: each lets one client stop the gateway with a few
    requests a second.
    """
    for request, _, _ in _slow(subject, _LONG):
        for _, took, where in _slow(subject, (request,)):  # not only the once
            raise Broken(
                f"{where} works for {took * 1e3:.0f} ms or more on {request_line(request)} with {len(request)} bytes",
                "bound the length before looking closer, use no repeat inside a repeat, or work in asyncio.to_thread",
            )


def _slow(subject: Subject, requests: Sequence[bytes]) -> list[tuple[bytes, float, str]]:
    """Those that a hook works on for too long, with the seconds of processor time and the hook."""
    watch = _Working()

    async def all_of_them(rig: Rig) -> list[tuple[bytes, float, str]]:
        found = []
        for request in rig.both(requests):
            watch.most = 0.0
            with suppress(TakesTooLong), at_most(_PATIENCE):
                await rig.send(request)
            if watch.most > _STRETCH:
                found.append((request, watch.most, watch.place))
        return found

    return run(subject, all_of_them, watch=watch)


class _Working(Watch):
    """Measures what each call takes of the processor, up to its first wait."""

    def __init__(self) -> None:
        super().__init__()
        self.most = 0.0
        self.place = ""

    def before(self, call: Call) -> None:
        call.notes = thread_time()

    def suspended(self, call: Call, coroutine: Any) -> None:
        self._worked(call)
        call.notes = None

    def after(self, call: Call) -> None:
        self._worked(call)

    def _worked(self, call: Call) -> None:
        if call.notes is not None and (took := thread_time() - call.notes) > self.most and call.hook in KINDS:
            self.most, self.place = took, f"{place_of(call.function)}: {call.hook}"


def _long(line: bytes, *fields: bytes, body: bytes = b"") -> bytes:
    length = (b"Content-Length: %d" % len(body),) if body else ()
    head = (line + b" HTTP/1.1", b"Host: api.example", b"Connection: close", *fields, *length)
    return b"\r\n".join(head) + b"\r\n\r\n" + body


_ALIKE: Final = (b"a" * 40 + b"!", b"a" * 1000, b"1 " * 500, b"," * 1000, b"a=" * 500, b"x" + b" " * 1000 + b"x")
"""What makes expressions try all ways there are, and loops begin from the start each time."""
_ONE: Final = 40
"""How often one of them is there in a single field."""
_LONG: Final = (
    *(_long(b"GET /users", *(b"%b: %b" % (name, value) for name in NAMES)) for value in _ALIKE),
    *(_long(b"GET /users", b"%b: %b" % (name, value * _ONE)) for name in NAMES for value in _ALIKE[1:2]),
    *(_long(b"GET /" + value) for value in (b"a" * 40 + b"!", b"a/" * 2000, b"a" * 4000)),
    *(_long(b"GET /users?" + value) for value in (b"a=" + b"a" * 40 + b"!", b"a&" * 2000, b"a=" * 2000)),
    _long(b"GET /users", b"Authorization: Basic " + b"YTpi" * 1000),
    _long(b"GET /users", b"Authorization: Bearer " + b"a." * 2000),
    _long(b"POST /users", b"Content-Type: application/json", body=b"[" * 100_000),
)
_STRETCH: Final = 0.05
_PATIENCE: Final = 0.5
"""Seconds of processor time after which a request is given up."""

LAWS: Final[tuple[Law, ...]] = (costs_what_it_declares, works_briefly_on_any_request)
