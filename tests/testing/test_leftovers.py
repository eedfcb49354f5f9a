"""What is left over is named: tasks by the line where they wait, threads by their function, files by their path."""

import asyncio
import threading
from pathlib import Path

from spork_core.testing.leftovers import descriptors, named, opened, tasks, thread_names, threads


async def waits() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_task_is_named_with_the_line_where_it_waits() -> None:
    before = tasks()
    task = asyncio.create_task(waits(), name="forgotten")
    await asyncio.sleep(0)

    (name,) = named(tasks() - before)
    task.cancel()

    assert name.startswith("the task forgotten (")
    assert f"{Path(__file__).name}:{waits.__code__.co_firstlineno + 1}" in name


async def test_a_task_that_has_not_begun_is_named_with_its_function() -> None:
    task = asyncio.create_task(waits(), name="new")

    (name,) = named([task])
    task.cancel()

    assert f"{Path(__file__).name}:{waits.__code__.co_firstlineno}" in name


def test_a_thread_is_named_with_its_function() -> None:
    over, before = threading.Event(), threads()

    def work() -> None:
        over.wait(10)

    thread = threading.Thread(target=work, name="worker")
    thread.start()
    (name,) = thread_names(threads() - before)
    over.set()
    thread.join()

    assert name.startswith("the thread worker (")
    assert Path(__file__).name in name


def test_an_open_file_is_named_with_its_path(tmp_path: Path) -> None:
    path, before = tmp_path / "left", descriptors()

    with path.open("w"):
        found = opened(before, descriptors())

    assert found == [f"the open file {path}"]
    assert opened(before, descriptors()) == []
