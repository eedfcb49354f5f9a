"""The benchmarks run: those that need nothing but Spork, and the reading of what wrk says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import bearer
from benchmarks.alone import PLUGINS, Others, near_quickest, text_of
from benchmarks.load import parse
from benchmarks.options import CONFIGS
from benchmarks.report import Section, Target, as_markdown
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.valkey import info_number
from spork_core.config import load, loads
from spork_core.registry import Registry

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
    done = run("--quick", "--only", "dispatch,exchange,plugins-alone", "--json", str(tmp_path / "figures.json"))

    assert done.returncode == 0, done.stderr
    assert "compiled pipeline" in done.stdout
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["sections"][1]["rows"][0][0] == "bare (no plugins)"
    assert "four plugins" in done.stdout  # measured, or skipped because they are not installed
    assert figures["targets"][2]["value"] == 0  # calls of hooks on a route without plugins
    assert figures["sections"][2]["name"] == "plugins-alone"
    assert not any(section["failed"] for section in figures["sections"])


def test_help_teaches() -> None:
    done = run("--help")

    assert done.returncode == 0
    assert "examples:" in done.stdout
    assert all(f"proxy-{each.name} " in done.stdout for each in SCENARIOS)


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


def test_valkey_is_read() -> None:
    said = "# Stats\r\ntotal_commands_processed:7\r\nkeyspace_hits:42\r\n"

    assert info_number(said, "keyspace_hits") == 42
    with pytest.raises(RuntimeError, match="says no keyspace_misses"):
        info_number(said, "keyspace_misses")


def test_a_slice_near_the_quickest_counts() -> None:
    times = [float(number) for number in reversed(range(100))]

    assert near_quickest(times) == 2.0


@pytest.mark.parametrize("file", sorted(CONFIGS.glob("*.yaml")), ids=lambda file: file.name)
def test_configs_are_sound(file: Path) -> None:
    config = load(file, plugins=Registry(), environ={"SPORK_BENCH_STORE": "unix:///run/valkey"})

    assert list(config.routes) == ["all"]


def test_the_whole_chain_has_nine_plugins_and_knows_the_token() -> None:
    config = load(CONFIGS / "full.yaml", plugins=Registry(), environ={})

    assert len(config.chain) == 9
    assert bearer.SECRET.decode() in (CONFIGS / "full.yaml").read_text()


def test_configs_of_each_plugin_by_itself_are_sound() -> None:
    registry = Registry({"others": Others} | {name: Registry().plugin_class(name) for name in PLUGINS})

    config = loads(text_of(tuple(PLUGINS)), plugins=registry)

    assert list(config.chain) == ["others", *PLUGINS]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_promises_are_made_against_what_is_measured(scenario: Scenario) -> None:
    names = [scenario.subject.name, *(each.name for each in scenario.beside), *scenario.against]

    assert len(set(names)) == len(names)
    assert {promise.against for promise in scenario.promises} <= set(names[1:])


def test_the_page_says_what_was_missed_and_skipped() -> None:
    target = Target("memory idle", 61.0, 60.0, " MiB", most=True)
    section = Section("memory", "Memory", "How.", ("proxy",), [("spork",)], [target], ["envoy: skipped."])

    page = as_markdown([section], [("CPU", "one")], "python -m benchmarks --write")

    assert "| memory idle | ≤ 60.0 MiB | 61.0 MiB |  | **not met** |" in page
    assert "> envoy: skipped." in page
