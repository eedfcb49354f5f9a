"""Finds installed plugins by entry point, makes instances of them, and lets pluggy check what they implement."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points
from inspect import isclass, iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final
from weakref import ref

import pluggy

from spork_core.attribution import HookStats
from spork_core.clock import SYSTEM_CLOCK, Clock
from spork_core.config.model import InstanceConfig
from spork_core.errors import ConfigError, ConfigProblem, SporkError
from spork_core.events import Events
from spork_core.headers import FIELD_VALUE
from spork_core.hookspecs import GATEWAY_HOOKS, KINDS, ExchangeHooks, GatewayHooks, Kind
from spork_core.isolation import Isolation
from spork_core.plugin import ENTRY_POINTS, OnFailure, Plugin

if TYPE_CHECKING:
    from spork_core.pipeline import Pipeline

_KNOWN: Final = frozenset((*KINDS, *GATEWAY_HOOKS))


class PluginLoadError(SporkError):
    """A distribution offers a plugin that cannot be loaded; the message names the distribution and the remedy."""


class Registry:
    """The plugins that are installed. Nothing is imported before a config asks for it by name."""

    def __init__(self, offered: Mapping[str, type[Plugin[Any]]] | None = None) -> None:
        """``offered``: classes by name, in place of the installed entry points (for tests and embedding)."""
        self._classes: dict[str, type[Plugin[Any]]] = dict(offered or {})
        self._entry_points: dict[str, EntryPoint] = {}
        self._twice: dict[str, str] = {}
        if offered is None:
            for point in entry_points(group=ENTRY_POINTS):
                known = self._entry_points.setdefault(point.name, point)
                if known.value != point.value:
                    self._twice[point.name] = f"{_dist(known)} and {_dist(point)}"

    def names(self) -> list[str]:
        """The names that ``use`` may give, sorted."""
        return sorted({*self._classes, *self._entry_points})

    def distribution(self, name: str) -> str:
        """``spork-body-guard 1.2.0``: where the plugin comes from; "" when it was offered directly."""
        point = self._entry_points.get(name)
        return "" if point is None else _dist(point)

    def plugin_class(self, name: str) -> type[Plugin[Any]]:
        """The class behind ``use: name``, imported on the first call. Raises PluginLoadError, and KeyError when it is
        not installed."""
        found = self._classes.get(name)
        if found is None:
            found = self._classes[name] = self._load(name)
        return found

    def config_class(self, name: str) -> type:
        """The attrs class that the plugin's config is structured into. Raises as ``plugin_class``."""
        return self.plugin_class(name).Config

    def _load(self, name: str) -> type[Plugin[Any]]:
        point = self._entry_points[name]
        where = f'plugin "{name}" of {_dist(point)}'
        if name in self._twice:
            raise PluginLoadError(f'plugin "{name}" is offered by {self._twice[name]}; uninstall one of them')
        try:
            found = point.load()
        except (Exception, SystemExit) as error:
            raise PluginLoadError(
                f"{where} cannot be imported ({type(error).__name__}: {error}); "
                "reinstall it or take it out of the config"
            ) from error
        if not (isclass(found) and issubclass(found, Plugin)):
            raise PluginLoadError(f"{where} is not a subclass of spork_core.api.Plugin ({point.value})")
        return found


