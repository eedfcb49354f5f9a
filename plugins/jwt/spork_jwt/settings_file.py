"""What a config file says of one instance, for the commands: they run outside of the gateway."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

Settings = Mapping[str, Any]
"""Plain values, with references resolved; ``admin``: where the admin listener is."""

_NAME: Final = "spork.yaml"
_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(env|file):([^{}]*)\}")


def read_settings(file: Path | None, instance: str | None) -> tuple[str, Settings]:
    """The name and the settings of an instance of jwt.

    ``file``: None means $SPORK_CONFIG, or else the first of ./spork.yaml and the like. ``instance``: None means the
    only one. Raises ValueError with a sentence.
    """
    path = _find(file)
    config = _parse(path)
    plugins = config.get("plugins")
    found = {
        str(name): settings or {}
        for name, settings in (plugins.items() if isinstance(plugins, dict) else ())
        if (settings or {}).get("use", name) == "jwt"
    }
    if instance is None:
        if len(found) != 1:
            which = f"has {', '.join(found)}; name one: --instance" if found else "has no instance of jwt"
            raise ValueError(f"{path} {which}.")
        instance = next(iter(found))
    elif instance not in found:
        raise ValueError(f'{path} has no instance "{instance}" of jwt.')
    return instance, {**_resolved(found[instance], path.parent), "admin": _admin(config)}


def _find(file: Path | None) -> Path:
    named = file or os.environ.get("SPORK_CONFIG")
    if named:
        return Path(named)
    home = os.environ.get("XDG_CONFIG_HOME") or "~/.config"
    places = (Path(_NAME), Path(home).expanduser() / "spork" / _NAME, Path("/etc/spork") / _NAME)
    for place in places:
        if place.is_file():
            return place
    raise ValueError("There is no config file; name one: --config.")


def _parse(path: Path) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, YAMLError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    return config if isinstance(config, dict) else {}


def _admin(config: Mapping[str, Any]) -> str:
    if listen := os.environ.get("SPORK_ADMIN_LISTEN"):
        return listen
    listen = (config.get("admin") or {}).get("listen", "127.0.0.1:8081")
    if isinstance(listen, dict):
        return f"https://{listen['address']}" if "tls" in listen else str(listen["address"])
    return str(listen)


def _resolved(value: Any, base: Path) -> Any:
    """``value`` with what ``${env:…}`` and ``${file:…}`` stand for. Raises ValueError."""
    if isinstance(value, dict):
        return {key: _resolved(item, base) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(item, base) for item in value]
    return _REFERENCE.sub(lambda found: _look_up(found, base), value) if isinstance(value, str) else value


def _look_up(found: re.Match[str], base: Path) -> str:
    if found[1] is None:
        return "${"
    if found[1] == "file":
        try:
            return (base / found[2]).read_text(encoding="utf-8").removesuffix("\n").removesuffix("\r")
        except (OSError, ValueError) as error:
            raise ValueError(f"{found[0]} cannot be read: {error}") from error
    name, has_default, default = found[2].partition(":-")
    value = os.environ.get(name) or (default if has_default else None)
    if value is None:
        raise ValueError(f"The environment has no variable {name}.")
    return value
