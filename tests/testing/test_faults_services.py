"""Faults of what plugins depend on: a real Valkey, a real PostgreSQL and an identity provider behind the link."""

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

import asyncpg
import attrs
import pytest
from redis.asyncio import Redis

from spork_core.api import Exchange, Forbidden, Plugin, hookimpl, setting
from spork_core.config import Secret, loads
from spork_core.gateway import Gateway
from spork_core.registry import Registry
from spork_core.testing import impatient
from spork_core.testing.faults.report import OfDependency, Report
from spork_core.testing.faults.run import Runner
from spork_core.testing.faults.samples import derived
from spork_core.testing.wire import Wire, connect
from tests.services import Server, free_port, identity_provider, postgresql, valkey

Statuses = dict[str, tuple[int | None, str]]


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with valkey() as server:
        yield server


@attrs.frozen
class Address:
    url: Secret = setting("Where it is.")


class Counter(Plugin[Address]):
    """Counts requests in Redis."""

    Config = Address

    @hookimpl
    async def startup(self) -> None:
        self.redis = Redis.from_url(self.config.url.reveal(), socket_timeout=None, retry=None, driver_info=None)

    @hookimpl
    async def shutdown(self) -> None:
        await self.redis.aclose()

    @hookimpl
    async def on_request(self, exchange: Exchange) -> None:
        await self.redis.incr("requests")


class Accounts(Plugin[Address]):
    """Asks a database, on a connection for each request."""

    Config = Address

    @hookimpl
    async def authorize(self, exchange: Exchange) -> None:
        connection = await asyncpg.connect(self.config.url.reveal(), timeout=3)
        try:
            if await connection.fetchval("select 1") != 1:
                raise Forbidden
        finally:
            connection.terminate()


class Keys(Plugin[Address]):
    """Fetches keys from an identity provider for each request."""

    Config = Address

    @hookimpl
    async def authorize(self, exchange: Exchange) -> None:
        host, _, port = self.config.url.reveal().removeprefix("http://").partition("/")[0].partition(":")
        wire = Wire(*await connect(host, int(port)))
        try:
            await wire.send(b"GET /jwks HTTP/1.1\r\nHost: idp\r\n\r\n")
            if (await wire.message()).status != 200:
                raise Forbidden
        finally:
            wire.writer.transport.abort()


def faults(use: type[Plugin[Any]], url: str, **envelope: object) -> tuple[OfDependency, Report]:
    more = "".join(f", {name}: {value}" for name, value in envelope.items())
    text = f"""
        services: {{s: {{endpoints: [http://service.invalid:1]}}}}
        plugins: {{p: {{url: "{url}"{more}}}}}
        routes: {{r: {{match: {{}}, service: s, chain: [p]}}, other: {{match: {{path: /other}}, service: s}}}}
    """
    registry = Registry({"p": use})
    config = loads(text, plugins=registry)
    gateway = Gateway(config, registry)
    report = impatient.run(Runner(config, registry).run([derived(gateway, name) for name in config.routes], {}))
    (dependency,) = report.dependencies
    return dependency, report


def statuses(dependency: OfDependency) -> Statuses:
    assert {each.sample.route for each in dependency.results} == {"r"}
    return {each.fault.name: (each.seen.status, each.seen.code) for each in dependency.results}


def test_a_plugin_without_time_limits_lets_clients_hang(redis_server: Server) -> None:
    """given a Redis client without a time-out, when Redis stalls, then that is found, with the setting that helps"""
    dependency, report = faults(Counter, f"redis://127.0.0.1:{redis_server.port}/0")

    found = statuses(dependency)
    assert found.pop("stalled") == (None, "")
    assert found == {
        "healthy": (200, ""),
        "refused": (500, "plugin-failed"),
        "reset": (500, "plugin-failed"),
        "slow": (200, ""),
        "bad bytes": (500, "plugin-failed"),
    }
    (finding,) = (each for each in report.findings if each.serious)
    assert finding.sentence == "no answer within 60 s: plugins.p.timeout is not set"
    assert "set plugins.p.timeout (such as 1s)" in finding.remedy


