"""The JSON Schema (2020-12) of a config file, drawn from the config classes and those of the installed plugins."""

from typing import Any, Final

from spork_core.config.docs import default_of
from spork_core.config.fields import ALONE, DESCRIPTION, SHORTHAND, Bound
from spork_core.config.model import Certificate, GatewayConfig, InstanceConfig, ListenerTLS
from spork_core.config.plugins import ENVELOPE, PluginConfigs
from spork_core.config.shapes import ConfigField, config_fields, shape
from spork_core.units import DURATION_PATTERN, RATE_PATTERN, SIZE_PATTERN

Schema = dict[str, Any]

_REFERENCE: Final[Schema] = {"$ref": "#/$defs/reference"}
_DEFS: Final[Schema] = {
    "reference": {
        "description": "A value from the environment or a file: ${env:NAME}, ${env:NAME:-default} or ${file:/path}.",
        "type": "string",
        "pattern": r"\$\{(env|file):[^{}]+\}",
    },
    "duration": {"anyOf": [{"type": "string", "pattern": f"^{DURATION_PATTERN}$"}, {"const": 0}, _REFERENCE]},
    "size": {"anyOf": [{"type": "string", "pattern": f"^{SIZE_PATTERN}$"}, {"const": 0}, _REFERENCE]},
    "rate": {"anyOf": [{"type": "string", "pattern": f"^{RATE_PATTERN}$"}, _REFERENCE]},
    "address": {"type": "string", "examples": ["127.0.0.1:8080", "[::1]:8080", "unix:/run/spork.sock"]},
}


def json_schema(plugins: PluginConfigs) -> Schema:
    """The schema of the whole file. Raises SporkError when an installed plugin does not load."""
    writer = _Writer()
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Spork configuration",
        **writer.class_schema(GatewayConfig),
    }
    schema["properties"]["plugins"] = writer.plugins(plugins)
    del writer.defs["InstanceConfig"]  # each plugin has its own, with its settings
    return {**schema, "$defs": writer.defs}


class _Writer:
    def __init__(self) -> None:
        self.defs: Schema = dict(_DEFS)

    def of(self, hint: Any) -> Schema:
        """The schema of a type."""
        found = shape(hint)
        match found.kind:
            case "duration" | "size" | "rate" | "address":
                return {"$ref": f"#/$defs/{found.kind}"}
            case "text" | "path" | "secret" | "ip" | "network":
                return {"type": "string"}
            case "bool":
                return {"anyOf": [{"type": "boolean"}, _REFERENCE]}
            case "int":
                return {"anyOf": [{"type": "integer"}, _REFERENCE]}
            case "float":
                return {"anyOf": [{"type": "number"}, _REFERENCE]}
            case "none":
                return {"type": "null"}
            case "literal" | "enum":
                return {"enum": list(found.items)}
            case "union":
                return {"anyOf": [self.of(item) for item in found.items]}
            case "list":
                return {"type": ["array", "null"], "items": self.of(found.items[0])}
            case "mapping":
                return {"type": ["object", "null"], "additionalProperties": self.of(found.items[1])}
            case "class":
                return self.reference(found.type)
        return {}

    def reference(self, cls: type) -> Schema:
        """A reference to the class's schema, which is written at first use since a class may contain itself."""
        own = cls.__module__.startswith("spork_core.")
        name = cls.__name__ if own else f"{cls.__module__}.{cls.__qualname__}"
        if name not in self.defs:
            self.defs[name] = {}
            self.defs[name] = self.class_schema(cls)
        short = next((field for field in config_fields(cls) if field.has(SHORTHAND)), None)
        whole = {"$ref": f"#/$defs/{name}"}
        return whole if short is None else {"anyOf": [self.written(short), whole]}

    def class_schema(self, cls: type) -> Schema:
        fields = config_fields(cls)
        schema: Schema = {
            "description": (cls.__doc__ or "").strip().split("\n")[0],
            "type": ["object", "null"],
            "properties": {field.key: self.field(field) for field in fields},
            "additionalProperties": False,
        }
        if required := [field.key for field in fields if field.required]:
            schema["required"] = required
        if cls is ListenerTLS:  # one certificate may stand beside the other keys
            schema["properties"] |= {field.key: self.field(field) for field in config_fields(Certificate)}
            schema["anyOf"] = [{"required": ["certificates"]}, {"required": ["certificate", "key"]}]
            del schema["required"]
        return schema

    def written(self, field: ConfigField) -> Schema:
        """What may stand where the field's value does."""
        schema = self.of(field.type)
        return {"anyOf": [self.of(shape(field.type).items[0]), schema]} if field.has(ALONE) else schema

    def field(self, field: ConfigField) -> Schema:
        schema = self.written(field)
        bound = field.attribute.validator
        if isinstance(bound, Bound):
            limits = {"exclusiveMinimum" if bound.open else "minimum": bound.minimum}
            if bound.maximum is not None:
                limits["maximum"] = bound.maximum
            _add_limits(schema, limits)
        schema = {"description": str(field.attribute.metadata.get(DESCRIPTION, "")), **schema}
        if field.required:
            return schema
        try:
            return {**schema, "default": default_of(field)}
        except TypeError:  # a fault of one plugin's, which must not take the others' settings from the editor
            return schema

    def plugins(self, plugins: PluginConfigs) -> Schema:
        """Instances: the plugin is what ``use`` says, else what the key says."""
        names = sorted(plugins.names())
        envelope = {field.key: self.field(field) for field in config_fields(InstanceConfig) if field.key in ENVELOPE}
        for name in names:
            cls = plugins.config_class(name)
            settings = self.class_schema(cls) if cls is not None else {"properties": {}}
            description = settings.get("description") or f"The settings of {name}."
            self.defs[f"plugin:{name}"] = {
                **settings,
                "description": description,
                "type": ["object", "null"],
                "properties": {
                    **envelope,
                    "use": {"description": envelope["use"]["description"], "type": "string"},
                }
                | settings["properties"],
                "additionalProperties": False,
            }
        self.defs["instance"] = {
            "type": "object",
            "required": ["use"],
            "properties": {"use": {"enum": names}},
            "allOf": [
                {
                    "if": {"properties": {"use": {"const": name}}, "required": ["use"]},
                    "then": {"$ref": f"#/$defs/plugin:{name}"},
                }
                for name in names
            ],
        }
        field = next(field for field in config_fields(GatewayConfig) if field.key == "plugins")
        return {
            "description": field.attribute.metadata[DESCRIPTION],
            "type": ["object", "null"],
            "properties": {
                name: {
                    "if": {"type": "object", "required": ["use"]},
                    "then": {"$ref": "#/$defs/instance"},
                    "else": {"$ref": f"#/$defs/plugin:{name}"},
                }
                for name in names
            },
            "additionalProperties": {"$ref": "#/$defs/instance"},
            "default": {},
        }


def _add_limits(schema: Schema, limits: Schema) -> None:
    """Bounds belong to the numeric member of a union only."""
    for member in (schema, *schema.get("anyOf", ())):
        if member.get("type") in {"integer", "number"}:
            member.update(limits)
        elif member is not schema and "anyOf" in member:
            _add_limits(member, limits)
