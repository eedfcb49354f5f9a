"""The buffer and its thread, on real files and pipes."""

import fcntl
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from spork_access_log import writer as module
from spork_access_log.writer import Writer, portions

LOG = logging.getLogger("test.access-log")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def to_pipe(end: int, monkeypatch: pytest.MonkeyPatch, limit: int = 1 << 20) -> Writer:
    monkeypatch.setitem(module.STANDARD, "/dev/stdout", end)
    return Writer("/dev/stdout", limit)


def test_lines_arrive_whole_and_in_order(path: Path) -> None:
    writer = Writer(str(path), 1 << 20)
    writer.start(LOG)
    for number in range(5000):
        writer.put(f"line {number}\n")
    writer.stop()

    assert path.read_text() == "".join(f"line {number}\n" for number in range(5000))
    assert (writer.written, writer.dropped, writer.lost, writer.waiting) == (5000, 0, 0, 0)


def test_a_line_is_written_without_a_stop(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    writer = to_pipe(pipe[1], monkeypatch)
    writer.start(LOG)
    for line in (b"one\n", b"two\n"):
        writer.put(line.decode())

        assert os.read(pipe[0], 100) == line
    writer.stop()


def test_a_full_buffer_drops_and_counts(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(str(path), 10)
    for line in ("1234\n", "5678\n", "9\n"):
        writer.put(line)

    writer.start(LOG)
    writer.stop()

    assert (path.read_text(), writer.written, writer.dropped) == ("1234\n5678\n", 2, 1)
    assert "1 access log lines" in caplog.text


def test_room_comes_back_when_lines_are_written(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    writer = to_pipe(pipe[1], monkeypatch, limit=5)
    writer.start(LOG)
    writer.put("1234\n")
    os.read(pipe[0], 100)
    writer.stop()

    writer.put("5678\n")

    assert (writer.dropped, writer.waiting) == (0, 5)


def test_a_rotated_file_is_opened_anew(path: Path) -> None:
    writer = Writer(str(path), 1 << 20)
    writer.start(LOG)
    writer.stop()
    path.rename(path.with_suffix(".1"))

    writer.put("after\n")
    writer.start(LOG)
    writer.stop()

    assert path.read_text() == "after\n"


def test_a_file_rotated_under_the_running_thread_is_opened_anew(path: Path) -> None:
    writer = Writer(str(path), 1 << 20)
    writer.start(LOG)
    path.rename(path.with_suffix(".1"))
    writer.put("after\n")
    writer.stop()

    assert (path.read_text(), path.with_suffix(".1").read_text()) == ("after\n", "")


def test_lines_that_cannot_be_written_are_counted(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = path.parent / "sub"
    folder.mkdir()
    writer = Writer(str(folder / "access.log"), 1 << 20)
    writer.start(LOG)
    (folder / "access.log").unlink()
    folder.rmdir()
    writer.put("lost\n")
    writer.stop()

    assert (writer.written, writer.lost, writer.waiting) == (0, 1, 0)
    assert writer.error == "No such file or directory"
    assert "1 access log lines" in caplog.text


def test_a_closed_pipe_costs_lines_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    writer = to_pipe(writing, monkeypatch)
    writer.start(LOG)
    writer.put("lost\n")
    writer.stop()
    os.close(writing)

    assert (writer.lost, writer.error) == (1, "Broken pipe")


def test_a_stuck_pipe_never_blocks_put(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    writer = to_pipe(pipe[1], monkeypatch, limit=100_000)
    writer.start(LOG)
    for _ in range(2000):
        writer.put("x" * 99 + "\n")

    assert writer.dropped > 900
    reader = threading.Thread(target=drained, args=(pipe[0], (2000 - writer.dropped) * 100))
    reader.start()
    writer.stop()
    reader.join()
    assert writer.written == 2000 - writer.dropped


def test_a_non_blocking_pipe_is_waited_for(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl.fcntl(pipe[1], fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(pipe[1], False)
    writer = to_pipe(pipe[1], monkeypatch)
    writer.start(LOG)
    for _ in range(200):
        writer.put("x" * 99 + "\n")
    reader = threading.Thread(target=drained, args=(pipe[0], 20_000))
    reader.start()
    writer.stop()
    reader.join()

    assert (writer.written, writer.lost) == (200, 0)


def drained(end: int, size: int) -> None:
    while size > 0:
        size -= len(os.read(end, 65536))


def test_after_a_torn_line_the_next_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, room = os.write, [3]

    def full_disk(fd: int, data: memoryview) -> int:
        if not room:
            raise OSError(28, "No space left on device")
        return write(fd, data[: room.pop()])

    writer = Writer(str(path), 1 << 20)
    monkeypatch.setattr(os, "write", full_disk)
    writer.put("first\n")
    writer.start(LOG)
    writer.stop()
    monkeypatch.setattr(os, "write", write)
    writer.put("second\n")
    writer.start(LOG)
    writer.stop()

    assert (path.read_text(), writer.lost, writer.error) == ("fir\nsecond\n", 1, None)


def test_a_pipe_nobody_reads_is_refused_at_once(path: Path) -> None:
    os.mkfifo(path)

    with pytest.raises(OSError, match="No such device"):
        Writer(str(path), 1 << 20).start(LOG)


def test_stop_without_start_does_nothing(path: Path) -> None:
    Writer(str(path), 1 << 20).stop()

    assert not path.exists()


def test_portions_are_whole_lines_no_longer_than_a_pipe_takes_at_once() -> None:
    lines = ["a" * 40, "b" * 40, "c" * 40, "d" * 200, "e"]

    assert [[line[0] for line in group] for group in portions(lines, 100)] == [["a", "b"], ["c"], ["d"], ["e"]]
