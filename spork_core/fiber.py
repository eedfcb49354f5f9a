"""Runs one exchange's coroutine without an asyncio Task, and wakes it at the very moment its data arrives.

Rules of this file
1. A ``Wait`` has one waiter. ``wake`` resumes a Fiber on the spot, inside the caller's stack; whoever wakes must be in
   a state where the exchange may run (input parsed, buffers consistent).
2. A ``Wait`` is also a future to asyncio (``_asyncio_future_blocking``), so the same coroutine runs under a real Task,
   which is then resumed through the loop. Exchanges whose chain has ``async def`` hooks run under a Task, because such
   hooks may need ``asyncio.current_task()`` (``asyncio.timeout``, ``TaskGroup``, aiohttp's client).
3. A Fiber may await asyncio futures and tasks too; they resume it through the loop.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any


class Wait:
    """A moment that one coroutine waits for; it carries no value, the waiter looks at the world again."""

    __slots__ = ("_asyncio_future_blocking", "_callback", "_context", "_done", "_error")

    def __init__(self) -> None:
        self._asyncio_future_blocking = False
        self._callback: Callable[[Any], object] | None = None
        self._context: Context | None = None
        self._done = False
        self._error: BaseException | None = None

    def __await__(self) -> Generator["Wait", None, None]:
        if not self._done:
            self._asyncio_future_blocking = True
            yield self
        if self._error is not None:
            raise self._error

    def wake(self, error: BaseException | None = None) -> None:
        """Resumes the waiter now (a Fiber) or in the loop's next turn (a Task); ``error`` is raised where it waits."""
        if self._done:
            return
        self._done = True
        self._error = error
        callback = self._callback
        if callback is not None:
            self._callback = None
            if self._context is None:
                callback(self)
            else:
                asyncio.get_running_loop().call_soon(callback, self, context=self._context)

    # -- what asyncio.Task asks of a future ---------------------------------------------------------

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context | None = None) -> None:
        self._callback = callback
        self._context = context

    def remove_done_callback(self, callback: Callable[[Any], object]) -> int:
        self._callback = None
        return 1

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    def done(self) -> bool:
        return self._done

    def cancelled(self) -> bool:
        return isinstance(self._error, asyncio.CancelledError)

    def result(self) -> None:
        if self._error is not None:
            raise self._error

    def cancel(self, msg: object = None) -> bool:
        if self._done:
            return False
        self.wake(asyncio.CancelledError())
        return True


async def without_exit(coro: Coroutine[Any, Any, None]) -> None:
    """Awaits ``coro``, which runs a plugin's code: ``sys.exit`` in a Task would end the process."""
    try:
        await coro
    except SystemExit as error:
        raise RuntimeError("sys.exit in a plugin's body") from error


class Fiber:
    """Drives one coroutine; starts it at once.

    ``on_done`` is called with None or the exception that left the coroutine. ``context``: run each step inside it, so
    that context variables set by a hook stay in this exchange; None: run in the caller's.
    """

    __slots__ = ("_context", "_coro", "_on_done", "_waiting", "done")

    def __init__(
        self,
        coro: Coroutine[Any, None, object],
        on_done: Callable[[BaseException | None], object],
        context: Context | None = None,
    ) -> None:
        self._coro = coro
        self._on_done: Callable[[BaseException | None], object] | None = on_done
        self._context = context
        self._waiting: Any = None
        self.done = False
        """True when the coroutine has ended."""
        self._step()

    def _step(self, waited: object = None) -> None:
        if waited is not None and waited is not self._waiting:
            return  # a future that was done when cancel came: its callback was on the loop already
        self._waiting = None
        try:
            waiting = self._coro.send(None) if self._context is None else self._context.run(self._coro.send, None)
        except StopIteration:
            self._finish(None)
        except BaseException as error:
            self._finish(error)
        else:
            self._suspend(waiting)

    def _suspend(self, waiting: Any) -> None:
        if waiting is None:  # a bare yield, as of asyncio.sleep(0)
            self._waiting = asyncio.get_running_loop().call_soon(self._step)
            return
        self._waiting = waiting
        waiting._asyncio_future_blocking = False
        if isinstance(waiting, Wait):
            waiting._callback = self._step  # as its add_done_callback does, without the call
        else:
            waiting.add_done_callback(self._step)

    def _finish(self, error: BaseException | None) -> None:
        on_done, self._on_done = self._on_done, None
        self.done = True
        if on_done is not None:
            on_done(error)

    def cancel(self) -> bool:
        """Throws CancelledError where the coroutine waits, now; False when it has ended or is the one running."""
        waiting = self._waiting
        if self._on_done is None or waiting is None:
            return False
        self._waiting = None
        if isinstance(waiting, asyncio.Handle):
            waiting.cancel()
        else:
            waiting.remove_done_callback(self._step)
            if isinstance(waiting, asyncio.Future):  # a task, a gather: it ends with us, as under a Task
                waiting.cancel()
        try:
            cancelled = asyncio.CancelledError()
            again = (
                self._coro.throw(cancelled) if self._context is None else self._context.run(self._coro.throw, cancelled)
            )
        except StopIteration:
            self._finish(None)
        except BaseException as error:
            self._finish(error)
        else:
            self._suspend(again)
        return True
