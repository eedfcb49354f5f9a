"""The flaky link between real clients and a real Valkey, PostgreSQL and identity provider."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from spork_core.testing.link import Link, flaky
from spork_core.testing.wire import Message, Wire, connect
from tests.services import Server, identity_provider, postgresql, valkey

SHORT = 0.1
"""Seconds that a client waits."""
MOST = 10.0


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    with valkey() as server:
        yield server


@pytest.fixture(scope="module")
def database() -> Iterator[Server]:
    with postgresql() as server:
        yield server


# -- Valkey, by redis-py ------------------------------------------------------------------------------


@pytest.fixture(params=["port", "unix socket"])
async def kept(request: pytest.FixtureRequest, redis_server: Server) -> AsyncIterator[tuple[Link, Redis]]:
    """A link to Valkey and a client that goes through it, with a short patience and no retries."""
    unix = request.param == "unix socket"
    url = f"unix://{redis_server.path}" if unix else f"redis://127.0.0.1:{redis_server.port}"
    target = (redis_server.path, None) if unix else ("127.0.0.1", redis_server.port)
    async with flaky(*target) as link:
        client = Redis.from_url(link.url(url), socket_timeout=SHORT, retry=None)
        yield link, client
        await client.aclose()


async def test_redis_works_through_the_link(kept: tuple[Link, Redis]) -> None:
    link, client = kept
    await client.set("a", "1")
    assert await client.get("a") == b"1"
    assert link.connections == 1


async def test_redis_stalled_times_out_and_works_again(kept: tuple[Link, Redis]) -> None:
    link, client = kept
    await client.ping()
    async with link.stalled():
        with pytest.raises(RedisTimeoutError):
            await client.ping()
    assert await client.ping()


async def test_redis_refused_and_reset(kept: tuple[Link, Redis]) -> None:
    link, client = kept
    await client.ping()
    async with link.refused():
        with pytest.raises(RedisConnectionError):
            await client.ping()
    async with link.resetting(after=1):
        with pytest.raises(RedisConnectionError):
            await client.ping()
    assert await client.ping()


async def test_redis_gets_bad_bytes(kept: tuple[Link, Redis]) -> None:
    link, client = kept
    await client.set("a", "1")
    async with link.corrupted(first=8):
        with pytest.raises(RedisError):
            await client.get("a")
    await client.connection_pool.disconnect()
    assert await client.get("a") == b"1"


async def test_redis_slow(kept: tuple[Link, Redis]) -> None:
    link, client = kept
    await client.ping()
    begun = asyncio.get_running_loop().time()
    async with link.slowed(0.02):
        await client.ping()
    assert asyncio.get_running_loop().time() - begun >= 0.04


# -- PostgreSQL, by asyncpg ---------------------------------------------------------------------------


async def test_postgresql_through_every_fault(database: Server) -> None:
    async with flaky("127.0.0.1", database.port) as link, asyncio.timeout(MOST):
        url = link.url(f"postgresql://postgres@127.0.0.1:{database.port}/postgres?sslmode=disable")
        connection = await asyncpg.connect(url)
        assert await connection.fetchval("select 1") == 1
        async with link.stalled():
            with pytest.raises(TimeoutError):
                await connection.fetchval("select 2", timeout=SHORT)
            with pytest.raises(TimeoutError):
                await asyncpg.connect(url, timeout=SHORT)
        async with link.refused():
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                await asyncpg.connect(url)
        connection.terminate()
        fresh = await asyncpg.connect(url)
        link.reset(after=0)
        with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
            await fresh.fetchval("select 3")
        fresh.terminate()


async def test_a_large_answer_of_postgresql_is_cut(database: Server) -> None:
    async with flaky("127.0.0.1", database.port) as link, asyncio.timeout(MOST):
        connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{link.port}/postgres?sslmode=disable")
        link.cut(after=50_000)
        with pytest.raises((OSError, asyncpg.PostgresConnectionError)):
            await connection.fetchval("select repeat('x', 1000000)")
        connection.terminate()


# -- an identity provider, by HTTP --------------------------------------------------------------------


async def keys(port: int) -> Message:
    wire = Wire(*await connect("127.0.0.1", port))
    try:
        await wire.send(b"GET /jwks HTTP/1.1\r\nHost: idp\r\n\r\n")
        return await wire.message()
    finally:
        wire.writer.transport.abort()


async def test_an_identity_provider_through_the_link() -> None:
    async with identity_provider() as idp, flaky("127.0.0.1", idp.port) as link:
        assert b'"kty"' in (await keys(link.port)).body
        async with link.corrupted(first=4):
            assert not (await keys(link.port)).start.startswith(b"HTTP/")
        link.cut(after=100)
        with pytest.raises(asyncio.IncompleteReadError):
            await keys(link.port)
        link.heal()
        assert (await keys(link.port)).status == 200