def _dist(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist is not None else point.value


class Instance:
    """One plugin instance of a snapshot, with its policy and what it has been through."""

    __slots__ = (
        "_begun",
        "_pipelines",
        "challenge",
        "config",
        "distribution",
        "failures",
        "impls",
        "isolation",
        "last_failure",
        "name",
        "on_failure",
        "plugin",
        "started",
        "stats",
        "users",
    )

    def __init__(
        self, config: InstanceConfig, plugin: Plugin[Any], distribution: str, clock: Clock, events: Events
    ) -> None:
        self.config = config
        self.plugin = plugin
        self.name = config.name
        self.distribution = distribution
        self.on_failure: OnFailure = config.on_failure or plugin.on_failure
        self.impls: dict[str, pluggy.HookImpl] = {}
        """Its implementations by hook, those its config does not need left out."""
        self.challenge: str | None = None
        """What ``Plugin.challenge`` said at load."""
        self.stats: dict[str, HookStats] = {}
        """What its exchange hooks have taken, by hook."""
        self.failures = 0
        """How often a hook of it crashed, timed out or answered with a wrong type."""
        self.last_failure: str | None = None
        """The last of them: hook, place and reason."""
        self.isolation = Isolation(
            config.name,
            self.on_failure,
            config.quarantine,
            config.budget,
            clock=clock,
            events=events,
            exchanges=self._exchanges,
            changed=self._changed,
        )
        self.started = False
        self.users = 0
        """Snapshots that hold it; at 0 it is shut down."""
        self._pipelines: dict[ref[Pipeline], int] = {}
        """Whose chain it is in, and how many exchanges each had begun when that was last looked at."""
        self._begun = 0

    def joined(self, pipeline: "Pipeline") -> None:
        """It is in the chain of ``pipeline``, which is compiled anew when it is isolated or released."""
        self._pipelines[ref(pipeline, self._pipelines.pop)] = pipeline.exchanges

    def _exchanges(self) -> int:
        """How many exchanges its pipelines have begun, those that are gone included."""
        for known, seen in self._pipelines.copy().items():  # another thread may build a pipeline just now
            pipeline = known()
            if pipeline is not None:
                self._begun += pipeline.exchanges - seen
                self._pipelines[known] = pipeline.exchanges
        return self._begun

    def refresh(self) -> None:
        """Its pipelines are compiled anew when it was ever isolated: one may have been built while that changed."""
        if self.isolation.times:
            self._changed()

    def _changed(self) -> None:
        hooks = (*self.stats, "on_complete")  # where probes end
        for known in self._pipelines.copy():
            pipeline = known()
            if pipeline is not None:
                pipeline.compile(hooks)

    def __repr__(self) -> str:
        return f"<Instance {self.name} use={self.config.use} {self.on_failure}>"


def make_instance(
    config: InstanceConfig, registry: Registry, clock: Clock = SYSTEM_CLOCK, events: Events | None = None
) -> Instance:
    """The instance that ``config`` asks for, checked by pluggy against the hookspecs. Raises ConfigError.

    ``events``: told when it is isolated; None: only the log is.
    """
    path = f"$.plugins.{config.name}"
    try:
        cls = registry.plugin_class(config.use)
        plugin = cls(config.settings, config.name)
    except ConfigError:
        raise
    except PluginLoadError as error:
        raise ConfigError([ConfigProblem(str(error), path=path)]) from error
    except (Exception, SystemExit) as error:
        message = f"plugin {config.use} refuses its config: {str(error) or type(error).__name__}"
        raise ConfigError([ConfigProblem(message, path=path)]) from error
    problems = list(_misnamed(plugin, config, path))
    if problems:
        raise ConfigError(problems)
    instance = Instance(config, plugin, registry.distribution(config.use), clock, events or Events(clock))
    manager = pluggy.PluginManager("spork")
    manager.add_hookspecs(ExchangeHooks)
    manager.add_hookspecs(GatewayHooks)
    try:
        manager.register(plugin, config.name)
        manager.check_pending()
        wanted = _wanted(plugin)
        instance.challenge = _challenge(plugin)
    except (Exception, SystemExit) as error:
        raise ConfigError(
            [ConfigProblem(f"plugin {config.use} breaks the hook contract: {error}", path=path)]
        ) from error
    if wanted is not None and (unknown := wanted - _KNOWN):
        message = f"hooks() of plugin {config.use} names {', '.join(sorted(unknown))}, which no hook is called"
        near = [match for name in sorted(unknown) for match in get_close_matches(name, _KNOWN, 1)]
        remedy = f"did you mean {', '.join(near)}?" if near else ""
        raise ConfigError([ConfigProblem(message, path=path, remedy=remedy)])
    for name in _KNOWN:
        if wanted is not None and name in KINDS and name not in wanted:
            continue
        for impl in getattr(manager.hook, name).get_hookimpls():
            instance.impls[name] = impl
            if name in KINDS:
                instance.stats[name] = HookStats(config.name, name)
    return instance


def _wanted(plugin: Plugin[Any]) -> frozenset[str] | None:
    hooks = plugin.hooks()
    if hooks is None:
        return None
    wanted = frozenset([hooks] if isinstance(hooks, str) else hooks)
    if not all(isinstance(name, str) for name in wanted):
        raise TypeError("hooks() must give names")
    return wanted


def _challenge(plugin: Plugin[Any]) -> str | None:
    challenge = plugin.challenge()
    if challenge is not None and not (isinstance(challenge, str) and FIELD_VALUE.fullmatch(challenge)):
        raise TypeError("challenge() must give the text of a header field, or None")
    return challenge


def _misnamed(plugin: Plugin[Any], config: InstanceConfig, path: str) -> Iterable[ConfigProblem]:
    """pluggy reports a hook that does not exist only at ``check_pending``, one at a time and without a suggestion."""
    cls = type(plugin)
    for name in ("provides", "requires", "before", "after", "defers"):
        if isinstance(value := getattr(cls, name), str):
            message = f"{name} of plugin {config.use} is a text, not a tuple of them"
            yield ConfigProblem(message, path=path, remedy=f'write {name} = ("{value}",)')
    yield from _defers(cls, config, path)
    for name in ("export_state", "import_state"):
        if iscoroutinefunction(getattr(cls, name)):
            message = f"{cls.__module__}.{cls.__qualname__}.{name} is an async def, which nobody would await"
            yield ConfigProblem(message, path=path, remedy="write def: state is handed over in one step")
    for attribute in dir(cls):
        options = getattr(getattr(cls, attribute, None), "spork_impl", None)
        if options is None:
            continue
        name = options.get("specname") or attribute
        where = f"{cls.__module__}.{cls.__qualname__}.{attribute}"
        if name not in _KNOWN:
            near = get_close_matches(name, _KNOWN, 1)
            remedy = f"did you mean {near[0]}?" if near else f"the hooks are {', '.join((*KINDS, *GATEWAY_HOOKS))}"
            yield ConfigProblem(f"{where} implements an unknown hook", path=path, remedy=remedy)
        elif options.get("wrapper") or options.get("hookwrapper"):
            yield ConfigProblem(
                f"{where} is a hook wrapper, which would see coroutines in place of answers",
                path=path,
                remedy="wrap exchange.request.body or use the hooks before and after",
            )
        elif name == "on_event" and iscoroutinefunction(getattr(cls, attribute)):
            yield ConfigProblem(
                f"{where} is an async def, which nobody would await",
                path=path,
                remedy="write def, and start a task for what takes time",
            )
        elif options.get("tryfirst") or options.get("trylast"):
            yield ConfigProblem(
                f"{where} asks to be first or last; the operator's chain decides the order",
                path=path,
                remedy="declare before, after, requires or provides",
            )


def _defers(cls: type[Plugin[Any]], config: InstanceConfig, path: str) -> Iterable[ConfigProblem]:
    """What is wrong with ``defers``: only a hook whose first answer counts can be waited for, and only a ``def``."""
    for name in cls.defers if isinstance(cls.defers, tuple) else ():
        message = f"defers of plugin {config.use} names {name}, "
        if name not in KINDS or KINDS[name].kind not in (Kind.GATE, Kind.FIRST):
            able = ", ".join(hook for hook, kind in KINDS.items() if kind.kind in (Kind.GATE, Kind.FIRST))
            yield ConfigProblem(f"{message}which cannot be deferred", path=path, remedy=f"these can: {able}")
        elif iscoroutinefunction(getattr(cls, name, None)):
            yield ConfigProblem(
                f"{message}which is an async def", path=path, remedy="write def and return a coroutine, or take it out"
            )


def order_problems(chain: Iterable[Instance], where: str) -> list[ConfigProblem]:
    """What is wrong with the order of a chain: capabilities that are required but not provided before, and ``before``
    and ``after`` that the chain breaks. ``where``: the config path of the route."""
    line = list(chain)
    providers: dict[str, list[int]] = {}
    for at, instance in enumerate(line):
        for capability in instance.plugin.provides:
            providers.setdefault(capability, []).append(at)
    problems = []
    for at, instance in enumerate(line):
        plugin = instance.plugin
        for capability in plugin.requires:
            found = [other for other in providers.get(capability, ()) if other != at]
            if not found:
                problems.append(
                    ConfigProblem(
                        f'"{instance.name}" requires {capability}, which no instance of this chain provides',
                        path=where,
                        remedy=f"put an instance that provides {capability} before it, or take it out",
                    )
                )
            elif min(found) > at:
                problems.append(_swap(instance, line[min(found)], f"requires {capability} from", where))
        for capability in plugin.after:
            for other in providers.get(capability, ()):
                if other > at:
                    problems.append(_swap(instance, line[other], f"must come after {capability} of", where))
        for capability in plugin.before:
            for other in providers.get(capability, ()):
                if other < at:
                    mine, its = instance.name, line[other].name
                    message = f'"{its}" provides {capability} and stands before "{mine}", which must come first'
                    problems.append(ConfigProblem(message, path=where, remedy=f'move "{its}" behind "{mine}"'))
    return problems


def _swap(late: Instance, early: Instance, why: str, where: str) -> ConfigProblem:
    return ConfigProblem(
        f'"{late.name}" stands before "{early.name}" but {why} it',
        path=where,
        remedy=f'move "{late.name}" behind "{early.name}"',
    )
