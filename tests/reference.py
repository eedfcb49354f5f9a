"""Plugins and instances of them made on the spot, and the kit's reference dispatcher."""

from collections.abc import Callable
from typing import Any

from spork_core.config.model import InstanceConfig
from spork_core.hookspecs import hookimpl
from spork_core.plugin import NoConfig, Plugin
from spork_core.registry import Instance, Registry, make_instance
from spork_core.testing.reference import ARGUMENTS, Reference

__all__ = ["ARGUMENTS", "Reference", "instance_of", "plugin_of"]


def instance_of(cls: type[Plugin[Any]], name: str = "p", **envelope: Any) -> Instance:
    """An instance as the config makes it; ``envelope``: ``on_failure``, ``timeout``, ``budget``, ``settings``."""
    envelope.setdefault("settings", NoConfig())
    return make_instance(InstanceConfig(name=name, use=name, **envelope), Registry({name: cls}))


def plugin_of(attributes: dict[str, Any] | None = None, **hooks: Callable[..., Any]) -> type[Plugin[Any]]:
    """A plugin class with these hooks, each a function that takes ``self`` first."""
    marked = {name: hookimpl(function) for name, function in hooks.items()}
    return type("Made", (Plugin,), {**(attributes or {}), **marked})
