"""A limit on the time of the processor: what loops for ever is stopped, and what waits for a busy machine is not."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class TakesTooLong(BaseException):
    """Raised inside what took longer; no ``except Exception`` of the code that is watched takes it for its own."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raises TakesTooLong once ``seconds`` of processor time are used up. Without effect outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TakesTooLong

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
