"""A config file to a GatewayConfig, or to every fault in it at once."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from spork_core.config.checks import Checker, canonical
from spork_core.config.convert import faults_of, make_converter
from spork_core.config.faults import Fault, Faults, Resolved, quote, render_path, show, suggest
from spork_core.config.faults import Path as ConfigPath
from spork_core.config.model import GatewayConfig, InstanceConfig
from spork_core.config.patterns import INSTANCE_NAME
from spork_core.config.plugins import ENVELOPE, PluginConfigs
from spork_core.config.references import resolve
from spork_core.config.shapes import config_fields
from spork_core.config.source import LARGEST_TEXT, Source, YamlFault, parse
from spork_core.errors import ConfigError, ConfigProblem, SporkError


def load(path: Path | str, *, plugins: PluginConfigs, environ: Mapping[str, str] = os.environ) -> GatewayConfig:
    """Read and check a config file. Raises ConfigError with every fault."""
    file = str(path)
    try:
        with Path(path).open("rb") as stream:
            data = stream.read(4 * LARGEST_TEXT + 1)
        text = data.decode()
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigError([ConfigProblem("not UTF-8 text", file=file, line=line, column=1)]) from None
    except (OSError, ValueError) as exc:
        reason = getattr(exc, "strerror", None) or str(exc)
        raise ConfigError([ConfigProblem(f"cannot be read: {reason}", file=file)]) from None
    return loads(text, file=file, plugins=plugins, environ=environ)


def loads(
    text: str, *, file: str = "spork.yaml", plugins: PluginConfigs, environ: Mapping[str, str] = os.environ
) -> GatewayConfig:
    """Read and check a config. Relative paths start at the directory of ``file``. Raises ConfigError."""
    base = Path(file).parent
    try:
        source = parse(text)
        raw = source.resolve(lambda item: resolve(item, environ, base))
    except YamlFault as exc:
        raise ConfigError([_yaml_problem(exc, file)]) from None
    return _Load(source, raw, file, plugins, environ, base).run()


def locate(error: ConfigError, path: Path | str) -> ConfigError:
    """The same problems with the file, line and column of what they name, for those found after the load.

    The compilers of routes and chains know a setting's path but not where it stands. What cannot be found in the
    file, by now or at all, stays as it is.
    """
    try:
        source = parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, YamlFault):
        return error
    located = []
    for problem in error.problems:
        if not problem.line:
            place = source.find(problem.path)
            line, column = source.locate(place)
            problem = ConfigProblem(
                problem.message, path=problem.path, remedy=problem.remedy, file=str(path), line=line, column=column
            )
        located.append(problem)
    return ConfigError(sorted(located, key=lambda problem: (problem.line, problem.column)))


class _Load:
    """One pass over one config."""

    def __init__(
        self,
        source: Source,
        raw: Any,
        file: str,
        plugins: PluginConfigs,
        environ: Mapping[str, str],
        base: Path,
    ) -> None:
        self.source = source
        self.raw = {} if raw is None else raw
        self.file = file
        self.plugins = plugins
        self.environ = environ
        self.faults: list[Fault] = list(source.faults)
        self.variables: dict[ConfigPath, str] = {}
        self.converter = make_converter(base)
        self.classes: dict[str, tuple[type | None, frozenset[str]]] = {}

    def run(self) -> GatewayConfig:
        if not isinstance(self.raw, dict):
            self.faults.append(Fault((), f"expected a mapping, found {show(self.raw)}"))
            self.refuse()
        raw = {**self.raw}
        self.override(raw)
        instances = raw.get("plugins")
        config = self.structure({**raw, "plugins": None}, GatewayConfig, ()) or GatewayConfig()
        config = attrs.evolve(config, plugins=self.instances(instances), references=self.references())
        known = [*self.faults]
        names = {kind: _keys(raw.get(kind)) for kind in ("services", "plugins", "routes")}
        self.faults += Checker(config, known, names).run()
        self.files(config)
        if self.faults or self.source.yaml_faults:
            self.refuse()
        return config

    def structure(self, raw: Any, hint: Any, path: ConfigPath) -> Any:
        """The object, or what of it could be built; faults are kept."""
        try:
            return self.converter.get_structure_hook(hint)(raw, hint)
        except Faults as exc:
            self.add(exc, path, raw)
            return exc.partial
        except Exception as exc:
            self.add(exc, path, raw)
            return None

    def add(self, exc: Exception, path: ConfigPath, raw: Any) -> None:
        unresolved = {fault.path for fault in self.source.faults}
        found = [fault.under(*path) for fault in faults_of(exc, raw)]
        self.faults += [fault for fault in found if fault.path not in unresolved]

    # -- the environment ------------------------------------------------------------------------------

    def override(self, raw: dict[Any, Any]) -> None:
        """Put SPORK_LISTEN, SPORK_ADMIN_LISTEN and SPORK_WORKERS in place of what the file says. Empty is unset."""
        if listen := self.environ.get("SPORK_LISTEN"):
            addresses: list[Any] = [text.strip() for text in listen.split(",")]
            listeners = raw.get("listen")
            listeners = listeners if isinstance(listeners, list) else [listeners]
            secure = [item for item in listeners if isinstance(item, dict) and item.get("tls") is not None]
            self.variables["listen",] = "SPORK_LISTEN"
            if len(secure) == len(listeners) == len(addresses) == 1:
                addresses = [{**secure[0], "address": addresses[0]}]
            elif secure:
                remedy = "change the addresses in the file"
                self.faults.append(Fault(("listen",), "would take the TLS off the file's listeners", remedy))
            raw["listen"] = addresses
        if listen := self.environ.get("SPORK_ADMIN_LISTEN"):
            admin = raw.get("admin")
            self.variables["admin", "listen"] = "SPORK_ADMIN_LISTEN"
            inner = admin.get("listen") if isinstance(admin, dict) else None
            value = {**inner, "address": listen} if isinstance(inner, dict) else listen
            raw["admin"] = {**(admin if isinstance(admin, dict) else {}), "listen": value}
        if workers := self.environ.get("SPORK_WORKERS"):
            self.variables["workers",] = "SPORK_WORKERS"
            raw["workers"] = int(workers) if workers.isascii() and workers.isdecimal() and len(workers) < 9 else workers

    def references(self) -> dict[ConfigPath, str]:
        """The references of the file that no variable has replaced."""
        found = {path: text for path, text in self.source.references.items() if self.overridden(path) is None}
        return {canonical(path): text for path, text in found.items()}

    def overridden(self, path: ConfigPath) -> ConfigPath | None:
        """The path of the setting that a variable sets and that the path is of, or None."""
        if "tls" in path:
            return None  # that part of a listener is the file's
        return next((path[:depth] for depth in range(len(path) + 1) if path[:depth] in self.variables), None)

    # -- plugins --------------------------------------------------------------------------------------

    def instances(self, raw: Any) -> dict[str, InstanceConfig]:
        if raw is None:
            return {}
        if not isinstance(raw, dict):
            self.faults.append(Fault(("plugins",), f"expected a mapping, found {show(raw)}"))
            return {}
        built = {}
        for name, item in raw.items():
            if not isinstance(name, str):
                continue  # the check of names refuses it
            instance = self.instance(name, {} if item is None else item)
            if instance is not None:
                built[name] = instance
        return built

    def instance(self, name: str, raw: Any) -> InstanceConfig | None:
        path: ConfigPath = ("plugins", name)
        if not isinstance(raw, dict):
            self.faults.append(Fault(path, f"expected a mapping, found {show(raw)}"))
            return None
        envelope = {key: raw[key] for key in ENVELOPE if key in raw}
        instance = self.structure({"name": name, "use": name, **envelope}, InstanceConfig, path)
        use = raw.get("use", name)
        use = use.text if isinstance(use, Resolved) else use
        if not isinstance(use, str) or not self.installed(use, path, "use" in raw):
            return None
        cls, keys = self.classes[use]
        rest = {key: item for key, item in raw.items() if key not in ENVELOPE}
        for key in [key for key in rest if key not in keys]:
            remedy = suggest(key, [*keys, *ENVELOPE], "keys")
            self.faults.append(Fault((*path, key), "unknown key", remedy, at_key=True))
            del rest[key]
        settings = None if cls is None else self.structure(rest, cls, path)
        if not isinstance(instance, InstanceConfig):
            return None
        return attrs.evolve(instance, settings=settings)

    def installed(self, use: str, path: ConfigPath, said: bool) -> bool:
        """True when the plugin and its config class are there; else the fault is kept."""
        if use in self.classes:
            return True
        place = (*path, "use") if said else path
        names = self.plugins.names()
        if use not in names:
            reference = self.source.references.get(place)
            remedy = suggest("" if reference else use, names, "installed plugins")
            message = f"the plugin that {reference} names is not installed"
            if reference is None:
                message = f"no plugin {quote(use)} is installed"
                if INSTANCE_NAME.fullmatch(use):
                    install = f"pip install spork-{use.lower()}"
                    remedy = f"{remedy} Or {install}" if remedy.endswith("?") else f"{install} ({remedy})"
            self.faults.append(Fault(place, message, remedy, at_key=not said))
            return False
        try:
            cls = self.plugins.config_class(use)
            if cls is not None and not attrs.has(cls):
                raise SporkError(f"its config class {cls.__name__} is not an attrs class")
            keys = frozenset(field.key for field in config_fields(cls)) if cls is not None else frozenset[str]()
            if taken := sorted(keys & set(ENVELOPE)):
                raise SporkError(f"its setting {taken[0]} is a key of every instance; its author must rename it")
        except (SporkError, NameError) as exc:
            self.faults.append(Fault(place, f"plugin {quote(use)} cannot be used: {exc}", at_key=not said))
            return False
        self.classes[use] = (cls, keys)
        return True

    # -- the end --------------------------------------------------------------------------------------

    def files(self, config: GatewayConfig) -> None:
        listeners = [*config.listen, *([config.admin.listen] if config.admin else [])]
        if any(listener.tls for listener in listeners) or any(
            service.tls.ca or service.tls.certificate for service in config.services.values()
        ):
            from spork_core.config.files import check_files  # ssl takes 15 ms to import

            self.faults += [Fault(path, exc.message, exc.remedy) for path, exc in check_files(config)]

    def refuse(self) -> None:
        """Raise ConfigError with everything found, in the order of the file."""
        problems = [self.problem(fault) for fault in dict.fromkeys(self.faults)]
        problems += [_yaml_problem(fault, self.file) for fault in self.source.yaml_faults]
        problems.sort(key=lambda problem: (problem.line, problem.column))
        raise ConfigError(problems)

    def problem(self, fault: Fault) -> ConfigProblem:
        overridden = self.overridden(fault.path)
        if overridden is not None:
            path, file = render_path(overridden), self.variables[overridden]
            return ConfigProblem(fault.message, path=path, remedy=fault.remedy, file=file)
        actual = self.source.actual(fault.path)
        line, column = self.source.locate(actual, fault.at_key)
        return ConfigProblem(
            fault.message,
            path=render_path(actual),
            remedy=fault.remedy,
            file=self.file,
            line=line,
            column=column,
        )


def _keys(raw: Any) -> tuple[Any, ...]:
    return tuple(raw) if isinstance(raw, dict) else ()


def _yaml_problem(fault: YamlFault, file: str) -> ConfigProblem:
    path = render_path(fault.path)
    return ConfigProblem(str(fault), path=path, remedy=fault.remedy, file=file, line=fault.line, column=fault.column)
