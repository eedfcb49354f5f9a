"""What the admin listener and ``spork plugins`` say of instances: how they are, what they took, what happened."""

import asyncio
import json
from typing import Any

import pytest
from click.testing import CliRunner

from spork_core.api import Exchange, NoConfig, Plugin, hookimpl
from spork_core.cli.app import spork
from spork_core.testing import Harness, gateway


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
