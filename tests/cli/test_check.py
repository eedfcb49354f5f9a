"""``spork check``: which file, all its faults, its warnings, as text and as JSON."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import CONFIG, Spork


def test_a_sound_file_gets_a_summary(run: Spork, config: Path) -> None:
    result = run("check")

    assert result.exit_code == 0
    assert "spork.yaml: fine (2 routes, 2 services, 5 instances)\n" in result.output


def test_every_fault_has_its_place_and_remedy(run: Spork, config: Path) -> None:
    config.write_text(CONFIG.replace("path: /rest/*", "pth: /rest/*").replace("service: spare", "service: sparse"))

    result = run("check", config)

    assert result.exit_code == 78
    assert f'{config}:25:13 $.routes.rest.match.pth: unknown key; did you mean "path"?' in result.output
    assert 'there is no service "sparse"; did you mean "spare"?' in result.output
    assert result.output.endswith("2 problems\n")


def test_what_only_building_finds_has_a_place_too(run: Spork, config: Path) -> None:
    config.write_text(CONFIG.replace("service: spare", "service: spare\n    authenticate: required"))

    result = run("check", "spork.yaml")

    assert result.exit_code == 78
    assert "spork.yaml:28:19 $.routes.rest.authenticate: the route requires an identity" in result.output


def test_json_holds_the_problems(run: Spork, config: Path) -> None:
    config.write_text(CONFIG.replace("workers", "w").replace("listen:", "lisen:"))

    result = run("check", "--json")
    found = json.loads(result.stdout)

    assert result.exit_code == 78
    assert found["ok"] is False
    assert found["problems"][0]["path"] == "$.lisen"
    assert found["problems"][0]["remedy"] == 'did you mean "listen"?'


def test_warnings_do_not_fail(run: Spork, config: Path) -> None:
    config.write_text(CONFIG.replace("chain: [tag]", "chain: []").replace("service: spare", "service: users"))

    result = run("check", "--json")

    assert result.exit_code == 0
    assert json.loads(result.stdout)["warnings"] == [
        'plugin instance "tag" is in no chain, so it does nothing',
        'plugin instance "stamp" is in no chain, so it does nothing',
        'no route forwards to service "spare"',
    ]


def test_the_environment_names_the_file(run: Spork, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = config.rename(config.with_name("other.yaml"))
    monkeypatch.setenv("SPORK_CONFIG", str(other))

    assert f"{other}: fine" in run("check").output


def test_the_home_directory_is_looked_at(run: Spork, config: Path, folder: Path) -> None:
    home = folder / "xdg" / "spork"
    home.mkdir(parents=True)
    config.rename(home / "spork.yaml")

    assert "fine" in run("check").output


def test_a_file_that_is_not_there_is_no_traceback(run: Spork) -> None:
    result = run("check", "nowhere.yaml")

    assert result.exit_code == 78
    assert "nowhere.yaml: $: cannot be read: No such file or directory" in result.output


@pytest.mark.slow
def test_a_thousand_routes_take_two_seconds_at_most(folder: Path) -> None:
    routes = "".join(
        f"  r{n}: {{match: {{host: h{n % 7}.example.com, path: '/v{n}/users/{{id}}', methods: [GET]}}, service: a}}\n"
        for n in range(1000)
    )
    (folder / "spork.yaml").write_text(f"services: {{a: {{endpoints: [http://127.0.0.1:1]}}}}\nroutes:\n{routes}")

    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "spork_core", "check"], capture_output=True, text=True, check=True)

    assert "1000 routes" in done.stdout
    assert time.perf_counter() - started < 2
