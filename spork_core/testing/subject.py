"""The plugin that a contract is about: its class, its config, its distribution, and how much effort its laws make."""

import os
from collections.abc import Mapping
from functools import cached_property
from importlib.metadata import Distribution, EntryPoint, entry_points
from pathlib import Path
from sys import modules
from types import MappingProxyType
from typing import Any, Final

from attrs import frozen

from spork_core.config import GatewayConfig, InstanceConfig, loads
from spork_core.errors import ConfigProblem, SporkError
from spork_core.headers import FIELD_VALUE, KERNELS_OWN, TOKEN
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS
from spork_core.plugin import ENTRY_POINTS, Plugin
from spork_core.registry import Instance, Registry, make_instance, order_problems
from spork_core.testing.written import as_yaml


@frozen
class Effort:
    """How hard the laws look. ``exchanges``: of the law about leaks. ``examples``: requests that Hypothesis makes."""

    exchanges: int = 10_000
    examples: int = 60


FULL: Final = Effort()

_LAWS_OWN: Final = KERNELS_OWN | {"host", "expect"}
"""Fields that say where a request goes, and where it ends."""


class Subject:
    """One plugin with one config.

    ``name``: what ``use`` says. ``settings``: the instance's part of a config file, as plain values. ``others``:
    further instances, name → settings, that stand before it in the chain because it requires what they provide.
    ``headers``: fields that the ordinary requests of the laws carry. Raises ValueError when one cannot stand there.
    """

    def __init__(
        self,
        name: str,
        settings: Mapping[str, Any] | None = None,
        others: Mapping[str, Mapping[str, Any]] | None = None,
        effort: Effort = FULL,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.settings = dict(settings or {})
        self.others = {other: dict(more) for other, more in (others or {}).items()}
        self.effort = effort
        self.headers = dict(headers)
        for field, value in self.headers.items():
            if not TOKEN.fullmatch(field) or not FIELD_VALUE.fullmatch(value) or field.lower() in _LAWS_OWN:
                raise ValueError(f"{field}: {value} cannot stand in a request of the laws")
        self.registry = Registry()
        self.starts = True
        """False once a law has found that it does not: those that run it say nothing then."""
        self.changed: list[str] = []
        """What of the process its first life has changed: a second one sets the same again."""

    def __repr__(self) -> str:
        return f"<Subject {self.name}>"

    @cached_property
    def entry_point(self) -> EntryPoint | None:
        """The plugin's entry point; None when no installed distribution offers it."""
        return next(iter(entry_points(group=ENTRY_POINTS, name=self.name)), None)

    @property
    def distribution(self) -> Distribution | None:
        """The distribution that offers it; None as above."""
        return None if self.entry_point is None else self.entry_point.dist

    @cached_property
    def plugin_class(self) -> type[Plugin[Any]]:
        """Raises KeyError and PluginLoadError."""
        return self.registry.plugin_class(self.name)

    @cached_property
    def package(self) -> str:
        """The plugin's package: the outermost that is no namespace of several distributions."""
        parts = self.plugin_class.__module__.split(".")
        names = [".".join(parts[:end]) for end in range(1, len(parts) + 1)]
        return next(name for name in names if modules[name].__file__ is not None)

    @cached_property
    def folder(self) -> Path:
        """Where that package lies, or the file of a single module."""
        file = modules[self.package].__file__
        assert file is not None
        path = Path(file)
        return path.parent if path.name == "__init__.py" else path

    def owns(self, file: str) -> bool:
        """True for a source file of the plugin's own."""
        return Path(file).is_relative_to(self.folder)

    def owns_module(self, name: str) -> bool:
        """True for a module of the plugin's own, by its dotted name."""
        return name == self.package or name.startswith(f"{self.package}.")

    @cached_property
    def made(self) -> bool:
        """False when no instance can be made: it is not installed, breaks the hook contract, refuses the config, or
        requires what nothing before it provides."""
        try:
            return not self.order_problems(self.instance())
        except (KeyError, SporkError):
            return False

    def order_problems(self, instance: Instance) -> list[ConfigProblem]:
        """What is wrong with the chain of the others and ``instance``. Raises ConfigError, of an other."""
        plugins = self.config().plugins
        others = [make_instance(plugins[name], self.registry) for name in self.others]
        return order_problems([*others, instance], "$.chain")

    @cached_property
    def hooks(self) -> frozenset[str]:
        """The hooks that its config needs. Raises ConfigError when it cannot be loaded."""
        return frozenset(self.instance().impls)

    @property
    def exchange_hooks(self) -> tuple[str, ...]:
        """Those of an exchange, in the order of its life."""
        return tuple(hook for hook in KINDS if hook in self.hooks)

    @property
    def gateway_hooks(self) -> tuple[str, ...]:
        """The others."""
        return tuple(hook for hook in GATEWAY_HOOKS if hook in self.hooks)

    def config(
        self, settings: Mapping[str, Any] | None = None, name: str = "subject", **envelope: Any
    ) -> GatewayConfig:
        """A whole config with this instance and the others in its chain, read by the loader that reads YAML files.

        ``settings``: in place of the subject's. ``envelope``: ``on_failure`` and so on. Raises ConfigError.
        """
        mine = {"use": self.name, **envelope, **(self.settings if settings is None else settings)}
        plugins = {**self.others, name: mine}
        return self.load(as_yaml({"plugins": plugins, "chain": list(plugins)}))

    def load(self, text: str, environ: Mapping[str, str] = MappingProxyType({})) -> GatewayConfig:
        """A config, with the variables of ``environ`` besides those of the process. Raises ConfigError."""
        return loads(text, plugins=self.registry, file="contract.yaml", environ={**os.environ, **environ})

    def instance_config(
        self, settings: Mapping[str, Any] | None = None, name: str = "subject", **envelope: Any
    ) -> InstanceConfig:
        """The instance's part of ``config``."""
        return self.config(settings, name, **envelope).plugins[name]

    def instance(self, settings: Mapping[str, Any] | None = None, name: str = "subject", **envelope: Any) -> Instance:
        """A new instance as a snapshot makes it; not started. Raises ConfigError."""
        return make_instance(self.instance_config(settings, name, **envelope), self.registry)
