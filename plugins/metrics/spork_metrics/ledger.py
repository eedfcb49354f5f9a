"""All rows of one process by what they count, within the budget. It outlives a reload: the instance that comes takes it
over from the one that goes, and both count in it until that one is gone."""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final
from zlib import crc32

from attrs import field, frozen

from spork_metrics.budget import LAG, WIDTHS, Budget, is_rest, others
from spork_metrics.cells import Cells, FileRows, Key, MemoryRows, Rows
from spork_metrics.families import OTHER

SUM: Final = 0
RECEIVED: Final = 1
SENT: Final = 2
INCOMPLETE: Final = 3
FIRST: Final = 4
"""A row with bounds: the sum in ns, three counts of its own, then a count for each bucket, +Inf last."""
LOWEST: Final = (-(2**63),) * FIRST
"""What stands before the bounds, so that a bisection in them gives a bucket's place in the row."""
LAG_BOUNDS: Final = tuple(int(bound * 1e9) for bound in (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5))
LONGEST: Final = 200
"""Characters of a label value; what is longer is ``other``."""

_BOUNDS: Final = "bounds"


Exemplar = tuple[str, int, float]
"""A trace's id, what it took in ns, and when it ended, in seconds since the epoch."""


@frozen(eq=False)
class Row:
    """One row at one moment. ``bounds``: in ns; () for a row that is one count. ``born``: ns of the monotonic clock.
    ``exemplars``: by place of the bucket in ``cells``."""

    kind: str
    labels: tuple[str, ...]
    born: int
    bounds: tuple[int, ...]
    cells: tuple[int, ...]
    exemplars: Mapping[int, Exemplar] = field(factory=dict)


def bounds_id(bounds: Sequence[int]) -> str:
    """A short name for bounds, the same in every process; "" for none."""
    return f"{crc32(repr(tuple(bounds)).encode()):08x}" if bounds else ""


class Ledger:
    """``rows``: where they live. What a row counts is its kind and its labels (see ``budget``)."""

    def __init__(self, rows: Rows, budget: Budget) -> None:
        self.rows = rows
        self.budget = budget
        self.exemplars: dict[int, dict[int, Exemplar]] = {}
        """By ``id`` of a row and place of a bucket in it; rows live as long as the ledger."""
        self._cells: dict[Key, tuple[Cells, int]] = {}
        self._bounds: dict[str, tuple[int, ...]] = {"": ()}
        self._written = {""}
        """Bounds, by id, that are where the rows are."""
        self._rests: dict[Key, Cells] = {}
        self._id_of = lru_cache(maxsize=8)(bounds_id)
        if isinstance(rows, FileRows):
            for record, cells in rows.old:
                self._restore(record.key, cells, record.born)

    def _restore(self, key: Key, cells: Cells, born: int) -> None:
        """A row of the worker before; it had room then."""
        if key[0] == _BOUNDS:
            self._bounds[key[1]] = tuple(map(int, key[2:]))
            self._written.add(key[1])
        elif known(key, len(cells), self._bounds):
            self._keep(key, cells, born)
            self.budget.admits(key[0], key[2:])

    def row(self, kind: str, labels: tuple[str, ...], bounds: tuple[int, ...], now: int) -> tuple[Cells, bool]:
        """The row of these labels, made if need be, or the one of ``other``; and whether it will be the same the next
        time. ``now``: ns of the monotonic clock."""
        labels = tuple(map(clean, labels))
        key = (kind, self._id_of(bounds), *labels)
        found = self._cells.get(key)
        if found is not None:
            return found[0], True
        rest = others(kind, labels)
        admitted = labels == rest or self.budget.admits(kind, labels)
        if admitted:
            cells = self._make(key, bounds, now)
            if cells is not None:
                return cells, True
        return self._always(kind, rest, bounds, now), not admitted

    def _always(self, kind: str, labels: tuple[str, ...], bounds: tuple[int, ...] = (), now: int = 0) -> Cells:
        """A row that there must be; where a file has no room just now, one that goes with the process."""
        key = (kind, self._id_of(bounds), *labels)
        found = self._cells.get(key)
        if found is not None:
            return found[0]
        cells = self._make(key, bounds, now)
        if cells is None:
            cells = MemoryRows().make(key, now, _width(bounds))
            self._bounds[key[1]] = bounds
            self._keep(key, cells, now)
        return cells

    def _make(self, key: Key, bounds: tuple[int, ...], now: int) -> Cells | None:
        if key[1] not in self._written:
            if self.rows.make((_BOUNDS, key[1], *map(str, bounds)), now, 0) is None:
                return None
            self._bounds[key[1]] = bounds
            self._written.add(key[1])
        cells = self.rows.make(key, now, _width(bounds))
        if cells is not None:
            self._keep(key, cells, now)
        return cells

    def _keep(self, key: Key, cells: Cells, born: int) -> None:
        self._cells[key] = (cells, born)
        if is_rest(key[0], key[2:]):
            self._rests[key] = cells

    @property
    def overflow(self) -> int:
        """How much was counted under ``other``, for want of room."""
        return sum(sum(cells[FIRST:]) if key[1] else cells[0] for key, cells in self._rests.items())

    def adopt(self, budget: Budget) -> None:
        """Goes on with a budget by another config; what there is has its place in it first."""
        for key, _ in sorted(self._cells.items(), key=lambda item: item[1][1]):
            budget.admits(key[0], key[2:])
        self.budget = budget

    def lag(self, now: int) -> Cells:
        """The row of the event loop's lag."""
        return self._always(LAG, (), LAG_BOUNDS, now)

    def __iter__(self) -> Iterator[Row]:
        """All rows as they are now. Any thread may ask while the loop counts on: each row is copied in one step."""
        for key, (cells, born) in list(self._cells.items()):
            exemplars = self.exemplars.get(id(cells))
            yield Row(
                key[0], key[2:], born, self._bounds[key[1]], tuple(cells), {} if exemplars is None else dict(exemplars)
            )

    def __len__(self) -> int:
        return len(self._cells)

    def close(self) -> None:
        """Lets the rows go."""
        self._cells = {}
        self.exemplars = {}
        self._rests = {}
        self.rows.close()


def _width(bounds: tuple[int, ...]) -> int:
    return FIRST + len(bounds) + 1 if bounds else 1


def known(key: Key, cells: int, bounds: dict[str, tuple[int, ...]]) -> bool:
    """True for a row that this version understands."""
    if len(key) < 2 or WIDTHS.get(key[0]) != len(key) - 2 or key[1] not in bounds:
        return False
    return cells == _width(bounds[key[1]])


def rows_of(records: Sequence[tuple[Key, int, tuple[int, ...]]]) -> Iterator[Row]:
    """The rows of another process's file, in the order in which they were made."""
    bounds: dict[str, tuple[int, ...]] = {"": ()}
    for key, born, cells in records:
        if key[:1] == (_BOUNDS,) and len(key) > 2:
            bounds[key[1]] = tuple(map(int, key[2:]))
        elif known(key, len(cells), bounds):
            yield Row(key[0], key[2:], born, bounds[key[1]], cells)


def clean(text: str) -> str:
    """A label value: text that UTF-8 can say, and not too long."""
    if len(text) > LONGEST:
        return OTHER
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
