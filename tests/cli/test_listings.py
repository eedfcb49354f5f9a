"""``routes``, ``plugins``, ``config``, ``schema`` and ``init``: what they print, and that it can be used."""

import json
from pathlib import Path

import pytest

from spork_core.cli.commands.init import starter
from spork_core.config import loads
from spork_core.demo import config as demo_config
from spork_core.registry import Registry
from tests.cli.conftest import CONFIG, Spork


def test_routes_shows_the_whole_chain(run: Spork, config: Path) -> None:
    lines = run("routes").output.splitlines()

    assert lines[0].split() == ["route", "host", "path", "methods", "service", "chain"]
    assert lines[1] == "user   api.example.com  /api/users/{id}  GET, PUT  users    request-id, tag"
    assert lines[2] == "rest   any              /rest/*          any       spare    request-id, access-log, stamp"


def test_routes_as_json(run: Spork, config: Path) -> None:
    assert [row["path"] for row in json.loads(run("routes", "--json").stdout)] == ["/api/users/{id}", "/rest/*"]


def test_plugins_lists_what_is_installed(run: Spork) -> None:
    rows = {row["plugin"]: row for row in json.loads(run("plugins", "--json").stdout)["installed"]}

    assert rows["request-id"]["hooks"] == ["pre_auth", "on_response", "startup"]
    assert rows["request-id"]["settings"] == ["header", "trust", "format", "echo"]
    assert rows["request-id"]["distribution"].startswith("spork-request-id ")


def test_plugins_shows_the_instances_of_a_file(run: Spork, config: Path) -> None:
    output = run("plugins", config).output

    assert "tag         headers           closed      on_response" in output
    assert "secure      security-headers  disabled    none" in output


def test_a_plugin_that_cannot_be_imported_is_a_row(run: Spork, monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib.metadata import EntryPoint

    from spork_core import registry

    monkeypatch.setattr(registry, "entry_points", lambda group: [EntryPoint("bad", "no_such_module:Bad", group)])

    result = run("plugins")

    assert result.exit_code == 0
    assert "cannot be imported (ModuleNotFoundError" in result.output


def test_config_shows_what_was_set_and_loads_back(run: Spork, config: Path) -> None:
    output = run("config").output

    again = loads(output, plugins=Registry(), environ={})

    assert "timeouts: {total: " in output
    assert "keep_alive" not in output
    assert again == loads(CONFIG, plugins=Registry(), environ={})


def test_config_dump_has_the_defaults_and_the_environment(
    run: Spork, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPORK_LISTEN", "127.0.0.1:9999")

    output = run("config", "--dump").output

    assert "keep_alive" in output
    assert "127.0.0.1:9999" in output


def test_schema_knows_the_installed_plugins(run: Spork) -> None:
    schema = json.loads(run("schema").stdout)

    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert "strip_prefix" in json.dumps(schema)
    assert "report_only" in json.dumps(schema)


def test_init_writes_a_file_that_is_sound(run: Spork, folder: Path) -> None:
    result = run("init", "--upstream", "http://127.0.0.1:3000")

    assert result.exit_code == 0
    assert "Next: spork check && spork run" in result.output
    assert run("check").exit_code == 0
    assert "http://127.0.0.1:3000" in (folder / "spork.yaml").read_text()


def test_init_overwrites_nothing(run: Spork, config: Path) -> None:
    result = run("init")

    assert result.exit_code == 1
    assert "spork.yaml is there already" in result.output
    assert config.read_text() == CONFIG


def test_init_refuses_an_upstream_that_is_none(run: Spork, folder: Path) -> None:
    result = run("init", "--upstream", "localhost")

    assert result.exit_code == 2
    assert "Invalid value for --upstream" in result.output
    assert not (folder / "spork.yaml").exists()


@pytest.mark.parametrize("installed", [set(), {"access-log"}])
def test_starters_name_no_plugin_that_is_missing(installed: set[str]) -> None:
    urls = {"users": "http://127.0.0.1:1", "echo": "http://127.0.0.1:2"}

    for text in (
        starter("http://[::1]:80", installed),
        demo_config.text("127.0.0.1:3", "127.0.0.1:4", urls, installed),
    ):
        assert set(loads(text, plugins=Registry(), environ={}).plugins) == installed
