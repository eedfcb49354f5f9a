"""The demo's backends, asked directly."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from spork_core.demo import echo, users

Client = TestClient[Any, Any]


@pytest.fixture
async def people() -> AsyncIterator[Client]:
    async with TestClient(TestServer(users.application())) as client:
        yield client


@pytest.fixture
async def tools() -> AsyncIterator[Client]:
    async with TestClient(TestServer(echo.application())) as client:
        yield client


async def ask(client: Client, method: str, path: str, **more: Any) -> tuple[int, Any]:
    async with client.request(method, path, **more) as response:
        text = await response.text()
        return response.status, json.loads(text) if text else None


async def test_a_user_lives_from_create_to_delete(people: Client) -> None:
    alan = {"name": "Alan", "email": "alan@example.com"}

    assert await ask(people, "POST", "/users", json=alan) == (201, {"id": 3, **alan})
    assert await ask(people, "PATCH", "/users/3", json={"name": "Al"}) == (200, {"id": 3, **alan, "name": "Al"})
    assert await ask(people, "PUT", "/users/3", json=alan) == (200, {"id": 3, **alan})
    assert (await ask(people, "GET", "/users?q=ALAN"))[1]["total"] == 1
    assert await ask(people, "DELETE", "/users/3") == (204, None)
    assert (await ask(people, "GET", "/users/3"))[0] == 404


@pytest.mark.parametrize(
    ("method", "path", "sent", "status", "field"),
    [
        ("POST", "/users", {"json": {"name": "A"}}, 422, "email"),
        ("POST", "/users", {"json": {"name": "A", "email": "no"}}, 422, "email"),
        ("POST", "/users", {"json": {"name": "", "email": "a@b.c"}}, 422, "name"),
        ("POST", "/users", {"json": {"name": "A", "email": "ADA@example.com"}}, 409, "email"),
        ("PATCH", "/users/1", {"json": {"id": 9}}, 422, "id"),
        ("PUT", "/users/1", {"json": {"name": "A", "email": "grace@example.com"}}, 409, "email"),
        ("POST", "/users", {"json": [1]}, 422, None),
        ("POST", "/users", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400, None),
        ("POST", "/users", {"data": b"x"}, 415, None),
        ("DELETE", "/users/x", {}, 404, None),
    ],
)
async def test_what_is_wrong_is_named(
    people: Client, method: str, path: str, sent: dict[str, Any], status: int, field: str | None
) -> None:
    found, body = await ask(people, method, path, **sent)

    assert found == body["status"] == status
    assert field is None or field in body["errors"]


async def test_echo_says_what_came(tools: Client) -> None:
    status, body = await ask(tools, "POST", "/echo/a%20b?c=d", data=b"hello", headers={"X-A": "1"})

    assert status == 200
    assert (body["method"], body["target"], body["body"]) == ("POST", "/echo/a%20b?c=d", "hello")
    assert ["X-A", "1"] in body["headers"]


async def test_events_come_one_after_the_other(tools: Client) -> None:
    async with tools.get("/stream?n=2&every=0") as response:
        text = await response.text()

    assert response.content_type == "text/event-stream"
    assert text == ('id: 1\nevent: tick\ndata: {"n": 1, "of": 2}\n\nid: 2\nevent: tick\ndata: {"n": 2, "of": 2}\n\n')


async def test_a_drip_has_its_length(tools: Client) -> None:
    async with tools.get("/drip?bytes=3&s=0") as response:
        assert response.content_length == 3
        assert await response.read() == b"***"


@pytest.mark.parametrize(
    ("path", "status"),
    [("/status/503", 503), ("/status/204", 204), ("/status/700", 400), ("/slow?s=0", 200), ("/slow?s=x", 400)],
)
async def test_any_status_can_be_had(tools: Client, path: str, status: int) -> None:
    assert (await ask(tools, "GET", path))[0] == status


async def test_messages_come_back(tools: Client) -> None:
    async with tools.ws_connect("/ws") as socket:
        await socket.send_str("hello")
        await socket.send_bytes(b"\0")

        assert await socket.receive_str() == "hello"
        assert await socket.receive_bytes() == b"\0"
