"""The JSON Schema and the tables say what the classes say."""

import re
from typing import Any

import attrs
import pytest

from spork_core.config import GatewayConfig, describe, json_schema, model
from spork_core.config.docs import FieldDoc
from spork_core.config.fields import Secret, setting
from spork_core.config.shapes import config_fields, type_name
from spork_core.units import Seconds
from tests.config.conftest import Limit, Pair, Plugins

CLASSES = [cls for cls in vars(model).values() if isinstance(cls, type) and attrs.has(cls) and cls is not model.Address]


@pytest.fixture(scope="module")
def schema(plugins: Plugins) -> dict[str, Any]:
    class Sound(Plugins):
        def names(self) -> list[str]:
            return list(self.classes)

    return json_schema(Sound())


def test_every_setting_is_in_the_schema_with_its_description(schema: dict[str, Any]) -> None:
    for cls in CLASSES:
        if cls not in (GatewayConfig, model.InstanceConfig):
            properties = schema["$defs"][cls.__name__]["properties"]
            assert {field.key for field in config_fields(cls)} <= set(properties)
            assert all(entry["description"].endswith((".", ")")) for entry in properties.values()), cls


def test_defaults_units_and_bounds(schema: dict[str, Any]) -> None:
    limits = schema["$defs"]["Limits"]["properties"]

    assert limits["header"] == {
        "description": "One header field; longer ones are answered 431.",
        "$ref": "#/$defs/size",
        "default": "16KiB",
    }
    assert limits["connections"]["anyOf"] == [{"type": "integer", "minimum": 1}, {"$ref": "#/$defs/reference"}]
    assert schema["properties"]["workers"]["default"] == 1
    assert schema["$defs"]["EndpointConfig"]["required"] == ["url"]


def test_settings_of_plugins_stand_beside_the_envelope(schema: dict[str, Any]) -> None:
    limit = schema["$defs"]["plugin:rate-limit"]

    assert limit["additionalProperties"] is False
    assert {"use", "enabled", "on_failure", "timeout", "budget", "limit", "from"} <= set(limit["properties"])
    assert limit["required"] == ["limit"]
    assert limit["properties"]["level"] == {"description": "How hard.", "enum": ["low", "high"], "default": "low"}
    assert schema["properties"]["plugins"]["properties"]["rate-limit"]["else"] == {"$ref": "#/$defs/plugin:rate-limit"}


def test_every_reference_of_the_schema_leads_somewhere(schema: dict[str, Any]) -> None:
    wanted = set(re.findall(r"'#/\$defs/([^']+)'", repr(schema)))

    assert wanted <= set(schema["$defs"])


def test_every_setting_of_the_model_is_described() -> None:
    assert [(cls, row.name) for cls in CLASSES for row in describe(cls) if not row.description] == []


def test_a_table_of_settings() -> None:
    assert describe(Limit)[:3] == [
        FieldDoc("limit", "rate", None, "How many."),
        FieldDoc("by", '"identity" or "address"', "address", "Whose."),
        FieldDoc("size", "size or null", "null", "How large."),
    ]
    assert [row.name for row in describe(Pair)] == ["low", "high"]
    assert describe(GatewayConfig)[0].default == '["127.0.0.1:8080"]'


@attrs.frozen
class Mistaken:
    """What a config would say, where code says seconds."""

    wait: Seconds = setting("How long.", default="200ms")  # type: ignore[assignment]  # the mistake
    key: Secret = setting("A key.", default="hush")  # type: ignore[assignment]  # another


@pytest.mark.parametrize(
    ("cls", "name"),
    [(Mistaken, "wait"), (attrs.make_class("Keyed", {"key": attrs.field(default="hush", type=Secret)}), "key")],
)
def test_a_default_of_another_type_is_named_and_not_shown(cls: type, name: str) -> None:
    with pytest.raises(TypeError, match=f"the default of {name} is of the type str") as caught:
        describe(cls)
    assert "hush" not in str(caught.value)


def test_a_default_of_another_type_leaves_the_schema_whole() -> None:
    """given one plugin with such a default, when the schema is written, then it lacks this default and nothing else"""

    class Mixed(Plugins):
        classes = {"mistaken": Mistaken, "pair": Pair}  # noqa: RUF012  a table

        def names(self) -> list[str]:
            return list(self.classes)

    settings = json_schema(Mixed())["$defs"]["plugin:mistaken"]["properties"]

    assert settings["wait"]["description"] == "How long."
    assert "default" not in settings["wait"]


@pytest.mark.parametrize(
    ("hint", "name"),
    [
        (int | None, "a whole number or null"),
        (tuple[str, ...], "a list of text"),
        (list[Limit], "a list of mappings"),
        (dict[str, int], "a mapping of text to whole number"),
        (bool, "true or false"),
    ],
)
def test_the_names_of_types(hint: object, name: str) -> None:
    assert type_name(hint) == name
