"""What counts as a fault of a hook, and how it is told."""

import asyncio
from typing import Any

import pytest

from spork_core.api import Exchange, Forbidden, Identity, Request, Response
from spork_core.testing.findings import fault_of, request_line
from spork_core.testing.watch import Call


def call(hook: str, answer: object = None, error: BaseException | None = None, *, cancelled: bool = False) -> Call:
    made = Call(hook, (Exchange(Request()),), fault_of)
    made.answer, made.error, made.cancelled, made.over = answer, error, cancelled, True
    return made


async def coroutine() -> None:
    """Never run."""


@pytest.mark.parametrize(
    "made",
    [
        call("authorize"),
        call("authorize", Response(403)),
        call("authorize", error=Forbidden()),
        call("authenticate", Identity("ann")),
        call("should_retry", 1.5),
        call("on_complete", "ignored"),
        call("authorize", error=asyncio.CancelledError(), cancelled=True),
        call("authorize", Forbidden()),  # another law's
    ],
    ids=repr,
)
def test_what_a_hook_may_do_is_no_fault(made: Call) -> None:
    assert fault_of(made) is None


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (call("authorize", error=ValueError("no")), "raised ValueError: no"),
        (call("authorize", error=ValueError()), "raised ValueError"),
        (call("authorize", error=SystemExit(1)), "called sys.exit"),
        (call("authorize", error=KeyboardInterrupt()), "raised KeyboardInterrupt, which is no Exception"),
        (call("authorize", error=asyncio.CancelledError()), "raised CancelledError though nobody cancelled it"),
        (call("on_complete", error=Forbidden()), "raised Forbidden, which nobody hears"),
        (call("authorize", True), "answered with bool"),
        (call("should_retry", True), "answered with bool"),
        (call("on_response", b"raw"), "answered with bytes"),
    ],
    ids=repr,
)
def test_what_it_may_not_do_is_said(made: Call, words: str) -> None:
    fault = fault_of(made)

    assert fault is not None
    assert fault[0] == words
    assert fault[1]


@pytest.mark.parametrize("hook", ["authorize", "on_response", "on_complete"])
def test_a_coroutine_is_a_fault_in_every_hook(hook: str) -> None:
    answer: Any = coroutine()

    fault = fault_of(call(hook, answer))
    answer.close()

    assert fault == ("returned a coroutine from a def", "write async def, or await what it calls")


def test_requests_are_shown_in_one_printable_line() -> None:
    line = request_line(b"GET /\xff\x1b[2J HTTP/1.1\r\nHost: a\r\n\r\n")

    assert line == r"'GET /\xff\x1b[2J HTTP/1.1'"
