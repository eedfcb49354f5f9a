"""The addresses in the settings of plugins: found wherever they stand, shown without secrets, moved to a link."""

from typing import Any

import attrs
import pytest

from spork_core.api import Plugin, setting
from spork_core.config import Secret, loads
from spork_core.config.model import GatewayConfig
from spork_core.registry import Registry
from spork_core.testing.faults.dependencies import found, moved

ATTACHED = "unix:///run/redis.sock?db=1"


@attrs.frozen
class Store:
    url: str = setting("Its URL.", default="redis://store:6379/0")
    tags: dict[str, str] = setting("Tags.", factory=dict)


@attrs.frozen
class Settings:
    name: str = setting("No address.", default="redis")
    keys: str = setting("Where keys are.", default="http://idp/jwks")
    database: Secret | None = setting("A database.", default=None)
    stores: tuple[Store, ...] = setting("Stores.", default=())
    origins: tuple[str, ...] = setting("Origins.", default=("https://app.example.com",), metadata={"names": True})


class Uses(Plugin[Settings]):
    """Uses a lot."""

    Config = Settings


def config(**settings: Any) -> GatewayConfig:
    text = "plugins: {a: {use: uses}}\nroutes: {}\n"
    made = loads(text, plugins=Registry({"uses": Uses}))
    instance = attrs.evolve(made.plugins["a"], settings=Settings(**settings))
    return attrs.evolve(made, plugins={"a": instance})


def test_addresses_are_found_wherever_they_stand() -> None:
    """given addresses in strings, secrets, lists and mappings, when they are looked for, then each is found, bare"""
    database = Secret("postgresql://me:s3cret@db:5433/app?x=1")
    stores = (Store(), Store(url="redis://[::1]:7000", tags={"spare": ATTACHED}))
    dependencies = found(config(database=database, stores=stores))

    assert [(each.where, each.shown, each.host, each.port) for each in dependencies] == [
        ("plugins.a.keys", "http://idp", "idp", 80),
        ("plugins.a.database", "postgresql://db:5433", "db", 5433),
        ("plugins.a.stores[0].url", "redis://store:6379", "store", 6379),
        ("plugins.a.stores[1].url", "redis://[::1]:7000", "::1", 7000),
        ("plugins.a.stores[1].tags.spare", "unix:/run/redis.sock", "/run/redis.sock", None),
    ]
    assert "s3cret" not in repr(dependencies)


@pytest.mark.parametrize(
    ("url", "why_not"),
    [
        ("rediss://store:6379", "it speaks TLS"),
        ("https://idp.example.com/jwks", "it speaks TLS"),
        ("postgresql://db/app?sslmode=verify-full", "it speaks TLS"),
        ("kafka://broker", "it says no port"),
        ("postgresql://a:1,b:2/app", "it names no single host"),
        ("http:///x", "it names no single host"),
    ],
)
def test_what_no_link_can_stand_in_front_of_says_why(url: str, why_not: str) -> None:
    (dependency,) = found(config(keys=url))
    assert dependency.why_not.startswith(why_not)


@pytest.mark.parametrize("text", ["redis", "a b", "/etc/passwd", "~regex://", "see http://x y"])
def test_what_is_no_address_is_none(text: str) -> None:
    assert found(config(keys=text)) == ()


def test_an_address_is_moved_and_nothing_else() -> None:
    stores = (Store(), Store(tags={"spare": ATTACHED}))
    before = config(database=Secret("postgresql://me:s3cret@db/app"), stores=stores)
    for dependency in found(before):
        after = moved(before, dependency, lambda url: f"moved {url}")
        changed: Any = after.plugins["a"].settings
        texts = [changed.keys, changed.database.reveal(), changed.stores[0].url, changed.stores[1].url]
        texts.append(changed.stores[1].tags["spare"])
        assert len([text for text in texts if text.startswith("moved ")]) == 1
        assert type(changed) is Settings


def test_an_instance_that_is_switched_off_depends_on_nothing() -> None:
    made = config()
    off = attrs.evolve(made, plugins={"a": attrs.evolve(made.plugins["a"], enabled=False)})
    assert found(off) == ()
