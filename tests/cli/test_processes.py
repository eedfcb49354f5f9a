"""``run``, ``health``, ``reload`` and ``demo`` as processes, over real sockets."""

import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.cli.conftest import Spork

CONFIG = """\
listen: 127.0.0.1:0
admin: {listen: 127.0.0.1:0}
services: {none: {endpoints: [http://127.0.0.1:1]}}
plugins: {request-id: {}}
chain: [request-id]
routes: {all: {match: {}, service: none}}
"""


class Process:
    """A running ``spork``, and the lines it has printed. ``program``: how it is called."""

    def __init__(self, *arguments: object, program: tuple[object, ...] = (sys.executable, "-m", "spork_core")) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SPORK_")}
        self.process = subprocess.Popen(
            [str(part) for part in (*program, *arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**environ, "PYTHONUNBUFFERED": "1"},
        )
        assert self.process.stdout is not None
        self.output: IO[str] = self.process.stdout

    def until(self, pattern: str) -> str:
        """What the first group matches in the line that has it."""
        seen = ""
        for line in self.output:
            seen += line
            if found := re.search(pattern, line):
                return found[1] if found.groups() else found[0]
        raise AssertionError(f"no line with {pattern} in:\n{seen}")

    def stop(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(20)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.output.close()


@pytest.fixture
def started() -> Iterator[list[Process]]:
    """Processes to be ended with the test."""
    processes: list[Process] = []
    yield processes
    for process in processes:
        process.close()


def get(address: str, path: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection(address, timeout=10)
    try:
        connection.request(method, path)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read().decode()
    finally:
        connection.close()


def test_run_says_where_it_is_and_stops_when_told(run: Spork, folder: Path, started: list[Process]) -> None:
    file, pidfile = folder / "spork.yaml", folder / "pid"
    file.write_text(CONFIG)
    started.append(gateway := Process("run", file, "--pidfile", pidfile))
    public = gateway.until(r"listening on http://(\S+)")
    admin = gateway.until(r"admin on http://(\S+)")
    gateway.until("stop: Ctrl-C or SIGTERM")

    assert get(public, "/x")[0] == 502
    assert run("health", "--admin", admin).output == "ok\n"
    assert "request-id  request-id  spork-request-id" in run("plugins", "--admin", f"http://{admin}").output
    assert pidfile.read_text() == f"{gateway.process.pid}\n"
    assert gateway.stop(signal.SIGTERM) == 0
    assert run("health", "--admin", admin).exit_code == 1


def test_reload_reports_how_it_went(run: Spork, folder: Path, started: list[Process]) -> None:
    file, pidfile = folder / "spork.yaml", folder / "pid"
    file.write_text(CONFIG)
    started.append(gateway := Process("run", file, "--pidfile", pidfile))
    admin = gateway.until(r"admin on http://(\S+)")
    gateway.until("stop: Ctrl-C")

    file.write_text(CONFIG.replace("match: {}", "match: {path: /a}"))
    assert run("reload", "--admin", admin).output == "reloaded: 1 route, 1 instance\n"

    file.write_text(CONFIG.replace("match: {}", "mtch: {}"))
    failed = run("reload", file, "--admin", admin, "--pidfile", pidfile)
    assert failed.exit_code == 1
    assert 'unknown key; did you mean "match"?' in failed.output
    assert "goes on with the old one" in failed.output


def test_a_taken_address_is_no_traceback(folder: Path, started: list[Process]) -> None:
    file = folder / "spork.yaml"
    file.write_text(CONFIG)
    started.append(first := Process("run", file))
    public = first.until(r"listening on http://(\S+)")

    started.append(second := Process("run", file, "--listen", public))

    assert second.until("Next: (.*)") == "stop what listens there, or choose another address with --listen"
    assert second.process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_the_demo_ends_when_it_is_told_to(started: list[Process], number: signal.Signals) -> None:
    started.append(demo := Process("demo", "--port", 0))
    demo.until(r"^  spork demo --show-config")

    assert demo.stop(number) == 0
    assert demo.output.read().endswith("stopped\n")


def test_the_demos_config_can_be_kept(run: Spork, folder: Path) -> None:
    (folder / "spork.yaml").write_text(run("demo", "--show-config").output)

    assert "spork.yaml: fine" in run("check").output
    assert "→  echo" in run("explain", "GET", "/tools/echo").output
