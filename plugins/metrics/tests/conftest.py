"""A real Prometheus, from wherever it can be had without being installed."""

import asyncio
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.services import free_port

SCRAPE = """
global: {{scrape_interval: 200ms, scrape_timeout: 200ms}}
scrape_configs: [{{job_name: spork, static_configs: [{{targets: ["127.0.0.1:{target}"]}}]}}]
"""


class Prometheus:
    """A Prometheus that scrapes ``target``, an address on which a gateway may come to listen."""

    def __init__(self, binaries: Path, target: int, port: int) -> None:
        self.binaries = binaries
        """The folder with ``prometheus`` and ``promtool``."""
        self.target = target
        self._port = port

    async def ask(self, query: str) -> Any:
        """What it answers to a query in PromQL."""

        def fetch() -> Any:
            url = f"http://127.0.0.1:{self._port}/api/v1/query?query={quote(query)}"
            with urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]["result"]

        return await asyncio.to_thread(fetch)

    def check(self, what: str, *files: Path, page: str = "") -> str:
        """What ``promtool check`` finds; "" for nothing."""
        command = [self.binaries / "promtool", "check", what, *files]
        said = subprocess.run(command, input=page, capture_output=True, text=True, check=False)
        return said.stdout + said.stderr if said.returncode or said.stderr else ""


@pytest.fixture(scope="session")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus | str]:
    """It runs from the first test on, since it takes 5 s before it scrapes anything. A text says why there is none."""
    folder = tmp_path_factory.mktemp("prometheus")
    binaries = _binaries()
    if isinstance(binaries, str):
        yield binaries
        return
    target, port = free_port(), free_port()
    folder.joinpath("prometheus.yml").write_text(SCRAPE.format(target=target))
    command = [
        binaries / "prometheus",
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=tsdb",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (
        folder.joinpath("log").open("wb") as log,
        subprocess.Popen(command, cwd=folder, stdout=log, stderr=log) as process,
    ):
        yield Prometheus(binaries, target, port)
        process.kill()


def _binaries() -> Path | str:
    """Of Prometheus: those on the PATH, else of Debian's package, unpacked in the cache of this user. A text says why
    there are none."""
    found = shutil.which("promtool")
    if found is not None and shutil.which("prometheus") is not None:
        return Path(found).parent
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "spork-tests" / "prometheus"
    if not (cache / "usr/bin/promtool").exists():
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            return "neither Prometheus nor a Debian to take it from; install prometheus to run this"
        cache.mkdir(parents=True, exist_ok=True)
        try:
            _unpack(cache)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            return f"Prometheus cannot be had from Debian ({error}); install prometheus to run this"
    return cache / "usr/bin"


def _unpack(cache: Path) -> None:
    """Takes the package, by lists of our own where the system has none yet. Nothing is installed."""
    lists = cache / "lists"
    own = ["-o", f"Dir::State::Lists={lists}", "-o", f"Dir::Cache={cache}", "-o", f"APT::Sandbox::User={os.geteuid()}"]
    try:
        _run(cache, "apt-get", "download", "-q", "prometheus")
    except subprocess.CalledProcessError:
        (lists / "partial").mkdir(parents=True, exist_ok=True)
        _run(cache, "apt-get", *own, "update", "-q")
        _run(cache, "apt-get", *own, "download", "-q", "prometheus")
    (package,) = cache.glob("prometheus_*.deb")
    _run(cache, "dpkg-deb", "-x", package.name, ".")
    package.unlink()


def _run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=100)
