"""The benchmarks run: those that need nothing but Spork, and the reading of what wrk says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.load import parse
from benchmarks.report import Section, Target, as_markdown

ROOT = Path(__file__).parent.parent
SAID = """\
Running 2s test @ http://127.0.0.1:8080/
  Latency Distribution
     50%   26.18ms
     75%   39.83ms
     90%  383.08ms
     99%    1.48s{space}
  36656 requests in 2.09s, 8.53MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 5
Requests/sec:  17557.17
""".format(space=" ")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


def test_what_needs_no_tools_is_measured(tmp_path: Path) -> None:
    done = run("--quick", "--only", "dispatch,exchange", "--json", str(tmp_path / "figures.json"))

    assert done.returncode == 0, done.stderr
    assert "compiled pipeline" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["sections"][1]["rows"][0][0] == "bare (no plugins)"
    assert "four plugins" in done.stdout  # measured, or skipped because they are not installed
    assert figures["targets"][2]["value"] == 0  # calls of hooks on a route without plugins


def test_help_teaches() -> None:
    done = run("--help")

    assert done.returncode == 0
    assert "examples:" in done.stdout


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--write", "--quick"], ["--rounds", "0"]])
def test_wrong_usage_is_told(arguments: list[str]) -> None:
    assert run(*arguments).returncode == 2


def test_wrk_is_read() -> None:
    said = parse(SAID)

    assert (said.rate, said.requests) == (17557.17, 36656)
    assert (said.p50_ms, said.p99_ms) == (26.18, 1480.0)
    assert (said.errors, said.timeouts) == (1 + 2 + 3 + 5, 4)


def test_wrk_that_failed_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="unable to connect"):
        parse("unable to connect to 127.0.0.1:1 Connection refused")


def test_the_page_says_what_was_missed_and_skipped() -> None:
    target = Target("memory idle", 61.0, 60.0, " MiB", most=True)
    section = Section("memory", "Memory", "How.", ("proxy",), [("spork",)], [target], ["envoy: skipped."])

    page = as_markdown([section], [("CPU", "one")], "python -m benchmarks --write")

    assert "| memory idle | ≤ 60.0 MiB | 61.0 MiB |  | **not met** |" in page
    assert "> envoy: skipped." in page
