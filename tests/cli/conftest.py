"""What the tests of the command line share: a sound config file, and a way to run a command."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from spork_core.cli.app import spork

CONFIG = """\
listen: 127.0.0.1:8080
services:
  users:
    endpoints: [http://127.0.0.1:9001, {url: http://127.0.0.1:9002, weight: 3}]
  spare:
    endpoints: [http://127.0.0.1:9003]
    timeouts: {total: 20s}
    chain: [stamp]
plugins:
  request-id: {}
  access-log: {}
  secure: {use: security-headers, enabled: false}
  tag: {use: headers, response: {set: {X-Tag: a}}}
  stamp: {use: headers, request: {set: {X-Stamp: b}}}
chain: [request-id, access-log, secure]
routes:
  user:
    match: {host: api.example.com, path: "/api/users/{id}", methods: [GET, PUT]}
    rewrite: {strip_prefix: /api, set_headers: {X-From: gateway}, remove_headers: [X-Debug]}
    service: users
    body_limit: 1KiB
    chain: [tag]
    without: [access-log]
  rest:
    match: {path: /rest/*}
    rewrite: {host: rest.internal}
    service: spare
"""

Spork = Callable[..., Result]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with nothing in it and nothing set outside."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    for name in ("SPORK_CONFIG", "SPORK_LISTEN", "SPORK_ADMIN_LISTEN", "SPORK_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def config(folder: Path) -> Path:
    """``spork.yaml`` of the working directory."""
    file = folder / "spork.yaml"
    file.write_text(CONFIG)
    return file


@pytest.fixture
def run(folder: Path) -> Spork:
    """Runs ``spork`` with arguments."""

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(spork, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run
