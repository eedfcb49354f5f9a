"""Lines on their way to a file or a pipe: a bounded buffer, and a thread that empties it.

Rules
1. ``put`` never waits: past the limit a line is dropped and counted.
2. The loop's thread alone appends; the writer's thread alone takes from the front, by slices, each one step under the
   interpreter's lock. Of the counters ``_given`` and ``_taken`` each has one writer; their difference is what waits.
3. A line is written whole. A pipe or socket that other workers share gets at most PIPE_BUF bytes at a time, because
   longer writes of several processes may interleave (POSIX, write).
4. A file that was moved away or removed (log rotation) is opened anew before the next write; no signal is needed.
"""

import os
import select
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from logging import Logger
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Final

GATHER: Final = 0.1
"""Seconds for which lines are gathered before they are written together."""

_AT_ONCE: Final = 1 << 20
_TEXTS_AT_ONCE: Final = 64
_PIPE_BUF: Final = select.PIPE_BUF
_REPORT_EVERY: Final = 10.0
_STOP_WITHIN: Final = 5.0

STANDARD: Final = {"/dev/stdout": 1, "/dev/stderr": 2}


class Writer:
    """``path``: of a file, or ``/dev/stdout`` or ``/dev/stderr``. ``limit``: bytes that may wait for it."""

    def __init__(self, path: str, limit: int) -> None:
        self.path = path
        self.written = 0
        """Lines handed to the operating system."""
        self.dropped = 0
        """Lines for which there was no room."""
        self.lost = 0
        """Lines that could not be written."""
        self.error: str | None = None
        """Why the last write failed; None when it did not."""
        self._limit = limit
        self._texts: list[tuple[str, int]] = []
        """Texts of whole lines, with their number."""
        self._given = 0
        self._taken = 0
        self._wake: SimpleQueue[bool] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopped = False
        self._log: Logger | None = None
        self._fd = STANDARD.get(path, -1)
        self._at_once = _AT_ONCE
        self._torn = False
        self._reported = (0, -_REPORT_EVERY)

    @property
    def waiting(self) -> int:
        """Bytes that wait to be written."""
        return self._given - self._taken

    def put(self, text: str, lines: int = 1) -> None:
        """Takes so many whole lines, of ASCII and with their newlines. Called by one thread."""
        size = len(text)
        if self._given - self._taken + size > self._limit:
            self.dropped += lines
            return
        self._given += size
        texts = self._texts
        texts.append((text, lines))
        if len(texts) == 1:
            self._wake.put(True)

    def start(self, log: Logger) -> None:
        """Opens the output and starts the thread; ``log`` is told about drops and failures. Raises OSError."""
        self._log = log
        self._open()
        thread = threading.Thread(target=self._run, name=f"access-log {self.path}", daemon=True)
        thread.start()
        self._thread = thread
        if self._stopped:  # a startup that took too long was given up, and stopped, while this opened the output
            self.stop()

    def stop(self) -> None:
        """Writes what waits and ends the thread; gives up on an output that takes nothing for 5 seconds."""
        self._stopped = True
        thread = self._thread
        if thread is None:
            return
        self._wake.put(False)
        thread.join(_STOP_WITHIN)
        if not thread.is_alive():
            self._thread = None
            self._close()

    # -- the thread ---------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            going = self._wake.get()
            if going:
                with suppress(Empty):
                    going = self._wake.get(timeout=GATHER)
            self._drain()
            self._report(at_once=not going)

    def _drain(self) -> None:
        # Until nothing is left: a line that joins others wakes nobody.
        while self._texts:
            batch = self._texts[:_TEXTS_AT_ONCE]
            del self._texts[: len(batch)]
            text, lines = "".join(text for text, _ in batch), sum(lines for _, lines in batch)
            done = 0
            try:
                self._reopen()
                if self._at_once == _AT_ONCE:
                    self._write(text)
                    done = lines
                else:  # others may write to it as well
                    for portion in portions(text.splitlines(keepends=True), self._at_once):
                        self._write("".join(portion))
                        done += len(portion)
            except OSError as exc:
                self._failed(exc)
            else:
                self.error = None
            self.written += done
            self.lost += lines - done
            self._taken += len(text)

    def _write(self, text: str) -> None:
        left = memoryview(text.encode("ascii") if not self._torn else b"\n" + text.encode("ascii"))
        self._torn = False
        whole = len(left)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # somebody made the shared pipe or terminal non-blocking
                self._wait()
            except OSError:
                self._torn = len(left) < whole
                raise

    def _wait(self) -> None:
        poll = select.poll()  # select.select refuses descriptors past 1023
        poll.register(self._fd, select.POLLOUT)
        poll.poll(1000)

    def _failed(self, exc: OSError) -> None:
        self.error = exc.strerror or str(exc)
        if self.path not in STANDARD:
            self._close()

    def _report(self, *, at_once: bool) -> None:
        told, when = self._reported
        missing = self.dropped + self.lost
        if missing == told or self._log is None or (not at_once and monotonic() - when < _REPORT_EVERY):
            return
        self._reported = (missing, monotonic())
        why = self.error or "lines come faster than the output takes them"
        self._log.warning("%d access log lines to %s are missing: %s", missing - told, self.path, why)

    # -- the file -----------------------------------------------------------------------------------

    def _open(self) -> None:
        if self.path not in STANDARD:
            # O_NONBLOCK: a FIFO that nobody reads is an error here and now, not a start that never ends.
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._fd = os.open(self.path, flags, 0o640)
        mode = os.fstat(self._fd).st_mode
        self._at_once = _PIPE_BUF if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) else _AT_ONCE

    def _reopen(self) -> None:
        if self.path in STANDARD:
            return
        if self._fd >= 0:
            try:
                if os.path.samestat(Path(self.path).stat(), os.fstat(self._fd)):
                    return
            except FileNotFoundError:
                pass
            self._close()
        self._open()

    def _close(self) -> None:
        if self.path not in STANDARD and self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def portions(lines: Sequence[str], size: int) -> Iterator[list[str]]:
    """The lines in groups of at most ``size`` characters; a longer line is a group of its own."""
    group: list[str] = []
    room = size
    for line in lines:
        if len(line) > room and group:
            yield group
            group, room = [], size
        group.append(line)
        room -= len(line)
    if group:
        yield group
