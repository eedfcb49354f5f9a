"""Where numbers live: rows of 64-bit integers in the memory of the process, or in a file that other workers read.

A file that all workers map is right at any moment: what a worker has counted is there when it is killed the next
instant, and nobody has to flush. A row of it costs 25 ns more for each number changed than a list does (CPython 3.11).

Rules of the file
1. A head of 64 bytes: mark, bytes used, pid and start of the owner, and whether it has left. Then records, each whole
   within one segment: length, length of the text, time of birth, the row's key as JSON, the row. All in native order
   and at multiples of 8.
2. One process writes, any reads. A record is complete before ``used`` takes it in, and never moves.
3. Room is reserved before it is mapped: writing to a mapped page of a full disk would kill the process (SIGBUS).
4. Files grow by segments, in a thread and ahead of need. A row for which there is no room yet is not made.
"""

import fcntl
import json
import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol

from attrs import frozen

from spork_metrics.steps import in_steps

Key = tuple[str, ...]
"""Kind of a row, id of its bounds ("" for none), label values."""
Cells = Any
"""A list of int, or a memoryview of them: what ``row[at] += 1`` works on."""

SEGMENT: Final = 256 * 1024
_AHEAD: Final = SEGMENT // 2
_MARK: Final = b"SPRKMET1"
_HEAD: Final = 64
_OWNER: Final = struct.Struct("=qqq")  # pid, its start, 1 when it has left
_USED: Final = struct.Struct("=q")
_RECORD: Final = struct.Struct("=IIq")  # length, length of the text, birth


class Rows(Protocol):
    """Makes rows."""

    def make(self, key: Key, born: int, cells: int) -> Cells | None:
        """A row of zeros; None: there is no room now."""

    def close(self) -> None:
        """Lets go of what is open."""


class MemoryRows:
    """Rows that end with the process."""

    def make(self, key: Key, born: int, cells: int) -> Cells | None:
        """A list of zeros."""
        return [0] * cells

    def close(self) -> None:
        """Nothing is open."""


@frozen
class Owner:
    """Whose file it is. ``start``: when the process began, in the system's ticks, since pids come again. ``left``: it
    has ended in order."""

    pid: int
    start: int
    left: bool = False


@frozen(eq=False)
class Record:
    """A row as it was read: ``at`` is where its cells lie in the file."""

    key: Key
    born: int
    at: int
    cells: tuple[int, ...]


class BadFile(Exception):
    """It is no file of rows, or is cut short."""


class Taken(Exception):
    """Another owner still writes the file."""


def read(path: Path) -> tuple[Owner, list[Record]]:
    """All rows of a file, as they are now. Raises BadFile, OSError."""
    data = path.read_bytes()
    if len(data) < _HEAD or data[:8] != _MARK:
        raise BadFile(f"{path} does not hold what a worker has counted")
    (used,) = _USED.unpack_from(data, 8)
    pid, start, left = _OWNER.unpack_from(data, 16)
    if not _HEAD <= used <= len(data):
        raise BadFile(f"{path} is cut short")
    return Owner(pid, start, bool(left)), list(in_steps(_records(data, used)))


