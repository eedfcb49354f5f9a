"""TLS and log-in: what is shown, what is checked, what is refused. A proxy ends the TLS in front of a Valkey."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from spork_redis.config import Tls

from spork_core.api import Secret, SporkError, StoreDown


class Papers:
    """An authority, and PEM files of it, of a server's certificate and of a client's."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.server = self.authority.issue_cert("localhost")
        client = self.authority.issue_cert("client@example.com")
        self.ca, self.certificate, self.key = (str(folder / name) for name in ("ca.pem", "client.pem", "client.key"))
        self.authority.cert_pem.write_to_path(self.ca)
        client.cert_chain_pems[0].write_to_path(self.certificate)
        client.private_key_pem.write_to_path(self.key)


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@asynccontextmanager
async def encrypted(papers: Papers, path: str, *, asks_for_certificate: bool = False) -> AsyncIterator[int]:
    """The port of a proxy that ends TLS in front of the socket ``path``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    papers.server.configure_cert(context)
    if asks_for_certificate:
        papers.authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    running: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except OSError:
            pass
        finally:
            writer.close()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def carry() -> None:
            there_reader, there_writer = await asyncio.open_unix_connection(path)
            await asyncio.gather(pump(reader, there_writer), pump(there_reader, writer))

        task = asyncio.ensure_future(carry())
        running.add(task)
        task.add_done_callback(running.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def run(coroutine: Any, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop").run(coroutine)
    else:
        asyncio.run(coroutine)


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_a_large_value_over_tls(server: Any, start: Any, papers: Papers, loop: str) -> None:
    async def work() -> None:
        async with (
            encrypted(papers, server.path) as port,
            start(f"rediss://localhost:{port}/1", tls=Tls(ca_file=papers.ca)) as redis,
        ):
            assert redis.store.problem() is None
            await redis.store.set("a", b"x" * 500_000)
            assert await redis.store.get("a") == b"x" * 500_000
            assert sorted(await asyncio.gather(*(redis.store.add("n", 1, 60) for _ in range(50)))) == [*range(1, 51)]

    run(work(), loop)


@pytest.mark.parametrize(
    ("host", "settings", "answers"),
    [
        ("localhost", {"verify": "full"}, True),
        ("127.0.0.1", {"verify": "full"}, False),
        ("127.0.0.1", {"verify": "certificate"}, True),
        ("127.0.0.1", {"verify": "none", "ca_file": ""}, True),
        ("localhost", {"ca_file": ""}, False),
        ("localhost", None, False),
    ],
)
async def test_what_is_checked_of_the_server(
    server: Any, start: Any, papers: Papers, host: str, settings: Any, answers: bool
) -> None:
    tls = None if settings is None else Tls(**{"ca_file": papers.ca, **settings})
    async with encrypted(papers, server.path) as port, start(f"rediss://{host}:{port}", tls=tls) as redis:
        if answers:
            await redis.until_up()
        else:
            assert "CERTIFICATE_VERIFY_FAILED" in redis.store.problem()


async def test_a_certificate_of_our_own(server: Any, start: Any, papers: Papers) -> None:
    shown = Tls(ca_file=papers.ca, certificate_file=papers.certificate, key_file=papers.key)
    async with encrypted(papers, server.path, asks_for_certificate=True) as port:
        url = f"rediss://localhost:{port}"
        async with start(url, tls=shown) as redis:
            assert await redis.store.add("a") == 1
        async with start(url, tls=Tls(ca_file=papers.ca)) as redis:
            assert redis.store.problem() is not None


@pytest.mark.parametrize("setting", ["ca_file", "certificate_file"])
async def test_files_that_cannot_be_used_are_named(start: Any, tmp_path: Path, setting: str) -> None:
    for name, content in (("missing.pem", None), ("empty.pem", b"")):
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SporkError, match=f"name readable PEM files in place of {path}"):
            async with start("rediss://localhost", tls=Tls(**{setting: str(path)})):
                pass


# -- log-in ---------------------------------------------------------------------------------------------------


@pytest.fixture
def guarded(server: Any) -> Iterator[Any]:
    server.ask("CONFIG", "SET", "requirepass", "p@ss/wo:rd")
    yield server
    server.kill()


@pytest.mark.parametrize(
    ("credentials", "settings"),
    [(":p%40ss%2Fwo%3Ard@", {}), ("", {"password": Secret("p@ss/wo:rd")}), ("default:p%40ss%2Fwo%3Ard@", {})],
)
async def test_a_password(guarded: Any, start: Any, credentials: str, settings: Any) -> None:
    async with start(f"redis://{credentials}127.0.0.1:{guarded.port}", **settings) as redis:
        assert await redis.store.add("a") == 1
        assert "p@ss" not in f"{redis.plugin!r}{redis.plugin.config!r}{redis.told}{vars(redis.plugin)}"


@pytest.mark.parametrize("settings", [{}, {"password": Secret("wrong")}])
async def test_without_the_right_one_the_store_is_down(guarded: Any, start: Any, settings: Any) -> None:
    async with start(guarded.tcp, **settings) as redis:
        with pytest.raises(StoreDown):
            await redis.store.get("a")
        assert "wrong" not in str(redis.told)
