"""The source of a phase: its calls unrolled, and nothing in it that this chain does not need.

A loop over closures has to be general: it packs arguments, asks each turn whether this call is a coroutine function,
whether it may fail, whether anybody reads the time. All of that is known at load. So the phase is written as text, once
for each shape, and compiled: 16 calls in 11 phases cost 1.0 µs instead of 1.3 µs in loops (CPython 3.11). Taking the
time of a call adds 0.11 µs, keeping it in the exchange another 0.06 µs.

Rules of this file
1. It decides nothing: a ``Shape`` says what the text must do.
2. Names in the text: ``f0`` is the call of index 0, ``x0`` says that it failed and gives the PluginFailed, ``s0`` keeps
   its times, ``m0`` does so on the way out of a raising call, ``b0`` is told when it took too long. Where the call may
   answer with a coroutine, ``d0`` awaits that, and ``c0`` is the phase from there on, for one that need not wait.
3. What is raised at the end of a phase is no local name of it any more: the trace of an error holds the frame, and a
   frame that holds the error makes a ring that only the garbage collector opens.
"""

import asyncio
import linecache
from collections.abc import Callable, Sequence
from functools import lru_cache
from time import perf_counter
from types import CoroutineType
from typing import Any, Final

from attrs import frozen

from spork_core.errors import Problem
from spork_core.exchange import Response
from spork_core.hookspecs import Kind


@frozen
class Shape:
    """How one call is written. ``arguments``: what stands between its parentheses. ``awaited``: it gives an awaitable.
    ``forgiven``: its failures are passed over. ``measured``: its time is taken here. ``defers``: it may answer with a
    coroutine."""

    arguments: str
    awaited: bool
    forgiven: bool
    measured: bool
    defers: bool = False


@frozen
class PhaseShape:
    """How a phase is written. ``takes``: its parameters. ``marks``: times are kept in the exchange, too. ``blocking``:
    a call that took longer is told of. ``after``: calls without a policy at the end, of the kernel's own. ``strict``:
    a bool is no number. ``weight``: how many calls a measured one stands for."""

    kind: Kind
    takes: str
    calls: tuple[Shape, ...]
    marks: bool
    blocking: float | None
    after: int = 0
    strict: bool = False
    weight: int = 1


class _Text:
    """Lines with their indentation."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, depth: int, *lines: str) -> None:
        self.lines += ["    " * depth + line for line in lines]


def _source(shape: PhaseShape) -> str:
    text = _Text()
    measured = any(call.measured for call in shape.calls)
    is_async = any(call.awaited for call in shape.calls)
    names = [f"{letter}{at}" for at in range(len(shape.calls)) for letter in PARTS]
    names += [f"after{at}" for at in range(shape.after)]
    text.add(0, f"def make({', '.join(('answers', *names))}):")
    text.add(1, f"{'async ' if is_async else ''}def phase({shape.takes}):")
    if measured and shape.marks:
        text.add(2, "marks = exchange.marks", "if marks is None:", "    marks = exchange.marks = []")
    last = _LAST.get(shape.kind) if shape.kind is Kind.MAP or is_async else None
    if last is not None:
        text.add(2, f"{last} = None")
    since = False
    for at, call in enumerate(shape.calls):
        if call.measured and not since:
            text.add(2, "since = now()")
        _WRITERS[shape.kind](text, at, call, shape)
        since = call.measured and not (call.defers and is_async)
    for at in range(shape.after):
        text.add(2, f"after{at}({shape.takes})")
    if last is not None:
        text.add(
            2, f"if {last} is not None:", "    try:", f"        raise {last}", "    finally:", f"        del {last}"
        )
    if shape.kind in (Kind.GATE, Kind.FIRST):
        text.add(2, "return None")
    text.add(1, "return phase")
    return "\n".join(text.lines) + "\n"


def _called(at: int, call: Shape) -> str:
    return f"answer = {'await ' if call.awaited else ''}f{at}({call.arguments})"


def _cancelled(text: _Text, call: Shape) -> None:
    """Of a coroutine a cancellation is the client's leaving; a ``def`` cannot be cancelled, and has failed."""
    if call.awaited:
        text.add(2, "except Cancelled:", "    raise")


def _measure(text: _Text, at: int, call: Shape, shape: PhaseShape) -> None:
    if not call.measured:
        return
    weight = shape.weight
    more = "took" if weight == 1 else f"took * {weight}"
    text.add(
        2, "now_ = now()", "took = now_ - since", "since = now_", f"s{at}.own += {more}", f"s{at}.calls += {weight}"
    )
    if shape.marks:
        text.add(2, f"marks += (s{at}, took, 0.0)")
    if shape.blocking is not None:
        text.add(2, f"if took > {shape.blocking!r}:", f"    b{at}(took)")


