"""The config: one YAML file to frozen classes, all faults at once; the model, the loader, the schema and the dump.

Importing this package loads neither ruamel.yaml nor cattrs; ``load`` does.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spork_core.config.fields import Secret, at_least, between, more_than, setting
from spork_core.config.model import (
    Address,
    Admin,
    Certificate,
    ClientTimeouts,
    EndpointConfig,
    ErrorsConfig,
    ForwardedConfig,
    GatewayConfig,
    InstanceConfig,
    Limits,
    Listener,
    ListenerTLS,
    MatchConfig,
    Network,
    PoolConfig,
    ResolveConfig,
    RewriteConfig,
    RouteConfig,
    ServiceConfig,
    TimeoutOverrides,
    UpstreamTimeouts,
    UpstreamTLS,
)
from spork_core.config.plugins import ENVELOPE, PluginConfigs
from spork_core.config.policy import AttributionConfig, BudgetConfig, ExplainConfig, QuarantineConfig
from spork_core.errors import ConfigError

if TYPE_CHECKING:
    from spork_core.config.docs import FieldDoc


def load(path: Path | str, *, plugins: PluginConfigs, environ: Mapping[str, str] = os.environ) -> GatewayConfig:
    """Read and check a config file. Raises ConfigError with every fault."""
    from spork_core.config import loader

    return loader.load(path, plugins=plugins, environ=environ)


def loads(
    text: str, *, plugins: PluginConfigs, file: str = "spork.yaml", environ: Mapping[str, str] = os.environ
) -> GatewayConfig:
    """Read and check a config. Relative paths start at the directory of ``file``. Raises ConfigError."""
    from spork_core.config import loader

    return loader.loads(text, plugins=plugins, file=file, environ=environ)


def locate(error: ConfigError, path: Path | str) -> ConfigError:
    """The same problems with file, line and column, for those that are found after the load."""
    from spork_core.config import loader

    return loader.locate(error, path)


def to_plain(config: GatewayConfig) -> dict[str, Any]:
    """The effective config as plain values, defaults filled in, secrets redacted, references as they were written."""
    from spork_core.config import dumper

    return dumper.to_plain(config)


def dump(config: GatewayConfig) -> str:
    """``to_plain`` as YAML, which loads back to an equal config unless a secret stood in it literally."""
    from spork_core.config import dumper

    return dumper.dump(config)


def json_schema(plugins: PluginConfigs) -> dict[str, Any]:
    """The JSON Schema (2020-12) of a config file, with the settings of every installed plugin."""
    from spork_core.config import schema

    return schema.json_schema(plugins)


def describe(cls: type) -> "list[FieldDoc]":
    """The settings of a config class, for tables in docs and for the contract kit."""
    from spork_core.config import docs

    return docs.describe(cls)


__all__ = [
    "ENVELOPE",
    "Address",
    "Admin",
    "AttributionConfig",
    "BudgetConfig",
    "Certificate",
    "ClientTimeouts",
    "EndpointConfig",
    "ErrorsConfig",
    "ExplainConfig",
    "ForwardedConfig",
    "GatewayConfig",
    "InstanceConfig",
    "Limits",
    "Listener",
    "ListenerTLS",
    "MatchConfig",
    "Network",
    "PluginConfigs",
    "PoolConfig",
    "QuarantineConfig",
    "ResolveConfig",
    "RewriteConfig",
    "RouteConfig",
    "Secret",
    "ServiceConfig",
    "TimeoutOverrides",
    "UpstreamTLS",
    "UpstreamTimeouts",
    "at_least",
    "between",
    "describe",
    "dump",
    "json_schema",
    "load",
    "loads",
    "locate",
    "more_than",
    "setting",
    "to_plain",
]