def _records(data: bytes, used: int) -> Iterator[Record]:
    at = _HEAD
    while at < used:
        end = (at // SEGMENT + 1) * SEGMENT
        if end - at < _RECORD.size:
            at = end
            continue
        size, text, born = _RECORD.unpack_from(data, at)
        if size == 0:  # the rest of the segment was too small for the next
            at = end
            continue
        first = at + _RECORD.size + _padded(text)
        if size % 8 or at + size > used or first > at + size:
            raise BadFile("a record does not end where it should")
        try:
            key = tuple(json.loads(data[at + _RECORD.size : at + _RECORD.size + text]))
        except ValueError as error:
            raise BadFile("a record has no key") from error
        yield Record(key, born, first, struct.unpack_from(f"={(at + size - first) // 8}q", data, first))
        at += size


def _padded(size: int) -> int:
    return -(-size // 8) * 8


class FileRows:
    """Rows in the file of one worker. ``open`` and ``grow`` wait for the disk: call them in a thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.old: list[tuple[Record, Cells]] = []
        """What the worker before this one in the slot has counted, and goes on; set by ``open``."""
        self._fd = -1
        self._maps: list[mmap.mmap] = []
        self._views: list[memoryview] = []
        self._used = _HEAD

    def open(self, owner: Owner) -> None:
        """Takes the file over from the worker before, or begins it. Raises Taken, OSError."""
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of by the system when its owner dies
        except BlockingIOError:
            raise Taken(str(self.path)) from None
        records: list[Record] = []
        try:
            _, records = read(self.path)
        except BadFile:
            os.ftruncate(self._fd, 0)
        size = os.fstat(self._fd).st_size
        for _ in range(max(1, size // SEGMENT)):
            self._map()
        head = self._views[0]
        if size < SEGMENT:
            head[:8] = _MARK
            self._take(_HEAD)
        (self._used,) = _USED.unpack_from(head, 8)
        _OWNER.pack_into(head, 16, owner.pid, owner.start, 0)
        self.old = [(record, self._cells(record.at, len(record.cells))) for record in records]

    def _map(self) -> None:
        at = len(self._maps) * SEGMENT
        if os.fstat(self._fd).st_size < at + SEGMENT:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._fd, at, SEGMENT)
            else:  # macOS: nothing reserves there
                os.ftruncate(self._fd, at + SEGMENT)
        segment = mmap.mmap(self._fd, SEGMENT, offset=at)
        self._views.append(memoryview(segment))
        self._maps.append(segment)  # last: the loop, in another thread, goes by it

    @property
    def tight(self) -> bool:
        """True when it is time to ``grow``."""
        return len(self._maps) * SEGMENT - self._used < _AHEAD

    def grow(self) -> None:
        """Adds a segment. Raises OSError."""
        if self._fd >= 0:
            self._map()

    def make(self, key: Key, born: int, cells: int) -> Cells | None:
        """A row in the file; None: it is full and has to ``grow``."""
        text = json.dumps(key, ensure_ascii=False, separators=(",", ":")).encode()
        size = _RECORD.size + _padded(len(text)) + 8 * cells
        if size > SEGMENT - _HEAD:
            return None
        at = self._used
        left = SEGMENT - at % SEGMENT
        if left < size:  # what is left stays 0, which tells the reader to go on behind it
            at += left
        if at + size > len(self._maps) * SEGMENT:
            return None
        view, offset = self._views[at // SEGMENT], at % SEGMENT
        view[offset + _RECORD.size : offset + _RECORD.size + len(text)] = text
        _RECORD.pack_into(view, offset, size, len(text), born)
        self._take(at + size)
        return self._cells(at + size - 8 * cells, cells)

    def _take(self, used: int) -> None:
        _USED.pack_into(self._views[0], 8, used)
        self._used = used

    def _cells(self, at: int, cells: int) -> Cells:
        offset = at % SEGMENT
        return self._views[at // SEGMENT][offset : offset + 8 * cells].cast("q")

    def leave(self) -> None:
        """Says in the file that its owner ends in order."""
        if self._views:
            head = self._views[0]
            pid, start, _ = _OWNER.unpack_from(head, 16)
            _OWNER.pack_into(head, 16, pid, start, 1)

    def close(self) -> None:
        """Lets the file go; rows that somebody still holds are freed with the last of them."""
        self.old = []
        self._views = []
        for segment in self._maps:
            with suppress(BufferError):  # an exchange that was cut off may still hold a row
                segment.close()
        self._maps = []
        descriptor, self._fd = self._fd, -1  # first: two threads may close it
        if descriptor >= 0:
            os.close(descriptor)