def _until(text: _Text, at: int, call: Shape, shape: PhaseShape) -> None:
    """Gate and first: stop at the first answer."""
    text.add(2, "try:", f"    {_called(at, call)}", "except Problem:")
    out = [f"    m{at}(exchange, now() - since)"] if call.measured else []
    text.add(2, *out, "    raise")
    _cancelled(text, call)
    text.add(2, "except BaseException as raised:")
    if call.forgiven:
        text.add(2, f"    x{at}(exchange, raised)", "    answer = None")
    else:
        text.add(2, *out, f"    raise x{at}(exchange, raised) from raised")
    _measure(text, at, call, shape)
    if call.defers:
        _deferred(text, at, call, shape)
    strict = " and type(answer) is not bool" if shape.strict else ""
    text.add(2, "if answer is not None:", f"    if isinstance(answer, answers){strict}:", "        return answer")
    text.add(2, f"    {'' if call.forgiven else 'raise '}x{at}(exchange, answer)")


def _deferred(text: _Text, at: int, call: Shape, shape: PhaseShape) -> None:
    """The answer may be a coroutine: a phase that awaits anyway awaits it, another hands over to one that does."""
    text.add(2, "if type(answer) is CoroutineType:")
    if not any(each.awaited for each in shape.calls):
        text.add(3, f"return c{at}({shape.takes}, answer)")
        return
    text.add(3, "try:", f"    answer = await d{at}(exchange, answer)", "except (Problem, *Cancelled):", "    raise")
    text.add(3, "except BaseException as raised:")
    if call.forgiven:
        text.add(3, f"    x{at}(exchange, raised)", "    answer = None")
    else:
        text.add(3, f"    raise x{at}(exchange, raised) from raised")


def _replace(text: _Text, at: int, call: Shape, shape: PhaseShape) -> None:
    """Map: each may replace ``exchange.response``; the next sees the replaced one. A failure does not skip the ones
    behind it: with ``on_response`` those add what every answer must carry. The last failure is raised at the end."""
    kept = "" if call.forgiven else "failed = "
    text.add(2, "try:", f"    {_called(at, call)}", "except Problem as problem:", "    failed = problem")
    _cancelled(text, call)
    text.add(2, "except BaseException as raised:", f"    {kept}x{at}(exchange, raised)", "else:")
    text.add(2, "    if answer is not None:", "        if isinstance(answer, Response):")
    text.add(2, "            exchange.response = answer", "        else:", f"            {kept}x{at}(exchange, answer)")
    _measure(text, at, call, shape)


def _watch(text: _Text, at: int, call: Shape, shape: PhaseShape) -> None:
    """Watch: failures are logged and counted, and change nothing. Answers are ignored, but a coroutine from a ``def``
    is work that would not be done. A cancellation, of a client that closes as soon as it has its answer, does not skip
    the ones behind: they free what they hold. It is raised at the end."""
    text.add(2, "try:", f"    {_called(at, call)}")
    if call.awaited:
        text.add(2, "except CancelledError as raised:", "    left = raised", "except GeneratorExit:", "    raise")
    text.add(2, "except BaseException as raised:", f"    x{at}(exchange, raised)", "else:")
    text.add(2, "    if answer is not None and iscoroutine(answer):", f"        x{at}(exchange, answer)")
    _measure(text, at, call, shape)


_LAST: Final = {Kind.MAP: "failed", Kind.WATCH: "left"}
"""What a phase raises only when all its calls are done."""

_WRITERS: Final = {Kind.GATE: _until, Kind.FIRST: _until, Kind.MAP: _replace, Kind.WATCH: _watch}

PARTS: Final = "fxsmbdc"
"""The names of what belongs to a call."""

_NAMES: Final = {
    "CoroutineType": CoroutineType,
    "Problem": Problem,
    "Response": Response,
    "Cancelled": (asyncio.CancelledError, GeneratorExit),
    "CancelledError": asyncio.CancelledError,
    "iscoroutine": asyncio.iscoroutine,
    "now": perf_counter,
}

FILE: Final = "<spork pipeline"
"""How the file names of phases begin, in tracebacks."""


@lru_cache(maxsize=1024)
def _maker(shape: PhaseShape) -> Callable[..., Any]:
    """What makes phases of one shape; their source can be seen in tracebacks."""
    source = _source(shape)
    file = f"{FILE} {shape.kind.value} {abs(hash(shape)):x}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    space = dict(_NAMES)
    exec(compile(source, file, "exec"), space)  # noqa: S102  the text is written above, from no input
    maker: Callable[..., Any] = space["make"]  # type: ignore[assignment]  # what the text defines
    return maker


def phase(shape: PhaseShape, answers: tuple[type, ...], parts: Sequence[Any], after: Sequence[Any]) -> Any:
    """The phase. ``parts``: of each call what ``PARTS`` names. ``after``: the kernel's own calls at the end."""
    return _maker(shape)(answers, *parts, *after)
