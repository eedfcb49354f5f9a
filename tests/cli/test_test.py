"""``test``: the contract of a plugin and the faults of a config, in this process and in one of its own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from spork_core.cli.app import spork
from tests.cli.conftest import Spork

ROOT = Path(__file__).parents[2]
CONFIG = """\
services:
  users: {endpoints: [http://127.0.0.1:9001, http://127.0.0.1:9002]}
plugins: {access-log: {}, request-id: {}}
chain: [request-id, access-log]
routes:
  user: {match: {path: "/users/{id}", host: api.example.com}, service: users}
  rest: {match: {path: /rest/*, methods: [POST]}, service: users}
"""


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "faulthandler", "-m", "spork_core", *map(str, arguments)]
    # Buffered, as where people run it: what goes wrong when Python ends is seen only so.
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SPORK_", "PYTHONUNBUFFERED"))}
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, cwd=ROOT, env=environ)


@pytest.fixture
def file(folder: Path) -> Path:
    path = folder / "spork.yaml"
    path.write_text(CONFIG)
    return path


# -- faults -------------------------------------------------------------------------------------------


def test_the_image_s_config_is_sound() -> None:
    """given the config of docker/, when it is tested as a process, then it prints a table and a verdict, and no logs"""
    done = process("test", "--faults", "docker/spork.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "everything: GET /   Host: gateway.test"
    assert lines[1].split() == ["fault", "status", "waited", "answer", "reached", "afterwards"]
    assert "  silent          504 upstream-timeout         15 s    whole   1         as before" in lines
    assert lines[-1].startswith("docker/spork.yaml: fine: every answer was well-formed")
    assert '"status":' not in done.stdout  # of the access log


def test_every_route_has_its_table(run: Spork, file: Path) -> None:
    done = run("test", "--faults")
    assert done.exit_code == 0
    assert "user: GET /users/1   Host: api.example.com" in done.output
    assert "rest: POST /rest/x   Host: gateway.test" in done.output
    assert done.output.count("one endpoint dead") == 2


def test_as_json(file: Path) -> None:
    done = process("test", "--faults", file, "--json", "--request", "GET http://api.example.com/users/7", "-H", "A: b")
    found = json.loads(done.stdout)
    assert (found["ok"], found["file"], found["skipped"]) == (True, str(file), {})
    (route,) = found["routes"]
    assert (route["request"], route["host"], len(route["results"])) == ("GET /users/7", "api.example.com", 18)


def test_a_client_that_hangs_is_a_fault_with_a_remedy(run: Spork, file: Path) -> None:
    file.write_text(CONFIG.replace("9002]", "9002], timeouts: {response: 5m}"))
    done = run("test", "--faults", file, "--request", "POST /rest/x", "--patience", "20s")
    assert done.exit_code == 1
    remedy = "no answer within 20 s: services.users.timeouts.response is 5m; set it below 20s"
    assert f"✗ rest, silent: {remedy}" in done.output
    assert "silent             none" in done.output


def test_a_route_of_which_no_sample_can_be_made_is_named(run: Spork, file: Path) -> None:
    file.write_text(f'{CONFIG}  odd: {{match: {{path: "~/€"}}, service: users}}\n')
    done = run("test", "--faults", file)
    assert 'odd: not asked: no text was found that "~/€" matches; name a request with --request' in done.output


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("routes: {a: {mtch: {}}}", 'unknown key; did you mean "match"?'),
        ("routes: {a: {match: {}, service: x}}", "$.routes.a.service"),
    ],
)
def test_a_config_that_is_not_sound(run: Spork, file: Path, text: str, wanted: str) -> None:
    file.write_text(text)
    done = run("test", "--faults", file)
    assert done.exit_code == 78
    assert wanted in done.output


def test_a_file_that_is_not_there(run: Spork, folder: Path) -> None:
    assert run("test", "--faults", "nope.yaml").exit_code == 78
    assert run("test", "--faults").exit_code == 78


def test_nothing_to_ask(run: Spork, file: Path) -> None:
    file.write_text("routes: {}")
    done = run("test", "--faults", file)
    assert done.exit_code == 1
    assert "there is nothing to ask (there is no route)" in done.output


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (("--faults", "--request", "/x"), '"/x" is no request; write "GET /x"'),
        (("--faults", "--request", "GET /nowhere"), "takes no route"),
        (("--faults", "-H", "nothing"), '"nothing" is no header field'),
        (("--faults", "--patience", "soon"), "--patience"),
        (("--faults", "--config", "{}"), "--config is the settings of a plugin"),
        (("headers", "--request", "GET /"), "--request and -H are for --faults"),
        (("headers", "--config", "{nothing"), "this is no JSON"),
        (("headers", "--config", "nothing.yaml"), "cannot be read"),
        (("headers", "--config", "list.yaml"), "settings are a mapping"),
    ],
)
def test_bad_arguments_say_what_to_write(run: Spork, file: Path, arguments: tuple[str, ...], wanted: str) -> None:
    (file.parent / "list.yaml").write_text("- 1")
    done = run("test", *arguments)
    assert done.exit_code == 2
    assert wanted in done.output


# -- contracts ----------------------------------------------------------------------------------------


def test_without_arguments_it_teaches(run: Spork) -> None:
    done = run("test")
    assert done.exit_code == 0
    assert "spork test --faults FILE" in done.output


def test_a_plugin_that_nobody_has_installed(run: Spork) -> None:
    done = run("test", "no-such-plugin")
    assert done.exit_code == 1
    assert "✗ The plugin loads by its entry point" in done.output
    assert 'Found:  no installed distribution has an entry point "no-such-plugin"' in done.output
    assert "Remedy: " in done.output


@pytest.mark.slow
@pytest.mark.parametrize("form", ["json", "file"])
def test_the_contract_of_a_plugin(form: str, folder: Path) -> None:
    settings: dict[str, Any] = {"response": {"set": {"X-A": "b"}}}
    given = json.dumps(settings)
    if form == "file":
        (folder / "settings.yaml").write_text("response: {set: {X-A: b}}")
        given = str(folder / "settings.yaml")
    done = process("test", "headers", "--config", given, "--json")
    found = json.loads(done.stdout)
    assert [law for law in found["laws"] if not law["holds"]] == []
    assert (found["plugin"], found["ok"], done.returncode) == ("headers", True, 0), done.stderr


def test_the_kit_is_an_extra_and_says_so(run: Spork, monkeypatch: pytest.MonkeyPatch) -> None:
    """given an environment without the extra, when the kit is asked for, then what to install is said"""
    there: Callable[..., Any] = util.find_spec
    monkeypatch.setattr(
        "spork_core.cli.commands.test.find_spec", lambda name: there(name) if name != "pytest" else None
    )
    done: Result = run("test", "headers")
    assert done.exit_code == 1
    assert "the test kit needs pytest" in done.output
    assert "pip install 'spork-core[testing]'" in done.output


def test_help_imports_nothing_of_the_kit() -> None:
    code = (
        "import sys; from spork_core.cli import main; sys.argv[1:] = ['--help']\ntry: main()\nexcept SystemExit: pass\n"
    )
    code += "assert 'spork_core.testing' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=20)
    assert "test" in spork.list_commands(None)  # type: ignore[arg-type]  # it looks at no context