@pytest.mark.parametrize("way", ["port", "unix socket"])
def test_a_time_limit_and_an_open_policy_make_it_sound(redis_server: Server, way: str) -> None:
    url = f"unix://{redis_server.path}" if way == "unix socket" else f"redis://127.0.0.1:{redis_server.port}"
    dependency, report = faults(Counter, url, timeout="1s", on_failure="open")

    assert set(statuses(dependency).values()) == {(200, "")}
    waited = {each.fault.name: round(each.seen.waited) for each in dependency.results}
    assert (waited["stalled"], waited["slow"]) == (1, 1)
    assert report.ok


def test_a_database() -> None:
    with postgresql() as database:
        url = f"postgresql://postgres:any@127.0.0.1:{database.port}/postgres?sslmode=disable"
        dependency, report = faults(Accounts, url, timeout="5s")
    found = statuses(dependency)
    assert found.pop("healthy") == (200, "")
    assert set(found.values()) == {(500, "plugin-failed")}
    assert report.ok


def test_an_identity_provider() -> None:
    port = free_port()
    registry = Registry({"p": Keys})
    config = loads(
        f"""
        services: {{s: {{endpoints: [http://service.invalid:1]}}}}
        plugins: {{p: {{url: "http://127.0.0.1:{port}/jwks", timeout: 1s}}}}
        routes: {{r: {{match: {{}}, service: s, chain: [p]}}}}
        """,
        plugins=registry,
    )
    samples = [derived(Gateway(config, registry), "r")]

    async def main() -> Report:
        async with identity_provider(port):
            return await Runner(config, registry).run(samples, {})

    report = impatient.run(main())
    found = statuses(report.dependencies[0])
    assert found.pop("healthy") == (200, "")
    assert set(found.values()) == {(500, "plugin-failed")}
    assert report.ok


def test_what_cannot_be_reached_says_so() -> None:
    dependency, _ = faults(Counter, f"redis://127.0.0.1:{free_port()}", on_failure="open")
    assert dependency.why_not == "nothing could connect to it: start it, or let the setting point elsewhere"


class Ignores(Plugin[Address]):
    """Names an address, and connects to nothing."""

    Config = Address

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        """Does nothing."""


def test_an_address_that_nobody_connects_to_is_left_alone(redis_server: Server) -> None:
    dependency, report = faults(Ignores, f"redis://127.0.0.1:{redis_server.port}")
    assert "nothing connected to it" in dependency.why_not
    assert report.ok


def test_a_gateway_that_does_not_start_with_the_link_says_why(redis_server: Server) -> None:
    class Picky(Ignores):
        """Wants one address."""

        @hookimpl
        def startup(self) -> None:
            if str(redis_server.port) not in self.config.url.reveal():
                raise ValueError("I know it by its port")

    dependency, _ = faults(Picky, f"redis://127.0.0.1:{redis_server.port}")
    assert "the gateway does not start with a link before it" in dependency.why_not
    assert "I know it by its port" in dependency.why_not


FORGOTTEN: list[socket.socket] = []


class Forgets(Plugin[Address]):
    """Does not close its connection."""

    Config = Address

    @hookimpl
    async def startup(self) -> None:
        sock = socket.socket()
        FORGOTTEN.append(sock)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", int(self.config.url.reveal()[-5:])))

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        """Does nothing."""


def test_a_connection_that_a_plugin_forgets_is_found(redis_server: Server) -> None:
    _, report = faults(Forgets, f"redis://127.0.0.1:{redis_server.port}")
    sentences = {finding.sentence for finding in report.findings if finding.serious}
    assert sentences == {f"connections to redis://127.0.0.1:{redis_server.port} are left behind"}
    while FORGOTTEN:
        FORGOTTEN.pop().close()


def test_a_dependency_that_takes_its_time_is_waited_for() -> None:
    """given an identity provider in a thread that thinks for 0.03 s, when nothing else goes on, then it has time"""

    class Slow(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while self.rfile.readline().strip():
                pass
            time.sleep(0.03)
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Slow) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        dependency, report = faults(Keys, f"http://127.0.0.1:{server.server_address[1]}/jwks", timeout="1s")
        server.shutdown()
    assert {each.seen.status for each in report.routes[0].results if each.fault.name in ("healthy", "trailers")} == {
        200
    }
    assert statuses(dependency)["healthy"] == (200, "")
