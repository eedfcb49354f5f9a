"""What the admin listener and ``spork plugins`` say of instances: how they are, what they took, what happened."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from spork_core.api import Exchange, LocalRoute, NoConfig, Plugin, Response, hookimpl
from spork_core.cli.app import spork
from spork_core.testing import Harness, gateway
from tests.reference import plugin_of


class Broken(Plugin[NoConfig]):
    """Fails at everything."""

    @hookimpl
    def on_request(self, exchange: Exchange) -> None:
        raise ValueError("broken")


class Fine(Plugin[NoConfig]):
    """Does nothing, and waits for it."""

    @hookimpl
    async def pre_auth(self, exchange: Exchange) -> None:
        await asyncio.sleep(0.001)


PLUGINS: dict[str, Any] = {
    "broken": (Broken, {"on_failure": "open", "quarantine": {"failures": 3}}),
    "fine": Fine,
}


def ask(gw: Harness, *arguments: str) -> str:
    (admin,) = gw.gateway.admin_addresses
    result = CliRunner().invoke(spork, ["plugins", "--admin", f"http://{admin}", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
async def told() -> tuple[str, dict[str, Any]]:
    """``spork plugins`` after four exchanges, three of which met a broken instance, as text and as JSON."""
    more = {"admin": {"listen": "127.0.0.1:0"}}
    async with gateway(plugins=PLUGINS, failures_expected=True, **more) as gw:
        for _ in range(4):
            (await gw.get("/")).must_be(200)
        text = await asyncio.to_thread(ask, gw)
        return text, json.loads(await asyncio.to_thread(ask, gw, "--json"))


async def test_instances_say_how_they_are(told: tuple[str, dict[str, Any]]) -> None:
    text, found = told

    broken, fine = (found["running"][name] for name in ("broken", "fine"))
    assert (broken["state"], broken["failures"], broken["isolated"]) == ("quarantined", 3, 1)
    assert (fine["state"], fine["failures"], fine["why"]) == ("well", 0, None)
    assert "quarantined (isolated 1 time)" in text
    assert "broken, why: it failed in 3 of 3 exchanges within 10s" in text
    assert f"broken, last failure: on_request at {__file__}:" in text


async def test_instances_say_what_they_took(told: tuple[str, dict[str, Any]]) -> None:
    text, found = told

    took = found["running"]["fine"]["hooks"]["pre_auth"]
    assert took["calls"] == 4
    assert 0 < took["own_seconds"] < 0.1
    assert took["waiting_seconds"] >= 0.004
    assert " µs" in text


async def test_events_are_listed(told: tuple[str, dict[str, Any]]) -> None:
    text, found = told

    assert [event["kind"] for event in found["events"]] == ["quarantined"]
    assert "Last events" in text


@pytest.mark.parametrize(
    ("method", "origin", "status"),
    [
        ("POST", "https://evil.example", 403),
        ("POST", "null", 403),
        ("GET", "https://evil.example", 200),
        ("POST", None, 200),
        ("POST", "own", 200),
    ],
)
async def test_a_page_of_another_origin_changes_nothing(method: str, origin: str | None, status: int) -> None:
    changes = plugin_of(
        local_routes=lambda self: [LocalRoute("/change", lambda exchange: Response(200), ("GET", "POST"))]
    )
    async with gateway(plugins={"changes": changes}, admin={}) as gw:
        host = str(gw.gateway.admin_addresses[0])
        fields = {"Host": host} | (
            {} if origin is None else {"Origin": f"http://{host}" if origin == "own" else origin}
        )
        (await gw.admin.request(method, "/change", headers=fields)).must_be(status)
