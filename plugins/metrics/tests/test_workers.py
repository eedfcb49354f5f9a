"""Two real workers behind one socket: their numbers together, over deaths and replacements."""

import asyncio
import json
import os
import platform
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.processes import Client, GatewayProcess, backend, gateway_process, get

pytestmark = pytest.mark.timeout(300)  # Prometheus may have to be downloaded
RUN = """
import runpy, sys
sys.argv = ["spork", "run", *sys.argv[1:]]
runpy.run_module("spork_core", run_name="__main__")
"""
CONFIG = """
listen: 127.0.0.1:0
admin: {{listen: 127.0.0.1:{admin}}}
workers: 2
timeouts: {{drain: 1s}}
services: {{b: {{endpoints: ["{url}"]}}}}
plugins: {{metrics: {{directory: "{folder}", {more}}}}}
chain: [metrics]
routes: {{all: {{match: {{}}, service: b}}}}
"""
ALL = {"route": "all", "service": "b"}
MOST = 8.0
"""Seconds that anything may take."""

Page = dict[tuple[str, frozenset[tuple[str, str]]], float]


def key(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return name, frozenset(labels.items())


REQUESTS = key("spork_http_requests_total", **ALL, method="GET", code="200", source="upstream")


CALLS = key("spork_hook_calls_total", instance="metrics", hook="on_complete")
CPU = key("process_cpu_seconds_total")


def read(text: str) -> Page:
    families = text_string_to_metric_families(text)
    return {key(sample.name, **sample.labels): sample.value for family in families for sample in family.samples}


class Gateway:
    """A gateway with two workers, and what their pages say."""

    def __init__(self, process: GatewayProcess, folder: Path, configure: Callable[[str], object]) -> None:
        self.process = process
        self.folder = folder
        self.configure = configure
        """Writes the config file with other settings of the plugin."""

    async def ask(self, requests: int) -> None:
        """Each on a connection of its own, which either worker may take."""
        for _ in range(requests):
            assert (await get(self.process.listening[0], "/"))[::2] == (200, "ok")

    async def page(self) -> Page:
        """What one of the workers says."""
        return read((await get(self.process.admin, "/metrics"))[2])

    async def pages(self) -> dict[int, Page]:
        """What each worker says."""
        pages: dict[int, Page] = {}
        async with asyncio.timeout(MOST):
            while len(pages) < 2:
                client = await Client.to(self.process.admin)
                worker = json.loads((await client.get("/status"))[2])["worker"]
                pages[worker] = read((await client.get("/metrics"))[2])
                client.close()
        return pages

    async def end(self, slot: int, number: signal.Signals) -> None:
        """Ends the worker of a slot, and waits for the next to serve."""
        started = [line for line in self.process.said if f"worker {slot} started" in line]
        os.kill(int(started[-1].split()[-1]), number)
        await self.process.line(f"worker {slot} started")
        await self.pages()

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("spork-metrics-*/*"))


def folders(base: Path) -> list[Path]:
    """Those of runs."""
    return list(base.glob("spork-metrics-*"))


@asynccontextmanager
async def two_workers(folder: Path, *, admin: int = 0) -> AsyncIterator[Gateway]:
    """``admin``: the port of the admin listener; 0: a free one."""
    file = folder / "spork.yaml"
    async with backend() as behind:

        def configure(more: str = "") -> None:
            file.write_text(CONFIG.format(url=behind.url, folder=folder, more=more, admin=admin))

        configure()
        async with gateway_process(RUN, file) as process:
            await process.ready()
            yield Gateway(process, folder, configure)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(MOST):
        while not await holds():
            pass


