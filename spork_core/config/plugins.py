"""What a config must know of the installed plugins."""

from collections.abc import Collection
from typing import Final, Protocol

ENVELOPE: Final = ("use", "enabled", "on_failure", "timeout", "budget", "quarantine")
"""The keys of every plugin instance that are the gateway's, beside those of the plugin."""


class PluginConfigs(Protocol):
    """The installed plugins, as far as a config must know them."""

    def names(self) -> Collection[str]:
        """The names that ``use`` may say."""

    def config_class(self, name: str) -> type | None:
        """The attrs class of the plugin's settings, None when it has none. May raise SporkError."""
