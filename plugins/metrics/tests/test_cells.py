"""Rows in files: what one process writes another reads, whatever the last one left."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spork_metrics.budget import REQUEST, Budget
from spork_metrics.cells import SEGMENT, BadFile, FileRows, Owner, Taken, read
from spork_metrics.ledger import FIRST, Ledger, rows_of
from spork_metrics.run import Run, Unusable, alive, started

ME = Owner(os.getpid(), started(os.getpid()) or 0)
BOUNDS = (10**9,)
LABELS = ("route", "service", "GET", "200", "upstream")

rows = st.lists(
    st.tuples(st.lists(st.text(max_size=20), max_size=5), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30)),
    max_size=30,
)


def opened(path: Path) -> FileRows:
    found = FileRows(path)
    found.open(ME)
    return found


@given(wanted=rows)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[list[str], list[int]]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.0.0.rows"
    file = opened(path)
    for born, (key, values) in enumerate(wanted):
        key = [text.encode("utf-8", "replace").decode() for text in key]
        cells = file.make(tuple(key), born, len(values))
        for at, value in enumerate(values):
            cells[at] = value
        del cells

    owner, records = read(path)
    file.close()

    assert owner == ME
    assert [(record.born, record.cells) for record in records] == [
        (born, tuple(values)) for born, (_, values) in enumerate(wanted)
    ]


@given(cut=st.integers(0, 3000), junk=st.binary(max_size=200))
def test_a_file_that_is_cut_or_overwritten_is_bad_or_read_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("rows") / "a.0.0.rows"
    file = opened(path)
    for at in range(20):
        file.make((str(at), "", "x"), at, 3)
    file.close()
    data = path.read_bytes()[:4096]
    path.write_bytes(data[:cut] + junk + data[cut + len(junk) :])

    try:
        read(path)
    except BadFile:
        pass

    opened(path).close()
    read(path)


def test_files_grow_by_segments_and_rows_never_straddle_two(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.0.0.rows")
    made = 0
    while made < 3000:
        if file.make((f"row {made}", ""), made, 30) is None:
            assert file.tight
            file.grow()
        else:
            made += 1

    _, records = read(file.path)
    file.close()

    assert [record.key[0] for record in records] == [f"row {at}" for at in range(3000)]
    assert file.path.stat().st_size % SEGMENT == 0


def test_who_comes_goes_on_in_the_same_rows(tmp_path: Path) -> None:
    first = Ledger(opened(tmp_path / "a.0.0.rows"), Budget(500, 1, (), 0))
    first.row(REQUEST, LABELS, BOUNDS, 5)[0][FIRST] += 7
    first.close()

    second = Ledger(opened(tmp_path / "a.0.0.rows"), Budget(500, 1, (), 0))
    second.row(REQUEST, LABELS, BOUNDS, 9)[0][FIRST] += 1

    (row,) = [row for row in second if row.kind == REQUEST]
    assert (row.labels, row.born, row.cells[FIRST]) == (LABELS, 5, 8)
    assert second.budget.series == first.budget.series
    second.close()


def test_a_full_file_counts_on_under_other_until_it_has_grown(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.0.0.rows")
    ledger = Ledger(file, Budget(1_000_000, 1, (), 0))
    at = 0
    while ledger.row(REQUEST, (str(at), *LABELS[1:]), BOUNDS, at)[1]:
        at += 1
    ledger.row(REQUEST, (str(at), *LABELS[1:]), BOUNDS, at)[0][FIRST] += 1
    file.grow()
    assert ledger.row(REQUEST, (str(at), *LABELS[1:]), BOUNDS, at)[1]

    counted = [row for row in ledger if row.labels == ("other",) * 5]
    assert [row.cells[FIRST] for row in counted] == [1]
    ledger.close()


def test_one_writes_at_a_time(tmp_path: Path) -> None:
    file = opened(tmp_path / "a.0.0.rows")
    another = FileRows(file.path)
    with pytest.raises(Taken):
        another.open(ME)
    another.close()
    file.close()
    opened(file.path).close()


def test_rows_of_another_version_are_left_alone() -> None:
    records = [
        (("request", "", "too", "few"), 1, (1,)),
        (("later", "", "x"), 2, (1,)),
        (("retry", "", "a", "b"), 3, (4,)),
        ((), 4, ()),
    ]

    assert [(row.kind, row.cells) for row in rows_of(records)] == [("retry", (4,))]


# -- the folder of a run ------------------------------------------------------------------------------


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    run = Run.of(str(tmp_path), "metrics")
    run.folder.chmod(0o777)

    with pytest.raises(Unusable, match="belongs to somebody else"):
        Run.of(str(tmp_path), "metrics")

    run.folder.chmod(0o700)
    run.folder.rename(tmp_path / "elsewhere")
    run.folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Unusable):
        Run.of(str(tmp_path), "metrics")


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="no folder can be made"):
        Run.of(str(tmp_path / "none"), "metrics")


def test_names_of_instances_do_not_meet(tmp_path: Path) -> None:
    run, dotted = Run.of(str(tmp_path), "a"), Run.of(str(tmp_path), "a.0/*")

    run.open(0, ME).close()
    dotted.open(0, ME).close()

    assert (len(run.files()), len(dotted.files())) == (1, 1)


@pytest.mark.skipif(sys.platform != "linux", reason="where there is no /proc a pid alone says who it is")
def test_pids_that_come_again_are_somebody_else() -> None:
    assert alive(ME)
    assert not alive(Owner(ME.pid, ME.start - 1))
    assert not alive(Owner(ME.pid, ME.start, left=True))