async def test_each_worker_shows_what_all_have_counted(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        await gateway.ask(40)

        pages = await gateway.pages()

        assert [page[REQUESTS] for page in pages.values()] == [40, 40]
        assert [
            page[key("spork_build_info", version="0.1.0", python=platform.python_version())] for page in pages.values()
        ] == [1, 1]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
async def test_a_worker_that_takes_anothers_place_goes_on_from_there(tmp_path: Path, how: signal.Signals) -> None:
    async with two_workers(tmp_path) as gateway:
        await gateway.ask(40)

        async def told() -> bool:
            return (await gateway.page()).get(CALLS) == 40

        await until(told)
        before = await gateway.page()
        await gateway.end(0, how)
        assert [page[REQUESTS] for page in (await gateway.pages()).values()] == [40, 40]

        await gateway.ask(20)

        for page in (await gateway.pages()).values():
            assert page[REQUESTS] == 60
            assert page[CALLS] >= 40
            assert page[CPU] >= before[CPU]
        assert len(gateway.files()) == 4


async def test_gauges_of_a_dead_worker_are_gone(tmp_path: Path) -> None:
    tunnels = key("spork_tunnels")

    async with two_workers(tmp_path) as gateway:
        client = await Client.to(gateway.process.listening[0])
        await client.send("/", Connection="Upgrade", Upgrade="echo")
        assert (await client.answer())[0] == 101

        async def open_() -> bool:
            return all(page[tunnels] == 1 for page in (await gateway.pages()).values())

        await until(open_)
        for slot in (0, 1):
            await gateway.end(slot, signal.SIGKILL)

        assert [page[tunnels] for page in (await gateway.pages()).values()] == [0, 0]
        client.close()


async def test_a_reload_keeps_what_was_counted(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        await gateway.ask(20)
        gateway.configure("buckets: [1s, 10s]")
        gateway.process.signal(signal.SIGHUP)
        for _ in range(2):
            await gateway.process.line("reloaded: ")

        await gateway.ask(20)
        page = await gateway.page()

        assert page[REQUESTS] == 40
        bucket = key("spork_http_request_duration_seconds_bucket", **ALL, code_class="2xx", le="1.0")
        assert page[bucket] == 40
        assert key("spork_http_request_duration_seconds_bucket", **ALL, code_class="2xx", le="0.005") not in page


async def test_files_go_with_the_last_worker_and_those_of_dead_runs_at_the_next_start(tmp_path: Path) -> None:
    async with two_workers(tmp_path) as gateway:
        await gateway.ask(1)
        assert [name for name in gateway.files() if name.endswith(".rows")] == ["metrics.0.0.rows", "metrics.1.0.rows"]
        (old,) = folders(tmp_path)
        os.killpg(gateway.process.pid, signal.SIGKILL)
        await gateway.process.ended()

    async with two_workers(tmp_path) as gateway:
        assert old not in folders(tmp_path)
        assert (await gateway.page()).get(REQUESTS) is None

        gateway.process.signal(signal.SIGTERM)
        assert await gateway.process.ended() == 0

    assert folders(tmp_path) == []


# -- Prometheus ---------------------------------------------------------------------------------------

MONITOR = Path(__file__).parents[3] / "docs" / "how-to" / "monitor.md"


@pytest.fixture(scope="module", autouse=True)
def scraper(prometheus: Any) -> Any:
    """Prometheus, begun in time."""
    return prometheus


@pytest.mark.parametrize(("block", "check"), [("# prometheus.yml", "config"), ("# spork.rules.yml", "rules")])
def test_the_files_of_the_page_on_monitoring_are_ones_that_prometheus_takes(
    scraper: Any, tmp_path: Path, block: str, check: str
) -> None:
    if isinstance(scraper, str):
        pytest.skip(scraper)
    found = re.search(rf"```yaml\n({block}\n.*?)```", MONITOR.read_text(), re.DOTALL)
    assert found is not None
    file = tmp_path / "file.yml"
    file.write_text(found[1])

    assert scraper.check(check, file) == ""


async def test_a_real_prometheus_scrapes_it_and_promtool_finds_nothing_to_say(scraper: Any, tmp_path: Path) -> None:
    if isinstance(scraper, str):
        pytest.skip(scraper)
    async with two_workers(tmp_path, admin=scraper.target) as gateway:
        await gateway.ask(40)

        async def scraped() -> bool:
            found = await scraper.ask('sum(spork_http_requests_total{route="all",code="200"})')
            return bool(found) and found[0]["value"][1] == "40"

        await until(scraped)
        (up,) = await scraper.ask("up")
        (late,) = await scraper.ask(
            "histogram_quantile(0.99, sum by (le) (spork_http_request_duration_seconds_bucket))"
        )
        page = (await get(gateway.process.admin, "/metrics"))[2]

    assert up["value"][1] == "1"
    assert 0 < float(late["value"][1]) < 10
    assert await asyncio.to_thread(scraper.check, "metrics", page=page) == ""
